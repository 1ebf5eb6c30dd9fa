"""The records of an interrupted deploy, and several signals."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from deploy_relay_kit.relay import Event
from deploy_relay_kit.relay.command.interrupts import Interrupts
from deploy_relay_kit.relay.command.progress import Progress

TOOK = {"node": "took", "status": "success"}
LOST = {"node": "lost", "status": "failed", "reason": "no"}


def settled(**record: str) -> Event:
    return Event(record["node"], "settled", {"record": record})


def sent(node: str, count: int) -> Event:
    return Event(node, "sent", {"bytes": count, "total": 9})


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], {"took": {}, "lost": {}}),
        ([settled(**LOST), sent("took", 4)], {"took": {}}),
        ([settled(**LOST), sent("took", 9)], {"took": {"uncertain": True}}),
        ([settled(**LOST), sent("took", 9), settled(**TOOK)], {}),
    ],
)
def test_an_interrupt_settles_every_node(
    events: list[Event], expected: dict[str, dict[str, object]]
) -> None:
    progress = Progress(["took", "lost"], restarts=False)
    for event in events:
        progress.listen(event)
    made = {event.node: event.data["record"] for event in progress.interrupt()}
    failed = {"status": "failed", "reason": "interrupted"}
    assert made == {name: {"node": name, **failed, **more} for name, more in expected.items()}
    [report] = progress.reports
    assert [record["node"] for record in report.records] == ["took", "lost"]


@pytest.mark.parametrize("uncertain", [False, True])
def test_a_node_that_waits_for_a_retry_keeps_its_reason(*, uncertain: bool) -> None:
    progress = Progress(["took", "lost"], restarts=False)
    expected = {"reason": "busy", "delay": 9.0, "attempt": 2, "uncertain": uncertain}
    for node in ("took", "lost"):
        progress.listen(sent(node, 9))
        progress.listen(Event(node, "retry", expected))
    progress.listen(Event("lost", "mint"))
    waits, goes_on = (event.data["record"] for event in progress.interrupt())
    assert waits["reason"] == "interrupted while waiting to retry: busy"
    assert goes_on["reason"] == "interrupted"
    assert ("uncertain" in waits) is ("uncertain" in goes_on) is uncertain


def test_only_restarts_that_began_are_uncertain() -> None:
    names = ["done", "going", "waiting"]
    progress = Progress([*names, "lost"], restarts=True)
    for name in names:
        progress.listen(settled(node=name, status="success"))
    progress.listen(settled(**LOST))
    progress.listen(Event("done", "restarting"))
    progress.listen(Event("done", "restarted", {"record": {"node": "done", "status": "success"}}))
    progress.listen(Event("going", "restarting"))
    assert {event.name for event in progress.interrupt()} == {"restarted"}
    _, restarts = progress.reports
    assert [(it["node"], it.get("uncertain")) for it in restarts.records] == [
        ("done", None),
        ("going", True),
        ("waiting", None),
    ]


def test_the_first_signal_cancels_and_the_second_does_not_disturb_the_clean_up() -> None:
    cleaned = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0)
            cleaned.append(True)

    before = signal.getsignal(signal.SIGTERM)
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            interrupts.run(work())
        assert interrupts.caught == [signal.SIGINT, signal.SIGTERM]
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_while_the_event_loop_is_made_cancels_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An exception there would leave half a loop, whose end is reported on standard error."""
    make, begun = asyncio.new_event_loop, []

    def interrupted() -> asyncio.AbstractEventLoop:
        os.kill(os.getpid(), signal.SIGINT)
        return make()

    async def work() -> None:
        begun.append(True)
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.events, "new_event_loop", interrupted)
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        interrupts.run(work())
    assert interrupts.caught == [signal.SIGINT]
    assert begun == [True]


def test_a_signal_outside_the_event_loop_is_an_interrupt() -> None:
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGHUP)
    assert interrupts.caught == [signal.SIGHUP]


THREE_TIMES = """
import contextlib, os, signal
from deploy_relay_kit.relay.command.interrupts import Interrupts
from deploy_relay_kit.relay.command.progress import Progress
with Interrupts():
    for _ in range(3):
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
print("still there")
"""


def test_the_third_signal_ends_the_program() -> None:
    run = subprocess.run([sys.executable, "-c", THREE_TIMES], capture_output=True, check=False)
    assert (run.returncode, run.stdout) == (128 + signal.SIGTERM, b"")

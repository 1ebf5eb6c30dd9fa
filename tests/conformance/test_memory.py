"""Memory: what the relay holds grows neither with the payload nor with an answer."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_relay_kit.harness import (
    Answer,
    End,
    EventStream,
    FakeCluster,
    Fault,
    HugeAnswer,
    MintAnswer,
    success_events,
)
from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.faults.answers import Script
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_message
from deploy_relay_kit.harness.targets.outcome import TargetHungError
from deploy_relay_kit.harness.targets.processes import watch_processes

# The kit's own tests run these cases with less.
HUGE = int(os.environ.get("RELAY_HARNESS_HUGE_MB", "1024"))  # MiB of a payload
MUCH = 60  # MiB of an answer
AT_LEISURE = 150.0  # seconds for a payload of 1 GiB: small chunks on a loaded machine take a minute

ALLOWED = 32
"""MiB: more than buffers and chance need, much less than any payload or answer here."""

OF_ANSWERS = 48
"""A relay may keep the first 8 MiB of an answer, as bytes, as text and without secrets."""

GARBAGE = 8
"""This part of a payload may be garbage that the runtime has not collected yet."""

MIB = 1 << 20


def growth(
    relay: Relay, deploy: Callable[[int], object], little: int, much: int, allowed: int = ALLOWED
) -> int:
    """How many MiB more the relay holds at most during a deploy of much than during one of little.

    The deploy of little is the control: it runs directly before, with the same code. Figures that
    are too high are measured once more, and the lower ones count.
    """
    control, held = _most_held(relay, deploy, little), _most_held(relay, deploy, much)
    if held - control > allowed * MIB:
        control = min(control, _most_held(relay, deploy, little))
        held = min(held, _most_held(relay, deploy, much))
    return (held - control) // MIB


def _most_held(relay: Relay, deploy: Callable[[int], object], amount: int) -> int:
    """The most bytes that all processes of the relay hold together during a deploy."""
    # If the relay runs in this process, earlier cases and deploys have left garbage here.
    gc.collect()
    with contextlib.suppress(AttributeError):  # glibc keeps freed memory; other libraries do not
        ctypes.CDLL(None).malloc_trim(0)
    try:
        with watch_processes(relay.target.pid, every=0.01) as shown:
            deploy(amount)
    except TargetHungError as error:  # slow is not large
        raise Unseen(f"the deploy of {amount} MiB did not end: {error}") from error
    return shown.memory


def assert_bounded(grown: int, what: str, allowed: int) -> None:
    assert grown <= allowed, (
        f"memory grew by {grown} MiB while {what} was sent; at most {allowed} MiB are allowed"
    )


def test_memory_does_not_grow_with_the_payload(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """The memory of the relay does not grow with the payload."""
    peer = cluster.peer()

    def deploy(mebibytes: int) -> None:
        payload = tmp_path / f"{mebibytes}.tar.gz"
        payload.touch()
        os.truncate(payload, mebibytes * MIB)
        relay.deploy(to=[peer], payload=payload, deadline=AT_LEISURE)

    size = f"{HUGE / 1024:g} GiB" if HUGE >= 1024 else f"{HUGE} MiB"
    with check("BUG-20", "the memory of the relay"):
        grown = growth(relay, deploy, 10, HUGE)
        received = [upload.file.length for upload in peer.uploads if upload.file]
        check.need(max(received, default=0) == HUGE * MIB, f"no payload of {size} reached the peer")
        assert_bounded(grown, f"a {size} payload", max(ALLOWED, HUGE // GARBAGE))
    with check("FLD-08", f"the length of the file with a {size} payload"):
        check.need(peer.uploads, "no upload reached the peer")
        file = peer.uploads[-1].file
        assert (file.length if file else 0) == HUGE * MIB
    with check("RES-01", f"the status of the record with a {size} payload"):
        answered = [upload.answer_status for upload in peer.uploads]
        check.need(answered[-1:] == [200], "the peer did not answer 200")
        assert relay.outcomes[-1][peer].status == "success"


def long_answer(mebibytes: int, status: int = 200) -> Answer:
    return Answer(status, body=b"no end; " * (MIB // 8), times=mebibytes, content_type="text/plain")


@pytest.mark.parametrize("status", [200, 500])
def test_memory_does_not_grow_with_an_answer(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int
) -> None:
    """The memory of the relay does not grow with an answer."""

    def deploy(mebibytes: int) -> None:
        relay.deploy(to=[cluster.peer(fault=long_answer(mebibytes, status))])

    with check("BUG-30", "the memory of the relay"):
        grown = growth(relay, deploy, 1, MUCH, OF_ANSWERS)
        need_message(cluster, relay)
        assert_bounded(grown, f"an answer of {MUCH} MiB", OF_ANSWERS)


class LongHead(Answer):
    """An answer of so many MiB of header lines."""

    def script(self, *, keep_alive: bool) -> Script:
        del keep_alive
        yield b"HTTP/1.1 200 OK\r\n"
        for _ in range(self.times * 103):
            yield (b"x-more: " + b"no end; " * 126 + b"\r\n") * 10
        yield b"content-length: 0\r\n\r\n"
        yield End.CLOSE


def one_head(mebibytes: int) -> Fault:
    return LongHead(times=mebibytes)


def one_event(mebibytes: int) -> Fault:
    pieces = itertools.repeat("no end; " * (MIB // 80), mebibytes * 10)
    return EventStream(
        itertools.chain(["event: install\ndata: "], pieces, ["\n\n"], success_events())
    )


@pytest.mark.parametrize(
    ("endless", "what"), [(one_head, "a head"), (one_event, "an event")], ids=["head", "event"]
)
def test_memory_does_not_grow_with_a_head_or_an_event(
    cluster: FakeCluster, relay: Relay, check: Checks, endless: Callable[[int], Fault], what: str
) -> None:
    """The memory of the relay does not grow with the head of an answer, nor with one event."""

    def deploy(mebibytes: int) -> None:
        relay.deploy(to=[cluster.peer(fault=endless(mebibytes))])

    with check("BUG-30", "the memory of the relay"):
        grown = growth(relay, deploy, 1, MUCH, OF_ANSWERS)
        assert_bounded(grown, f"{what} of {MUCH} MiB", OF_ANSWERS)


def test_memory_does_not_grow_with_the_answer_of_a_mint(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The memory of the relay does not grow with the answer to a mint."""

    def deploy(mebibytes: int) -> None:
        peer = cluster.peer(fault=MintAnswer(long_answer(mebibytes)))
        relay.deploy(to=[relay.minting(peer)])

    with check("BUG-30", "the memory of the relay"):
        grown = growth(relay, deploy, 1, MUCH, OF_ANSWERS)
        assert_bounded(grown, f"an answer of {MUCH} MiB to a mint", OF_ANSWERS)


def test_memory_does_not_grow_with_the_answer_of_a_socket(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The memory of the relay does not grow with the answer of a replication socket."""

    def deploy(mebibytes: int) -> None:
        peer = cluster.peer()
        socket = cluster.replication(peer, fault=HugeAnswer(mebibytes * MIB))
        relay.deploy(to=[relay.minting_over(socket, peer)])

    with check("BUG-30", "the memory of the relay"):
        grown = growth(relay, deploy, 1, MUCH, OF_ANSWERS)
        assert_bounded(grown, f"an answer of {MUCH} MiB on a replication socket", OF_ANSWERS)

"""Fields, lifetimes and the lines of commands, without a server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_relay_kit.relay.origin.access import lifetime_in
from deploy_relay_kit.relay.origin.answers import RefusalError
from deploy_relay_kit.relay.origin.local import commands
from deploy_relay_kit.relay.origin.wire import fields
from tests.origin.nodes import wait_for
from tests.relay.test_request import V1

VALUES = [*V1, ("9" * 5_000, "9" * 5_000)]


@pytest.mark.parametrize(
    ("text", "value"), VALUES, ids=[text[:12] or "empty" for text, _ in VALUES]
)
def test_a_field_is_decoded_as_table_v1_says(text: str, value: object) -> None:
    actual = fields.decoded(text)
    assert (actual, actual is True) == (value, value is True)


@given(st.text())
def test_every_text_has_a_value(text: str) -> None:
    fields.decoded(text)


@pytest.mark.parametrize("value", [True, "false", "False", 0, None, "", "no", []])
def test_only_false_closes_the_gate(value: object) -> None:
    assert fields.fans_out({"replicated": value})
    assert fields.fans_out({})
    assert not fields.fans_out({"replicated": False})


@pytest.mark.parametrize(
    ("project", "name"),
    [("../evil", "evil"), ("a/b", "b"), ("demo.tar", "demo"), ("x_1-y", "x_1-y")],
)
def test_a_project_is_its_last_segment(project: str, name: str) -> None:
    assert fields.project_of({"project": project}) == name


@pytest.mark.parametrize(
    "project", [None, "", 123, True, {}, "a b", ".hidden", "näme", "..", "/", "x" * 241, "a\n"]
)
def test_a_bad_project_is_refused(project: object) -> None:
    with pytest.raises(RefusalError) as caught:
        fields.project_of({"project": project})
    assert caught.value.status == 400


@pytest.mark.parametrize(("given_", "seconds"), [(5, 5), ("5m", 300), ("1d", 86_400), (None, None)])
def test_a_lifetime(given_: object, seconds: int | None) -> None:
    assert lifetime_in(given_) == seconds


@pytest.mark.parametrize("given_", [0, -1, True, "soon", "5", 1e9, "31d", [], "٣m"])
def test_a_bad_lifetime_is_refused(given_: object) -> None:
    with pytest.raises(RefusalError):
        lifetime_in(given_)


@pytest.mark.parametrize("step", [1, 3, 1_000_000])
@pytest.mark.parametrize(
    ("sent", "lines"),
    [
        ("one\r\n\ntwö\nend", ["one", "", "twö", "end"]),
        ("x" * 4_096 + "\nnext\n", ["x" * 4_096, "next"]),
    ],
)
def test_lines_of_a_command_are_whole_however_they_arrive(
    sent: str, lines: list[str], step: int
) -> None:
    seen: list[dict[str, str]] = []
    output = commands._Output("sh", seen.append)
    content = sent.encode()
    for start in range(0, len(content), step):
        output.take(content[start : start + step])
    output.end()
    assert [it["line"] for it in seen] == lines


def test_a_line_without_an_end_is_bounded() -> None:
    seen: list[dict[str, str]] = []
    output = commands._Output("sh", seen.append)
    for _ in range(100):
        output.take(b"x" * 1_000)
    assert len(seen) == 20
    assert {len(it["line"]) for it in seen} == {4_096}


@pytest.mark.parametrize(
    "script",
    [
        "echo begun; sleep 1000 & echo $! > child; wait",
        "echo begun; sleep 1000 & echo $! > child",  # the command itself has ended
        "echo begun; yes & echo $! > child; wait",
    ],
)
def test_a_command_that_takes_too_long_is_killed_with_its_children(
    script: str, tmp_path: Path
) -> None:
    seen: list[dict[str, str]] = []
    with pytest.raises(RefusalError, match=r"command 'sh' took longer than 0\.5 s") as caught:
        asyncio.run(commands.run(["sh", "-c", script], tmp_path, 0.5, seen.append))
    output: Any = caught.value.body["install_output"]
    assert seen[0]["line"] == "begun"
    assert output["truncated"] == ("yes" in script)
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")


def test_a_child_in_another_session_holds_no_command_up(tmp_path: Path) -> None:
    script = "import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(1000)"
    command = f'{sys.executable} -c "{script}" & wait'
    seen: list[dict[str, str]] = []
    begun = time.monotonic()
    try:
        with pytest.raises(RefusalError, match="took longer than 1 s"):
            asyncio.run(commands.run(["sh", "-c", command], tmp_path, 1.0, seen.append))
        assert time.monotonic() - begun < 30
    finally:
        os.kill(int(seen[0]["line"]), signal.SIGKILL)


def test_a_command_that_writes_without_a_pause_leaves_turns_to_others(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []
    most = 0  # lines between two turns

    async def others() -> None:
        nonlocal most
        while True:
            before = len(seen)
            await asyncio.sleep(0)
            most = max(most, len(seen) - before)

    async def both() -> None:
        turns = asyncio.create_task(others())
        with pytest.raises(RefusalError, match="took longer"):
            await commands.run(["yes"], tmp_path, 0.5, seen.append)
        turns.cancel()

    asyncio.run(both())
    assert 0 < most <= 2_048  # of two bytes


def test_a_command_that_no_system_can_start_is_a_refusal(tmp_path: Path) -> None:
    for command in ("no-such-command", "", "a\0b"):
        with pytest.raises(RefusalError, match="cannot start: "):
            asyncio.run(commands.run([command], tmp_path, 1.0, print))

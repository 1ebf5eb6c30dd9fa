"""What is seen of the processes of a relay."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.targets import processes
from harness.targets.processes import shows_memory, watch_processes
from tests.programs import wait_until

SIZE = 50_000_000
HOLDING = """
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    held = file.read() if sys.argv[2] == "read" else mmap.mmap(file.fileno(), 0)
for at in range(0, len(held), 4096):
    held[at]
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not shows_memory(), reason="no processes are shown here")
@pytest.mark.parametrize(("how", "counts"), [("read", True), ("mapped", False)])
def test_memory_is_what_a_process_holds_and_not_the_file_it_reads(
    tmp_path: Path, how: str, *, counts: bool
) -> None:
    file = tmp_path / "payload"
    with file.open("wb") as payload:
        payload.truncate(SIZE)
    command = [sys.executable, "-SIc", HOLDING, str(file), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        with watch_processes(process.pid) as shown:
            pass
        process.communicate()
    assert (shown.memory > SIZE) is counts
    assert shown.memory < SIZE // 2 or counts
    assert any("payload" in text for text in shown.arguments)


def test_nothing_is_seen_where_the_system_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path / "no-proc")
    assert processes.family(os.getpid()) == {os.getpid()}
    with watch_processes(os.getpid()) as shown:
        pass
    assert (shown.arguments, shown.memory) == (set(), 0)


@pytest.mark.skipif(not shows_memory(), reason="no processes are shown here")
def test_what_is_there_at_the_end_is_seen() -> None:
    command = [sys.executable, "-SIc", "print(flush=True); input()", "late"]
    with contextlib.ExitStack() as cleanup, watch_processes(os.getpid(), every=60) as shown:
        wait_until(lambda: shown.memory, 5)  # until the first look is over
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cleanup.enter_context(process)
        cleanup.callback(process.communicate)
        assert process.stdout
        process.stdout.readline()
        before = set(shown.arguments)
    assert any("late" in text for text in shown.arguments - before)

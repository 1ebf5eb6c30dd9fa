"""What is seen of the processes of a relay."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_relay_kit.harness.targets.processes import (
    family,
    is_group_alive,
    open_files,
    watch_processes,
)
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


def test_a_process_that_has_ended_shows_nothing() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert family(process.pid) == []
    assert not is_group_alive(process.pid)
    with watch_processes(process.pid) as shown:
        pass
    assert (shown.arguments, shown.environments, shown.memory) == (set(), set(), 0)


def test_open_files_of_a_child_are_seen_once_for_each_descriptor(tmp_path: Path) -> None:
    payload = tmp_path / "payload"
    payload.touch()
    code = "import sys; held = [open(sys.argv[1]) for _ in 'ab']; print(flush=True); input()"
    command = [sys.executable, "-SIc", code, str(payload)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert open_files(os.getpid()).count(payload) == 2
        process.communicate()
    assert open_files(os.getpid()).count(payload) == 0


def test_a_child_that_left_the_family_is_found_by_its_session() -> None:
    code = "import os, time\nif os.fork() == 0: time.sleep(60)\nprint(flush=True)"
    command = [sys.executable, "-SIc", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        process.stdout.readline()
        process.wait()
        orphans = [it.pid for it in family(process.pid)]
        assert len(orphans) == 1
        assert is_group_alive(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        wait_until(lambda: not is_group_alive(process.pid), 5)


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

"""What anybody on this machine can see of a process and its children."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_PROC = Path("/proc")
_HELD = re.compile(r"^Rss(?:Anon|Shmem):\s*(\d+) kB$", re.MULTILINE)
_KIB = 1024
# Among the fields behind the command's name in /proc/…/stat.
_STATE, _PARENT, _GROUP, _SESSION = 0, 1, 2, 3


@contextlib.contextmanager
def watch_processes(leader: int, *, every: float = 0.002) -> Iterator[Shown]:
    """Gather what a process and its descendants show while the block runs; nothing without /proc.

    Args:
        leader: id of the process.
        every: seconds between two looks; a child may live for milliseconds, a look costs one.

    """
    shown = Shown()
    done = threading.Event()

    def look() -> None:
        while True:
            is_last = done.is_set()  # what is there at the end is always seen
            shown.look_at(family(leader))
            if is_last:
                return
            done.wait(every)

    watcher = threading.Thread(target=look, name="watch-processes", daemon=True)
    watcher.start()
    try:
        yield shown
    finally:
        done.set()
        watcher.join()


def shows_memory() -> bool:
    """Whether this system tells the memory of other processes."""
    return (_PROC / "self/status").exists()


@dataclass
class Shown:
    """What processes showed.

    Attributes:
        arguments: every argument list, as text.
        environments: every environment, as text.
        memory: the most that they held at one time together, resident, in bytes; pages of a file
            that they have mapped are not theirs.

    """

    arguments: set[str] = field(default_factory=set)
    environments: set[str] = field(default_factory=set)
    memory: int = 0

    def look_at(self, pids: Iterable[int]) -> None:
        memory = 0
        for pid in pids:
            with contextlib.suppress(OSError):  # it has ended, or is somebody else's
                self.arguments.add(_text(_PROC / f"{pid}/cmdline"))
                found = _HELD.findall(_text(_PROC / f"{pid}/status"))
                memory += sum(map(int, found)) * _KIB
                self.environments.add(_text(_PROC / f"{pid}/environ"))
        self.memory = max(self.memory, memory)


def family(pid: int) -> set[int]:
    """A process, all its descendants, and who is left in the session that it leads."""
    seen = dict(_processes())
    parents = {child: int(fields[_PARENT]) for child, fields in seen.items()}
    found = {pid, *(child for child, fields in seen.items() if int(fields[_SESSION]) == pid)}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def is_group_alive(group: int) -> bool:
    """Whether a process of a group is still running; one that only waits to be reaped is not."""
    if _PROC.is_dir():
        return any(
            int(fields[_GROUP]) == group and fields[_STATE] not in {b"Z", b"X"}
            for _, fields in _processes()
        )
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # macOS: only zombies are left
        return False
    return True


def _text(path: Path) -> str:
    return path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")


def _processes() -> Iterator[tuple[int, list[bytes]]]:
    """The id of every process, with the fields of its state; none where there is no /proc."""
    if not _PROC.is_dir():
        return
    with os.scandir(_PROC) as entries:
        ids = [entry.name for entry in entries if entry.name.isdecimal()]
    for pid in ids:
        # Hundreds of times a second: by way of Path it would cost twice as much.
        with (
            contextlib.suppress(OSError),
            open(f"{_PROC}/{pid}/stat", "rb", buffering=0) as file,  # noqa: PTH123
        ):
            # The name in parentheses may hold spaces and parentheses itself.
            yield int(pid), file.read().rpartition(b")")[2].split()

"""What anybody on this machine can see of a process and its children."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_TURN = 0.002  # seconds between two looks
_STATE, _GROUP, _SESSION = 0, 2, 3  # among the fields behind the command's name in /proc/…/stat


@contextlib.contextmanager
def watch_arguments(session: int) -> Iterator[set[str]]:
    """Gather every argument list in a session while the block runs; empty without /proc.

    Args:
        session: id of the process that leads the session.

    """
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while True:
            seen.update(_arguments_in(session))
            if done.wait(_TURN):
                return

    watcher = threading.Thread(target=look, name="watch-arguments", daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def is_group_alive(group: int) -> bool:
    """Whether a process of a group is still running; one that only waits to be reaped is not."""
    if _PROC.is_dir():
        return any(
            int(fields[_GROUP]) == group and fields[_STATE] not in {"Z", "X"}
            for _, fields in _processes()
        )
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _arguments_in(session: int) -> Iterator[str]:
    for process, fields in _processes():
        if int(fields[_SESSION]) == session:
            with contextlib.suppress(OSError):
                arguments = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                yield arguments.decode("utf-8", "replace")


def _processes() -> Iterator[tuple[Path, list[str]]]:
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold spaces and parentheses itself.
            yield process, (process / "stat").read_text().rpartition(")")[2].split()

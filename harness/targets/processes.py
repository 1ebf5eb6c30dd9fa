"""The argument lists of a process and its children, as anybody on the machine can read them."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_TURN = 0.002  # seconds between two looks
_SESSION = 3  # the session id among the fields behind the command's name in /proc/…/stat


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


def _arguments_in(session: int) -> Iterator[str]:
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name in parentheses may hold spaces and parentheses itself.
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[_SESSION]) == session:
                yield (
                    (process / "cmdline")
                    .read_bytes()
                    .replace(b"\0", b" ")
                    .decode("utf-8", "replace")
                )

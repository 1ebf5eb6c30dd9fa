"""What one thread makes the threads of all connections do, whatever they are waiting for."""

from __future__ import annotations

import socket
from typing import Literal

Order = Literal["close", "reset", "silence"]
"""What another thread can make of a connection: FIN, RST, or neither and nothing more."""


class Orders:
    """What another thread makes of every connection of a server, also of those still to come."""

    def __init__(self) -> None:
        self.current: Order | None = None
        self._reader, self._writer = socket.socketpair()
        self._old: list[socket.socket] = []

    def fileno(self) -> int:
        """A descriptor that can be read from as soon as there is a newer order."""
        return self._reader.fileno()

    def give(self, what: Order) -> None:
        """Wake every thread that polls, for it to obey."""
        self.current = what
        writer = self._writer
        if what == "silence":  # the others are the last; where descriptors ran out, they are obeyed
            self._old.append(self._reader)  # still polled by those that have yet to wake up
            self._reader, self._writer = socket.socketpair()
        writer.close()

    def close(self) -> None:
        """Release the descriptors, when no thread polls them any more."""
        for sock in (*self._old, self._reader, self._writer):
            sock.close()

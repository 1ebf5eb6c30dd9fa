"""Commands of a server to the threads of all its connections, which obey at once."""

import select
import socket
from enum import Enum


class Command(Enum):
    """What every connection of a server does at once, also one that is accepted later."""

    CLOSE = "close"  # end with FIN
    RESET = "reset"  # end with RST
    SILENCE = "silence"  # read and write nothing more; a CLOSE or RESET may follow


def is_readable(fd: int) -> bool:
    """Whether a read on this descriptor would not wait."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


class Control:
    """The newest command, and a descriptor that wakes the threads that poll it.

    The descriptor is readable after any command, and hangs up at the command that ends
    connections. A thread that has obeyed SILENCE polls for the hang-up only.
    """

    def __init__(self) -> None:
        self.command: Command | None = None
        self._reader, self._writer = socket.socketpair()

    def fileno(self) -> int:
        return self._reader.fileno()

    def give(self, command: Command) -> None:
        self.command = command
        if command is Command.SILENCE:
            self._writer.send(b"\0")
        else:
            self._writer.close()

    def close(self) -> None:
        """Release the descriptors; call it when no thread polls them any more."""
        self._reader.close()
        self._writer.close()

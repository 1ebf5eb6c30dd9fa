"""The standard streams of the command line."""

import contextlib
import errno
import io
import os
import select
from pathlib import Path
from typing import TextIO

from deploy_relay_kit.relay.errors import InputError


class Output:
    """A standard stream, whose errors do not stop a deploy.

    `error` is the text of the first one; the stream ignores everything that is written after it.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.error: str | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # its encoding may lack characters

    def check(self, what: str) -> None:
        """Raise InputError if not all was written; a reader that closed its pipe had enough."""
        if self.error and self.error != os.strerror(errno.EPIPE):
            raise InputError(f"the {what} could not be written: {self.error}")

    @property
    def is_terminal(self) -> bool:
        return self.stream is not None and self.stream.isatty()

    def say(self, text: str) -> None:
        """Write one line, and flush it for the reader of a pipe."""
        if self.stream is None:  # it was closed when Python started
            self.error = os.strerror(errno.EBADF)
        if self.stream is None or self.error:
            return
        try:
            _write(self.stream, f"{text}\n")
        except OSError as error:
            self.error = error.strerror
            # Python writes the rest of its buffer when it ends.
            with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self.stream.fileno())


def _write(stream: TextIO, text: str) -> None:
    """Write and flush all of a text.

    Without a buffer (PYTHONUNBUFFERED), Python drops what a full disk, or a pipe that does not
    block, did not take at once.
    """
    stream.flush()
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # it is in memory
        stream.write(text)
        stream.flush()
        return
    left = memoryview(text.encode(stream.encoding, stream.errors or "strict"))
    while left:
        try:
            left = left[os.write(number, left) :]
        except BlockingIOError:
            room = select.poll()
            room.register(number, select.POLLOUT)
            room.poll()


def printable(text: str) -> str:
    """A peer's text without line breaks and control characters of a terminal."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def printable_line(text: str) -> str:
    """A line of columns: its tabs stay."""
    return "\t".join(printable(column) for column in text.split("\t"))

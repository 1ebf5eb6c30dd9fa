"""Small files that a caller names: texts, and PEM files that OpenSSL reads by their name."""

import io
import os
import stat
from pathlib import Path

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.node import AnyPath

STANDARD_INPUT = Path("-")
_TEXT_BYTES = 1 << 20
_PEM_BYTES = 1 << 24  # more than the authorities of a system


def read_text(path: Path, option: str | None = None, *, most: int = _TEXT_BYTES) -> str:
    """The text of a file of at most so many bytes, without a byte order mark.

    "-" is the standard input. Errors name the option, if there is one.

    Raises:
        InputError: It cannot be read, is longer, or is not UTF-8.
    """
    what = "standard input" if path == STANDARD_INPUT else repr(str(path))
    start = f"{option}: " if option else ""
    try:
        with open(0, "rb", closefd=False) if path == STANDARD_INPUT else path.open("rb") as file:
            content = file.read(most + 1)
        text = content.decode("utf-8-sig") if len(content) <= most else None
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        why = getattr(error, "strerror", "it is not UTF-8 text")
        raise InputError(f"{start}cannot read {what}: {why}") from error
    if text is None:
        raise InputError(f"{start}{what} is longer than {most:,} bytes; is it the right file?")
    return text


def open_at_once(path: Path) -> io.FileIO:
    """Open a file to read it; a pipe that has taken its place does not wait for a writer."""
    return io.FileIO(path, opener=_open_at_once)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def check_length(file: AnyPath, what: str) -> None:
    """Refuse a PEM file that would be read without end, or cannot be read again.

    Raises:
        InputError: It is a device or a pipe, or longer than any PEM file; the text begins with
            `what`.
    """
    try:
        found = Path(file).stat()
    except (OSError, ValueError):
        return  # which reading it reports
    if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        raise InputError(f"{what} is a device; give a readable PEM file")
    if stat.S_ISFIFO(found.st_mode):  # such as <(…) of a shell
        raise InputError(f"{what} is a pipe, which can be read only once; give a PEM file")
    if found.st_size > _PEM_BYTES:
        raise InputError(f"{what} is longer than {_PEM_BYTES:,} bytes; is it the right file?")

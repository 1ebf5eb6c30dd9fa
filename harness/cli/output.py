"""What the commands print, for a person or a program."""

import os
import sys
import unicodedata
from collections.abc import Iterable

from deploy_relay_kit.harness.errors import InputError

_ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, bidirectional marks, surrogates, line ends
_KEPT = {"\n", "\t"}


def say(lines: Iterable[str]) -> None:
    """Print lines at once; a reader that closes the pipe (`| head`) does not change the exit code.

    Control characters, which a relay may have reported, are escaped.

    Raises:
        InputError: they cannot be written, as on a full disk.
    """
    if sys.stdout is None:  # closed from the start
        return
    try:
        for line in lines:
            print(printable(line))
        sys.stdout.flush()
    except OSError as error:
        # Python would write the rest of the buffer again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise InputError(f"cannot write the output: {error.strerror}") from error


def printable(text: str) -> str:
    """The text with characters escaped that would act on a terminal or have no form in UTF-8."""
    if text.isprintable():
        return text
    return "".join(
        repr(it)[1:-1] if it not in _KEPT and unicodedata.category(it) in _ESCAPED else it
        for it in text
    )

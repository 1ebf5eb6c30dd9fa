"""What the commands print for a person or a program to read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from harness.errors import InputError


def say(lines: Iterable[str]) -> None:
    """Print lines at once; whoever has seen enough of them (`| head`) has no say in an exit code.

    Raises:
        InputError: they cannot be written, as on a full disk.

    """
    if sys.stdout is None:  # closed from the start
        return
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer would be written once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise InputError(f"cannot write the output: {error.strerror}") from error

"""What the commands print, for a person or a program."""

import os
import sys
from collections.abc import Iterable

from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.witness.printable import printable


def say(lines: Iterable[str]) -> None:
    """Print lines at once; a reader that closes the pipe (`| head`) does not change the exit code.

    What a relay may have reported to act on a terminal or on a CI server is escaped.

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

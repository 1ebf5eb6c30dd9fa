"""Errors that every room may raise, and the text of a file with its own."""

from pathlib import Path

_MOST_BYTES = 1 << 26  # a result of all cases has some megabytes


class InputError(ValueError):
    """A user's mistake; the text names the thing, its value and the remedy.

    The command line prints it and exits with 2.
    """


class Unseen(AssertionError):  # noqa: N818 - it says what is wrong
    """A test asked a witness or an outcome for something that did not happen."""


def read_text(path: Path) -> str:
    """The text of a file that a user gave, without a byte order mark.

    Raises:
        InputError: It cannot be read, is too long, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:  # which may be cut in the middle of a character
            raise InputError(f"{path}: longer than {_MOST_BYTES:,} bytes")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8") from error

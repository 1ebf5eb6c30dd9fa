"""What is a person's mistake, and not the kit's or a relay's."""

from __future__ import annotations


class InputError(ValueError):
    """What was asked cannot be done; the text names the thing, its value and a remedy.

    The command line prints it and exits with 2.
    """

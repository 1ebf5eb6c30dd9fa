"""A signal that ends what runs here as Ctrl-C does."""

from __future__ import annotations

from typing import NoReturn


def interrupt(number: int, _: object) -> NoReturn:
    """Let a signal do what Ctrl-C does, so that whatever was started is ended.

    Raises:
        KeyboardInterrupt: with the number of the signal.

    """
    raise KeyboardInterrupt(number)

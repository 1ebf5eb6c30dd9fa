"""A signal that ends what runs here as Ctrl-C does."""

import signal
from typing import NoReturn


def interrupt(number: int, _: object) -> NoReturn:
    """Let a signal do what Ctrl-C does, once, so that whatever was started is ended.

    Raises:
        KeyboardInterrupt: with the number of the signal.

    """
    signal.signal(number, signal.SIG_IGN)  # another one would break into the clean-up
    raise KeyboardInterrupt(number)

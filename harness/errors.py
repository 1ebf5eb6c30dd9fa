"""Errors that every room may raise."""


class InputError(ValueError):
    """A user's mistake; the text names the thing, its value and the remedy.

    The command line prints it and exits with 2.
    """


class Unseen(AssertionError):  # noqa: N818 - it says what is wrong
    """A test asked a witness or an outcome for something that did not happen."""

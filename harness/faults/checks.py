"""Checks of values that people give: each error names the value and what would do."""

from __future__ import annotations

import math
from collections.abc import Iterable

_SMALLEST_STATUS, _LARGEST_STATUS = 200, 599


def whole(name: str, value: object, *, least: int, most: int | None = None) -> None:
    """Raise ValueError unless `value` is an integer within these bounds."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):  # type: ignore[operator]
        span = f"of {least} or more" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} {value!r}: give a whole number {span}")


def status(value: object) -> None:
    """Raise ValueError unless `value` is the status of a final answer."""
    whole("status", value, least=_SMALLEST_STATUS, most=_LARGEST_STATUS)


def number(name: str, value: object, *, above: float | None = None) -> None:
    """Raise ValueError unless `value` is finite and not negative, or greater than `above`."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    low = 0 if above is None else above
    if (
        not is_number
        or not math.isfinite(value)  # type: ignore[arg-type]
        or value < low  # type: ignore[operator]
        or value == above
    ):
        wanted = "0 or more" if above is None else f"more than {above:g}"
        raise ValueError(f"{name} {value!r}: give a number, {wanted}")


def kind(name: str, value: object, kinds: tuple[type, ...]) -> None:
    """Raise ValueError unless `value` is of one of some classes."""
    if not isinstance(value, kinds):
        names = ", ".join(it.__name__ for it in kinds)
        raise ValueError(f"{name} {value!r}: give one of {names}")  # noqa: TRY004 - as all here


def function(name: str, value: object) -> None:
    """Raise ValueError unless `value` can be called."""
    if not callable(value):
        wanted = "give a function without parameters"
        raise ValueError(f"{name} {value!r}: {wanted}")  # noqa: TRY004 - as all here


def word(name: str, value: object, words: Iterable[object]) -> None:
    """Raise ValueError unless `value` is one of some words."""
    known = list(words)
    if value not in known:
        raise ValueError(f"{name} {value!r}: give one of {', '.join(map(repr, known))}")

"""Checks of values: each error names the value and says what is allowed."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from types import UnionType
from typing import Any, get_args

from attrs import Attribute, frozen

_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST = 1e9  # a socket takes no time limit of more than some 9e9 seconds


@frozen
class Check:
    """A validator of attrs fields.

    Attributes:
        allows: whether it allows a value.
        allowed: the same in words, as they follow "must be".
    """

    allows: Callable[[Any], bool]
    allowed: str

    def __call__(self, instance: object, field: Attribute[Any], value: object) -> None:
        """Validate a field; attrs calls this."""
        self.validate(field.name, value)

    def validate(self, name: str, value: object) -> None:
        """Raise ValueError unless the value is allowed."""
        if not self.allows(value):
            raise ValueError(f"{name} must be {self.allowed}, not {value!r}")

    def __or__(self, other: Check) -> Check:
        """A check that allows what either of two allows."""
        return Check(
            lambda value: self.allows(value) or other.allows(value),
            f"{self.allowed} or {other.allowed}",
        )


def header_pairs(
    value: Mapping[str, str] | Iterable[tuple[str, str]],
) -> tuple[tuple[str, str], ...]:
    """Header lines in order, from a mapping or from pairs; a converter of attrs fields.

    Raises:
        TypeError: it is neither.
        ValueError: a name or a value is no text that a header line can hold.
    """
    given: Any = value  # a test without a type checker may give anything
    if not isinstance(given, Iterable):
        raise TypeError(f"headers must be a mapping or pairs, not {given!r}")
    pairs = tuple(given.items() if isinstance(given, Mapping) else given)
    for pair in pairs:
        match pair:
            case (str(name), str(text)) if name and _is_line(name) and _is_line(text):
                continue
            case _:
                raise ValueError(
                    f"headers hold {pair!r}: give a mapping or pairs of a name and a value, "
                    'such as {"Retry-After": "5"}; both are texts in latin-1 without line breaks'
                )
    return pairs


def is_json(value: object) -> bool:
    """Whether a value can be written as JSON, which has no NaN and no infinity."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _is_line(text: str) -> bool:
    return max(text, default="") <= "\xff" and not {"\r", "\n"} & {*text}


def check_int(least: int, most: int | None = None) -> Check:
    """Allow integers from `least` to `most`."""
    top = math.inf if most is None else most
    return Check(
        lambda value: isinstance(value, int) and _is_number(value) and least <= value <= top,
        f"an integer of {least} or more" if most is None else f"an integer from {least} to {most}",
    )


def check_number(*, above: float | None = None) -> Check:
    """Allow numbers of 0 or more, or above a limit, up to a thousand million."""
    if above is None:
        return Check(
            lambda value: _is_number(value) and 0 <= value <= _MOST, "a number from 0 to 1e9"
        )
    return Check(
        lambda value: _is_number(value) and above < value <= _MOST,
        f"a number above {above:g}, at most 1e9",
    )


def check_choice(literal: object) -> Check:
    """Allow the values of a Literal type."""
    choices = get_args(literal)
    return Check(lambda value: value in choices, f"one of {', '.join(map(repr, choices))}")


def check_type(union: UnionType) -> Check:
    """Allow instances of the classes of a union."""
    names = ", ".join(it.__name__ for it in get_args(union))
    return Check(lambda value: isinstance(value, union), f"an instance of one of {names}")


def check_instance(kind: type, allowed: str) -> Check:
    """Allow objects of a class; `allowed`: what they are in words."""
    return Check(lambda value: isinstance(value, kind), allowed)


def check_each(check: Check, allowed: str) -> Check:
    """Allow collections, but no text, whose members a check allows."""
    return Check(
        lambda value: (
            isinstance(value, Collection)
            and not isinstance(value, (str, bytes))
            and all(map(check.allows, value))
        ),
        allowed,
    )


def check_size(most: int) -> Check:
    """Allow bytes up to a length, or a text that has no more in UTF-8."""

    def allows(value: Any) -> bool:
        if isinstance(value, str):
            value = value.encode("utf-8", "surrogatepass")
        return isinstance(value, bytes) and len(value) <= most

    return Check(allows, f"at most {most} bytes long")


check_function = Check(callable, "a function without parameters")
check_bool = check_instance(bool, "True or False")
check_text = check_instance(str, "a text")
check_bytes = check_instance(bytes, "bytes")
check_filled = Check(lambda it: isinstance(it, str) and it != "", "a text that is not empty")
check_encodable = Check(
    lambda it: isinstance(it, str) and not _SURROGATE.search(it), "a text without half characters"
)
check_line = Check(
    lambda it: isinstance(it, str) and _is_line(it), "a text in latin-1 without line breaks"
)
check_path = Check(
    lambda it: isinstance(it, str | os.PathLike) and it != "", "a path that is not empty"
)
check_json = Check(is_json, "JSON values: objects, lists, texts, numbers, True, False, None")
check_message = Check(
    lambda it: isinstance(it, (str, Mapping)) and is_json(it), "a text or an object of JSON values"
)
check_none = Check(lambda value: value is None, "None")
check_status = check_int(200, 599)


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number; True and False are not."""
    is_a_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_a_number and math.isfinite(value)

"""The names of rows in the tables of cases, in characters that a shell leaves alone. Pure."""

import json
import re
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import attrs

_OTHERS = re.compile(r"[^A-Za-z0-9./%=+_]+")
_LONGEST = 48  # characters of one name

Ids = Callable[[Any], object] | Sequence[object] | None


def plain_ids(ids: Ids) -> Ids:
    """The names that a case gives to its rows, in the form that a shell needs no quotes for."""
    if ids is None:
        return None
    if callable(ids):
        name = ids
        return lambda value: _plain(str(name(value)))
    return [_plain(it) if isinstance(it, str) else it for it in ids]


def plain_id(value: object) -> str | None:
    """A name for a value of a row; None where pytest knows a better one."""
    match value:
        case None | bool() | int() | float():
            return _plain(json.dumps(value))
        case bytes():
            return _plain(value.decode("latin-1"))
        case str():
            return _plain(value)
        case Enum():
            return _plain(str(value.value))
        case list() | tuple() | dict():
            return _plain(json.dumps(value, default=str))
    return _plain(type(value).__name__) if attrs.has(type(value)) else None


def _plain(text: str) -> str:
    return _OTHERS.sub("-", text)[:_LONGEST].strip("-") or "empty"

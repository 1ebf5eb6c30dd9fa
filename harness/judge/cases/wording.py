"""What a failed comparison means, in the terms of the wire. Pure."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

_LONGEST = 400  # characters of one value that are shown
_LONG = 100  # characters of a text that nobody counts
_KEPT = 180  # of its beginning, and of its end


@dataclass(frozen=True, slots=True)
class Comparison:
    """An assertion that did not hold: `left op right`, where `left` is what was seen."""

    op: str
    left: Any
    right: Any

    @property
    def expected(self) -> str:
        """What a conforming relay shows."""
        if self.op == "in" and isinstance(self.right, str | bytes):
            return f"a text that contains {shown(self.left)}"
        if self.op == "not in" and isinstance(self.right, str | bytes):
            return f"a text without {shown(self.left)}"
        if self.op in ("in", "not in"):
            words = "one of " if self.op == "in" else "none of "
            if not isinstance(self.left, str) or _is_choice(self.right):
                alone = self.op == "in" and len(self.right) == 1
                return f"{'' if alone else words}{_listed(self.right)}"
            return f"{'' if self.op == 'in' else 'no '}{shown(self.left)} among them"
        if self.op in _WORDS:
            return f"{_WORDS[self.op]}{self._beside(self.right, self.left)}"
        return f"{self.op} {shown(self.right)}"

    @property
    def got(self) -> str:
        """What was seen instead."""
        in_text = isinstance(self.right, str | bytes)
        if self.op in ("in", "not in") and (in_text or not _is_choice(self.right)):
            return shown(self.right)
        return self._beside(self.left, self.right) if self.op in _WORDS else shown(self.left)

    def _beside(self, value: Any, other: Any) -> str:
        is_amount = isinstance(value, int) and self.op.startswith(("<", ">"))
        return f"{value:,}" if is_amount else _beside(value, other)


_WORDS = {
    "==": "",
    "is": "",
    "!=": "anything but ",
    "is not": "anything but ",
    "<": "less than ",
    "<=": "at most ",
    ">": "more than ",
    ">=": "at least ",
}


def _beside(value: Any, other: Any) -> str:
    """A value with what tells it from another one that looks like it: its kind, or its length."""
    text = shown(value)
    kinds = _kind(value), _kind(other)
    if kinds[0] != kinds[1] and all(kinds):
        return f"the {kinds[0]} {text}"
    if isinstance(value, str) and isinstance(other, str) and len(value) != len(other):
        told = len(value) > _LONGEST - 2  # `shown` says it
        long = min(len(value), len(other)) > _LONG
        return f"{text} ({len(value):,} characters)" if long and not told else text
    return text


def _kind(value: Any) -> str:
    """What JSON calls it; empty for what cannot be taken for another kind."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else ""


def _is_choice(value: Any) -> bool:
    """Whether a collection is a list of allowed values, as a case writes it."""
    return isinstance(value, tuple | set | frozenset | range)


def _listed(values: Any) -> str:
    if isinstance(values, range):
        return f"{values.start} to {values.stop - 1}"
    return ", ".join(_each(values)) or "nothing"


def _each(values: Collection[Any]) -> list[str]:
    """The values as texts; those of a set in an order that is the same in every run."""
    texts = [shown(value) for value in values]
    return sorted(texts) if isinstance(values, set | frozenset) else texts


def shown(value: Any) -> str:
    """A value as a person reads it: never the repr of a Python object; cut in the middle."""
    match value:
        case None:
            text = "nothing"
        case bytes() | bytearray():
            text = _quoted(bytes(value).decode("utf-8", "backslashreplace"))
        case str():
            text = _quoted(value)
        case Enum():
            text = str(value.value)
        case bool() | int() | float():
            text = json.dumps(value)
        case Mapping():
            text = json.dumps(_plain(dict(value)), ensure_ascii=False)
        case list() | tuple() | set() | frozenset():
            text = f"[{', '.join(_each(value))}]" if value else "nothing"
        case _:
            text = str(value)
    return cut(text)


def _quoted(text: str) -> str:
    """In the quotes that the text does not hold; unprintable characters are escaped."""
    quote = "'" if '"' in text else '"'
    shown_text = "".join(it if it.isprintable() else repr(it)[1:-1] for it in text)
    return f"{quote}{shown_text}{quote}"


def _plain(value: Any) -> Any:
    """JSON values, with every other value as its text."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case Mapping():
            return {str(name): _plain(item) for name, item in value.items()}
        case set() | frozenset():
            return sorted(map(_plain, value), key=str)
        case list() | tuple():
            return [_plain(item) for item in value]
    return str(value)


def cut(text: str, hide: Callable[[str], str] = str) -> str:
    """The text, without its middle when it is long; secrets are hidden before."""
    text = hide(text)
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_KEPT]} … {text[-_KEPT:]} ({len(text):,} characters)"

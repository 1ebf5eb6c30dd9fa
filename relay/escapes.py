"""Pure: a text as it is without its escapes, and where each part of it stands in the original."""

import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from html import unescape
from itertools import accumulate

_DEPTH = 2  # as of JSON inside a page of HTML
LONG_TEXT = 65_536
"""Characters; of a longer text only the outer escapes are read, to bound the time."""
_BYTE = "[0-9A-Fa-f]{2}"
Meaning = Callable[[str], str]


class View:
    """A text without the escapes of one kind, and the way back to the text that it is of."""

    def __init__(
        self, text: str, source: "View | None" = None, raw: list[str] | None = None
    ) -> None:
        self.text, self._source = text, source
        self._raw = raw or []  # the parts of the source: texts and escapes in turn
        self._parts: list[str] = []

    @classmethod
    def decoded(cls, source: "View", escapes: re.Pattern[str], meaning: Meaning) -> "View":
        """Of a pattern that is one group. It takes linear time: a text of a peer may be hostile."""
        raw = escapes.split(source.text)
        known = {it: meaning(it) for it in {*raw[1::2]}}
        parts = raw.copy()
        parts[1::2] = map(known.__getitem__, raw[1::2])
        view = cls("".join(parts), source, raw)
        view._parts = parts
        return view

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of this text stands in the original one."""
        if self._source is None:
            return start, end
        return self._source.place(self._back(start)[0], self._back(end - 1)[1])

    @cached_property
    def _begins(self) -> tuple[list[int], list[int]]:
        """Where each part begins here and in the source."""
        here, there = (list(accumulate(map(len, it), initial=0)) for it in (self._parts, self._raw))
        return here, there

    def _back(self, position: int) -> tuple[int, int]:
        """Where the character there begins and ends in the source."""
        here, there = self._begins
        index = bisect_right(here, position) - 1
        if index % 2:  # an escape
            return there[index], there[index + 1]
        start = there[index] + position - here[index]
        return start, start + 1


def is_plain(text: str) -> bool:
    """Whether it has no escape of any kind."""
    return not any(mark in text for mark, _, _ in _KINDS)


def views_of(text: str, *, with_plus: bool) -> Iterator[View]:
    """The text, and what it is without escapes; each takes linear time, and there are few.

    Args:
        text: of a peer.
        with_plus: whether a plus may be a space, as in a form.
    """
    views, seen = [View(text)], {text}
    yield from views
    for _ in range(_DEPTH if len(text) <= LONG_TEXT else 1):
        views = [
            decoded
            for view in views
            for mark, escapes, meaning in _KINDS
            if mark in view.text and (mark != "+" or with_plus)
            if (decoded := View.decoded(view, escapes, meaning)).text not in seen
        ]
        seen |= {view.text for view in views}
        yield from views


# -- the kinds of escapes ------------------------------------------------------------------------


def _utf8(byte: str) -> str:
    """A pattern for the bytes of one character, each written as `byte` with two digits for HH."""
    more = byte.replace("HH", "[89ABab][0-9A-Fa-f]")
    first = {1: "[0-7][0-9A-Fa-f]", 2: "[CDcd][0-9A-Fa-f]", 3: "[Ee][0-9A-Fa-f]", 4: "[Ff][0-7]"}
    return "|".join(byte.replace("HH", it) + more * (n - 1) for n, it in first.items())


_IN_URL = re.compile(f"({_utf8('%HH')})")
_IN_FORM = re.compile(rf"(\+|{_utf8('%HH')})")
_PROGRAM = (
    r"\\(?:u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}"
    rf"|u\{{[0-9A-Fa-f]{{1,6}}\}}|U[0-9A-Fa-f]{{8}}|[\\/\"'bfnrt]|x{_BYTE})"
)
_IN_PROGRAM = re.compile(f"({_PROGRAM})")
_IN_BYTES = re.compile("(" + _utf8(r"\\xHH") + f"|{_PROGRAM})")
_IN_HTML = re.compile(
    r"(&(?:#[0-9]{1,16}|#[Xx][0-9A-Fa-f]{1,16}|[A-Za-z][A-Za-z0-9]{1,31}(?=;));?)"
)
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _in_url(escape: str) -> str:
    if escape == "+":
        return " "
    try:
        return bytes.fromhex(escape.replace("%", "")).decode()
    except UnicodeDecodeError:  # a longer form than needed, or half of a surrogate pair
        return escape


def _in_program(escape: str) -> str:
    """An escape of JSON, JavaScript or Python, or the bytes of one character in Python."""
    digits = escape[2:].strip("{}")
    match escape[1]:
        case "x":
            data = bytes.fromhex(escape.replace("\\x", ""))
            return data.decode("utf-8" if len(data) > 1 else "latin-1", "replace")
        case "u" if "\\" in digits:
            pair = bytes.fromhex(escape.replace("\\u", ""))
            return pair.decode("utf-16-be")
        case "u" | "U":
            number = int(digits, 16)
            return chr(number) if number <= sys.maxunicode else escape
        case letter:
            return _CONTROLS.get(letter, letter)


def _in_html(escape: str) -> str:
    """The character of a number, also of one that HTML does not allow; else what its name means."""
    digits = escape.strip("&#;")
    if escape[1] == "#":
        number = int(digits[1:], 16) if digits[0] in "xX" else int(digits)
        return chr(number) if number <= sys.maxunicode else escape
    return unescape(escape)


# By a character that each has.
_KINDS: tuple[tuple[str, re.Pattern[str], Meaning], ...] = (
    ("%", _IN_URL, _in_url),
    ("+", _IN_FORM, _in_url),
    ("\\", _IN_PROGRAM, _in_program),
    ("\\x", _IN_BYTES, _in_program),  # the same text may be of characters or of bytes
    ("&", _IN_HTML, _in_html),
)

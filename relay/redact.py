"""Pure: removes secrets that a peer quotes from texts and JSON values (BUG-41)."""

import base64
import os
from collections.abc import Iterable, Iterator
from typing import Any

from deploy_relay_kit.relay.escapes import LONG_TEXT, is_plain, views_of

_LONG = 8  # characters
_BETWEEN = 12  # control characters between texts that are searched together


class Secrets:
    """The password and the tokens of one node, each with a word to show instead."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._has_blank = False

    def add(self, secret: str, word: str) -> None:
        """Hide a secret from now on: raw, with escapes, in base64 and in hexadecimal digits."""
        self._words |= dict.fromkeys(filter(None, _forms(secret)), word)
        self._has_blank = self._has_blank or " " in secret

    def hide(self, value: Any) -> Any:
        """The value without the secrets; in one pass, so that no word is replaced in turn."""
        if isinstance(value, str):
            return self._hide(value)
        hidden: dict[str, str] = {}
        for some in _batches(_texts(value)):
            # Searched together, because an answer may be of very many short texts. What is between
            # them is in none of them, since nobody can know it, and in no secret.
            between = bytes(byte % 32 for byte in os.urandom(_BETWEEN)).decode()
            hidden |= zip(some, self._hide(between.join(some)).split(between), strict=True)
        return _replaced(value, hidden)

    def _hide(self, text: str) -> str:
        if is_plain(text) and not any(form in text for form in self._words):
            return text
        # `find` takes linear time; a pattern takes quadratic time where a text repeats a secret.
        found = sorted(
            (*view.place(start, end), word)
            for view in views_of(text, with_plus=self._has_blank)
            for form, word in self._words.items()
            for start, end in _places(form, view.text)
        )
        parts, shown = [], 0  # characters
        for start, end, word in found:
            if start >= shown:
                parts += [text[shown:start], word]
            shown = max(shown, end)
        return "".join([*parts, text[shown:]]) if found else text


def _texts(value: Any) -> Iterator[str]:
    """Each text in a JSON value, the names of members among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Each text once, together with others up to the length whose inner escapes are read."""
    batch: list[str] = []
    length = 0
    for text in dict.fromkeys(texts):
        length += len(text) + _BETWEEN
        if batch and length > LONG_TEXT:
            yield batch
            batch, length = [], len(text) + _BETWEEN
        batch.append(text)
    if batch:
        yield batch


def _replaced(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, str):
        return texts[value]
    if isinstance(value, dict):
        return {texts[name]: _replaced(item, texts) for name, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, texts) for item in value]
    return value


def _places(form: str, text: str) -> Iterator[tuple[int, int]]:
    """Where the form stands. A short one counts only as a whole word, not inside other words."""
    start = text.find(form)
    while start >= 0:
        end = start + len(form)
        around = (text[start - 1 : start] + text[end : end + 1]).replace("_", "a")
        if len(form) >= _LONG or not any(map(str.isalnum, around)):
            yield start, end
            start = text.find(form, end)
        else:
            start = text.find(form, start + 1)


def _forms(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "replace")
    return {secret, *_in_base64(raw), *_in_hex(raw)}


def _in_hex(secret: bytes) -> Iterator[str]:
    """As a dump of bytes shows it; a short one is no word that could be of something else."""
    for between in ("", " ", ":"):
        text = secret.hex(between) if between else secret.hex()
        if len(text) >= _LONG:
            yield from (text, text.upper())


def _in_base64(secret: bytes) -> Iterator[str]:
    """Alone, and inside a longer text, such as `user:password` in the scheme Basic.

    Three bytes become four characters, so there are three ways to begin inside a longer text. The
    characters at both ends, which also depend on its neighbours, are left out.
    """
    encoded = [base64.b64encode(secret).decode().rstrip("=")]
    for before in range(3):
        text = base64.b64encode(bytes(before) + secret).decode()
        end = len(text) - (0, 3, 2)[(before + len(secret)) % 3]
        inner = text[(0, 2, 3)[before] : end]
        if len(inner) >= _LONG:
            encoded.append(inner)
    for text in encoded:
        yield from (text, text.translate(str.maketrans("+/", "-_")))

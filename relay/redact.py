"""Pure: removes secrets that a peer quotes from texts and JSON values (BUG-41)."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

_LONG = 8  # characters
_HEX = re.compile("%[0-9A-F]{2}")
_ESCAPE = re.compile(r"(\\\\)|\\u([0-9a-f]{4})")


class Secrets:
    """The password and the tokens of one node, each with a word to show instead."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def add(self, secret: str, word: str) -> None:
        """Hide a secret from now on: raw, in JSON, in a URL, and in base64."""
        self._words |= dict.fromkeys(filter(None, _forms(secret)), word)

    def hide(self, value: Any) -> Any:
        """The value without the secrets; in one pass, so that no word is replaced in turn."""
        if isinstance(value, str):
            return self._hide(value)
        if isinstance(value, dict):
            return {self.hide(name): self.hide(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.hide(item) for item in value]
        return value

    def _hide(self, text: str) -> str:
        # `find` takes linear time; a pattern takes quadratic time where a text repeats a secret.
        found = sorted(
            (start, end, word)
            for form, word in self._words.items()
            for start, end in _places(form, text)
        )
        parts, shown = [], 0  # characters
        for start, end, word in found:
            if start >= shown:
                parts += [text[shown:start], word]
            shown = max(shown, end)
        return "".join([*parts, text[shown:]]) if found else text


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
    in_json = {json.dumps(secret, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False)}
    in_json |= {_ESCAPE.sub(_in_capitals, text) for text in in_json}
    in_json |= {text.replace("/", "\\/") for text in in_json}
    in_urls = {quote(secret, safe, errors="replace") for safe in ("", "/", "!'()*")}
    in_urls.add(quote_plus(secret, errors="replace"))
    in_urls |= {_HEX.sub(lambda found: found[0].lower(), text) for text in in_urls}
    return {secret, *in_json, *in_urls, *_in_base64(secret.encode("utf-8", "replace"))}


def _in_capitals(escape: re.Match[str]) -> str:
    """An escape of JSON with its digits in capitals; an escaped backslash as it is."""
    return escape[1] or f"\\u{escape[2].upper()}"


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

"""Pure: the same text or JSON value without a secret that a peer may have quoted (BUG-41)."""

from __future__ import annotations

import json
import re
from typing import Any

_LONG = 8  # characters


class Secrets:
    """The password and the tokens of one node, each with the word that stands in its place."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def add(self, secret: str, word: str) -> None:
        """Hide a secret from now on, as it is and as it looks inside JSON text."""
        escaped = (json.dumps(secret, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False))
        self._words |= dict.fromkeys(filter(None, (secret, *escaped)), word)

    def hide(self, value: Any) -> Any:
        """The same JSON value without the secrets; in one pass, so that the words stay whole."""
        if isinstance(value, str):
            # Hardly anything holds one, and to compile a pattern of this length is slow.
            if not any(secret in value for secret in self._words):
                return value
            pattern = "|".join(map(_pattern, sorted(self._words, key=len, reverse=True)))
            return re.sub(pattern, lambda found: self._words[found[0]], value)
        if isinstance(value, dict):
            return {self.hide(name): self.hide(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.hide(item) for item in value]
        return value


def _pattern(secret: str) -> str:
    """A short one may stand in another word by chance, and to hide it there would tell it."""
    literal = re.escape(secret)
    return literal if len(secret) >= _LONG else rf"(?<!\w){literal}(?!\w)"

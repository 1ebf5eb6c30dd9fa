"""Pure: removes secrets that a peer quotes from texts and JSON values (BUG-41)."""

import json
import re
from typing import Any

_LONG = 8  # characters


class Secrets:
    """The password and the tokens of one node, each with a word to show instead."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def add(self, secret: str, word: str) -> None:
        """Hide a secret from now on, both raw and in its JSON forms."""
        escaped = (json.dumps(secret, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False))
        self._words |= dict.fromkeys(filter(None, (secret, *escaped)), word)

    def hide(self, value: Any) -> Any:
        """The value without the secrets; in one pass, so that no word is replaced in turn."""
        if isinstance(value, str):
            # Few texts hold a secret, and compiling a pattern of this length is slow.
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
    """A short secret counts only as a whole word: inside other words it stands by chance."""
    literal = re.escape(secret)
    return literal if len(secret) >= _LONG else rf"(?<!\w){literal}(?!\w)"

"""Pure: the same text or JSON value without a secret that a peer may have quoted (BUG-41)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

Hide = Callable[[Any], Any]


def hiding(secrets: Iterable[str], word: str) -> Hide:
    """Make a function that puts `word` in the place of every secret in a JSON value.

    It finds them as they are and as they look inside JSON text, in one pass, so that `word` itself
    stays whole.
    """
    forms = {
        form
        for secret in secrets
        for form in (secret, _in_json(secret), _in_json(secret, ensure_ascii=False))
        if form
    }
    pattern = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))

    def hide(value: Any) -> Any:
        if isinstance(value, str):
            # Hardly anything holds one, and to compile a pattern of this length is slow.
            return re.sub(pattern, word, value) if any(form in value for form in forms) else value
        if isinstance(value, dict):
            return {hide(name): hide(item) for name, item in value.items()}
        if isinstance(value, list):
            return [hide(item) for item in value]
        return value

    return hide


def _in_json(secret: str, *, ensure_ascii: bool = True) -> str:
    return json.dumps(secret, ensure_ascii=ensure_ascii)[1:-1]


AS_IS = hiding((), "")
"""Hides nothing."""

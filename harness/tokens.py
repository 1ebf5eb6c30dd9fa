"""The tokens of one fake peer: shaped like Harper's, and telling whose they are anywhere."""

from __future__ import annotations

import json
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from typing import Literal

Credential = Literal[
    "missing", "other scheme", "unknown", "refresh", "expired", "forbidden", "good"
]
"""What an Authorization header is worth at this peer."""

_LIFETIME = 86_400


class TokenBook:
    """Issues tokens and knows them again; safe to use from many threads."""

    def __init__(self, node: str) -> None:
        """Keep the tokens of the node of this name."""
        self._node = node
        self._worth: dict[str, Credential] = {}
        self._issued = 0
        self._lock = threading.Lock()

    def issue(self, username: str, *, expire_first: int = 0, forbidden: bool = False) -> str:
        """A new operation token.

        Args:
            username: goes into the claims.
            expire_first: so many tokens of this peer, from its first, have expired when used.
            forbidden: the user of the token may not deploy.

        """
        token = self._new(username, "operation")
        with self._lock:
            expired = self._issued < expire_first
            self._issued += 1
            self._worth[token] = "expired" if expired else "forbidden" if forbidden else "good"
        return token

    def issue_refresh(self, username: str) -> str:
        token = self._new(username, "refresh")
        with self._lock:
            self._worth[token] = "refresh"
        return token

    def worth(self, authorization: str | None) -> Credential:
        """What an Authorization header is worth; its scheme is case-sensitive, as in Harper."""
        if authorization is None:
            return "missing"
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer":
            return "other scheme"
        with self._lock:
            return self._worth.get(token, "unknown")

    def __contains__(self, text: str) -> bool:
        """Whether any token of this peer stands in a text."""
        with self._lock:
            return any(token in text for token in self._worth)

    def _new(self, username: str, subject: str) -> str:
        """A JSON Web Token by its looks (MINT-05); the signature is random and unique."""
        now = int(time.time())
        claims = {"username": username, "super_user": True, "node": self._node}
        claims |= {"iat": now, "exp": now + _LIFETIME, "sub": subject}
        parts = [json.dumps({"alg": "RS256", "typ": "JWT"}), json.dumps(claims)]
        encoded = [urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts]
        return ".".join([*encoded, secrets.token_urlsafe(32)])

"""The tokens of one fake peer: shaped like Harper's, and different from any other peer's."""

import json
import re
import secrets
import threading
import time
from base64 import b64decode, urlsafe_b64encode

from deploy_relay_kit.harness.profiles.profile import Credential

_LIFETIME = 86_400

_TIME = re.compile(r"(\d+|\d*\.\d+) *([a-z]*)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def lifetime(expires_in: object) -> float | None:
    """The lifetime of a token in seconds, from `expires_in` as Harper reads it.

    A number counts seconds, a text without a unit milliseconds. None when it is not a time, or a
    time in weeks or years.
    """
    if isinstance(expires_in, int | float) and not isinstance(expires_in, bool):
        return float(expires_in)
    found = _TIME.fullmatch(expires_in.lower()) if isinstance(expires_in, str) else None
    if found is None:
        return None
    number, unit = found.groups()
    if unit.startswith(("ms", "milli")) or not unit:
        return float(number) / 1000
    return float(number) * _SECONDS[unit[0]] if unit[0] in _SECONDS else None


class TokenBook:
    """Issues tokens and recognizes them; safe to use from many threads."""

    def __init__(self, node: str) -> None:
        """Keep the tokens of the node of this name."""
        self._node = node
        self._worth: dict[str, Credential] = {}
        self._issued = 0
        self._lock = threading.Lock()

    def issue(self, username: str, *, expire_first: int = 0, forbidden: bool = False) -> str:
        """A new operation token.

        Args:
            username: a claim of the token.
            expire_first: this many tokens, from the peer's first, are expired.
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

    def accept(self, token: str) -> None:
        """Take this token for a good one from now on, as if it had been issued."""
        with self._lock:
            self._worth[token] = "good"

    def worth(self, authorization: str | None, user: tuple[str, str] | None = None) -> Credential:
        """The kind of credential in an Authorization header, with a case-sensitive scheme.

        Args:
            authorization: the header's value; None without the header.
            user: name and password of the only user; None rejects the scheme Basic.
        """
        if authorization is None:
            return "missing"
        scheme, _, credential = authorization.partition(" ")
        if scheme == "Basic" and user is not None:
            return _password_worth(credential, user)
        if scheme != "Bearer":
            return "other scheme"
        with self._lock:
            return self._worth.get(credential, "unknown") if credential else "empty"

    @property
    def issued(self) -> list[str]:
        """Every token of this peer so far, of both kinds."""
        with self._lock:
            return list(self._worth)

    def appear_in(self, text: str) -> bool:
        """Whether a text contains a token of this peer."""
        return any(token in text for token in self.issued)

    def redacted(self, text: str) -> str:
        """A text without any token of this peer."""
        with self._lock:
            for token in self._worth:
                text = text.replace(token, "[token]")
        return text

    def _new(self, username: str, subject: str) -> str:
        """A JSON Web Token in form (MINT-05); the signature is random and unique."""
        now = int(time.time())
        claims = {"username": username, "super_user": True, "node": self._node}
        claims |= {"iat": now, "exp": now + _LIFETIME, "sub": subject}
        parts = [json.dumps({"alg": "RS256", "typ": "JWT"}), json.dumps(claims)]
        encoded = [urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts]
        return ".".join([*encoded, secrets.token_urlsafe(32)])


def _password_worth(credential: str, user: tuple[str, str]) -> Credential:
    try:
        given = b64decode(credential + "=" * (-len(credential) % 4), validate=True)
    except ValueError:  # no ASCII, or no base64
        return "not base64"
    return "password" if given == ":".join(user).encode() else "wrong password"

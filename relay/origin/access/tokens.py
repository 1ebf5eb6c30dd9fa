"""Tokens: JWTs signed with the RSA key that the nodes of a cluster share (MINT-04…06, MINT-10)."""

import re
import time
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.files import check_length
from deploy_relay_kit.relay.origin.refusal import RefusalError

_DAY = 86_400
_LIFETIMES = {"operation": _DAY, "refresh": 30 * _DAY}
_SHORT_KEY = 2_048
_SPAN = re.compile(r"(\d{1,9})(s|m|h|d)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": _DAY}


class Tokens:
    """Signs tokens and checks them."""

    def __init__(self, key_file: Path) -> None:
        """Raise InputError for a file that holds no RSA key of 2,048 bits or more."""
        check_length(key_file, f"token_key_file {str(key_file)!r}")
        try:
            key = load_pem_private_key(key_file.read_bytes(), None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InputError(f"cannot use token_key_file {key_file}: {error}") from None
        if not isinstance(key, RSAPrivateKey) or key.key_size < _SHORT_KEY:
            raise InputError(f"token_key_file {key_file} needs an RSA key of 2,048 bits or more")
        self._key = key

    def sign(self, subject: str, lifetime: int | None = None, **claims: object) -> str:
        """A token with the subject `operation` or `refresh` (MINT-05)."""
        now = int(time.time())
        expires = now + (lifetime or _LIFETIMES[subject])
        claims |= {"iat": now, "exp": expires, "sub": subject}
        return jwt.encode(claims, self._key, algorithm="RS256")

    def is_refresh(self, token: str) -> bool:
        """Whether a token is of no use but to get another one (MINT-15)."""
        try:
            self.check(token, "refresh")
        except RefusalError:
            return False
        return True

    def check(self, token: str, subject: str) -> str:
        """The user that a token was signed for (MINT-12)."""
        try:
            claims = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                subject=subject,
                # The clock of the node that signed it may be ahead of this one.
                options={"require": ["exp", "iat", "sub", "username"], "verify_iat": False},
            )
        except jwt.ExpiredSignatureError:
            raise RefusalError(401, "token expired") from None
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise RefusalError(401, "invalid token") from None
        username = claims["username"]
        if not isinstance(username, str):
            raise RefusalError(401, "invalid token")
        return username


def lifetime_in(expires_in: object) -> int | None:
    """Seconds from `expires_in`: a number of seconds, or text such as `15m`; at most 30 days."""
    if expires_in is None:
        return None
    text = f"{expires_in}s" if type(expires_in) is int else expires_in
    match = _SPAN.fullmatch(text) if isinstance(text, str) else None
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= _LIFETIMES["refresh"]:
        raise RefusalError(400, "'expires_in' must be 1 to 2592000 seconds, or text such as '15m'")
    return seconds

"""Passwords and tokens: who may log in (MINT-04…06, MINT-10).

A password costs the same time whoever has it, and a source that guesses waits. Tokens are JWTs,
signed with the RSA key that the nodes of a cluster share.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.files import read_text
from deploy_relay_kit.relay.origin.answers import RefusalError
from deploy_relay_kit.relay.origin.config import User

_N, _R, _P = 1 << 14, 8, 1  # 16 MiB and some 50 ms for each check
_KEY_BYTES = 64
_AT_ONCE = 2
_SOURCES, _FORGOTTEN = 10_000, 60.0
_FREE, _LONGEST = 3, 2.0  # failures without a delay; seconds
_DAY = 86_400
_LIFETIMES = {"operation": _DAY, "refresh": 30 * _DAY}
_SHORT_KEY = 2_048
_SPAN = re.compile(r"(\d{1,9})(s|m|h|d)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": _DAY}


def hashed(password: str) -> str:
    """A hash of a password for the configuration: `scrypt$SALT$HASH`, both in base64."""
    salt = os.urandom(16)
    return "scrypt$" + "$".join(
        base64.b64encode(it).decode() for it in (salt, _key(password, salt))
    )


def _key(password: str, salt: bytes) -> bytes:
    # JSON may hold half of a surrogate pair, which UTF-8 has no bytes for.
    return hashlib.scrypt(password.encode(errors="surrogatepass"), salt=salt, n=_N, r=_R, p=_P)


class Users:
    def __init__(self, users: Mapping[str, User]) -> None:
        """Raise InputError for a hash that is not of `relay hash-password`."""
        self._hashes: dict[str, tuple[bytes, bytes]] = {}
        for name, user in users.items():
            try:
                kind, salt, key = user.hash.split("$")
                self._hashes[name] = base64.b64decode(salt, validate=True), base64.b64decode(key)
                is_hash = kind == "scrypt" and len(self._hashes[name][1]) == _KEY_BYTES
            except (ValueError, binascii.Error):
                is_hash = False
            if not is_hash:
                raise InputError(
                    f"hash of user {name!r} is not one of 'relay hash-password'; run it to make one"
                )
        self.super_users = {name for name, user in users.items() if user.super_user}
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._secret = os.urandom(_KEY_BYTES)
        self._proved: dict[str, bytes] = {}  # of a name and its right password
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __contains__(self, name: str) -> bool:
        return name in self._hashes

    async def check(
        self, name: str, password: str, source: str, refusal: str = "Login failed"
    ) -> None:
        """Refuse a wrong password; that of an unknown user costs the same time."""
        text = json.dumps([name, password]).encode()
        # A password that was right before is known at once, however many others guess.
        proof = hmac.digest(self._secret, text, "sha256")
        if hmac.compare_digest(proof, self._proved.get(name, b"")):
            return
        count, last = self._failures.get(source, (0, 0.0))
        if time.monotonic() - last > _FORGOTTEN:
            count = 0
        # Counted before the check, so that guesses at the same time slow each other as well.
        self._count(source, count + 1)
        await asyncio.sleep(min(_LONGEST, 0.1 * 2 ** (count - _FREE)) if count > _FREE else 0)
        salt, expected = self._hashes.get(name, (b"no such user.", bytes(_KEY_BYTES)))
        async with self._places:
            actual = await asyncio.to_thread(_key, password, salt)
        if not hmac.compare_digest(actual, expected):
            raise RefusalError(401, refusal)
        self._proved[name] = proof
        count, _ = self._failures.get(source, (1, 0.0))
        self._count(source, count - 1)

    def _count(self, source: str, failures: int) -> None:
        self._failures[source] = max(0, failures), time.monotonic()
        self._failures.move_to_end(source)
        if len(self._failures) > _SOURCES:
            self._failures.popitem(last=False)


class Tokens:
    def __init__(self, key_file: Path) -> None:
        """Raise InputError for a file that holds no RSA key of 2,048 bits or more."""
        text, what = read_text(key_file, "token_key_file"), f"token_key_file {str(key_file)!r}"
        try:
            key = load_pem_private_key(text.encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            # The words of `cryptography` for what is no PEM are a link to its questions.
            why = "it is encrypted" if isinstance(error, TypeError) else "not the PEM of a key"
            remedy = "give an RSA key, unencrypted, as a PEM file"
            raise InputError(f"{what} cannot be used: {why}; {remedy}") from None
        if not isinstance(key, RSAPrivateKey) or key.key_size < _SHORT_KEY:
            raise InputError(f"{what} needs an RSA key of 2,048 bits or more")
        self._key = key

    def sign(self, subject: str, lifetime: int | None = None, **claims: object) -> str:
        """A token with the subject `operation` or `refresh` (MINT-05)."""
        now = int(time.time())
        expires = now + (lifetime or _LIFETIMES[subject])
        claims |= {"iat": now, "exp": expires, "sub": subject}
        return jwt.encode(claims, self._key, algorithm="RS256")

    def check(self, token: str, *subjects: str) -> tuple[str, str]:
        """The user that a token was signed for, and its subject, one of these (MINT-12)."""
        try:
            claims = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                # The clock of the node that signed it may be ahead of this one.
                options={"require": ["exp", "iat", "sub", "username"], "verify_iat": False},
            )
        except jwt.ExpiredSignatureError:
            raise RefusalError(401, "token expired") from None
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise RefusalError(401, "invalid token") from None
        username, subject = claims["username"], claims["sub"]
        if not isinstance(username, str) or subject not in subjects:
            raise RefusalError(401, "invalid token")
        return username, subject


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

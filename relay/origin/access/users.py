"""Users: hashes of passwords, checks of constant time, and patience with a source that guesses."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from collections import OrderedDict
from collections.abc import Mapping

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.origin.config import User
from deploy_relay_kit.relay.origin.refusal import RefusalError

_N, _R, _P = 1 << 14, 8, 1  # 16 MiB and some 50 ms for each check
_KEY_BYTES = 64
_AT_ONCE = 2
_SOURCES, _FORGOTTEN = 10_000, 60.0
_FREE, _LONGEST = 3, 2.0  # failures without a delay; seconds


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
    """The users of the configuration."""

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
                raise InputError(f"hash of user {name!r} is not one of 'relay hash-password'")
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

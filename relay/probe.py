"""Asking a peer for its version first: before 5.1 it takes no streamed deploys (VER-01…04)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from typing import TYPE_CHECKING

from relay.answer import success_members
from relay.errors import AttemptError, PeerError

if TYPE_CHECKING:
    from relay.connection import Connections, Peer

_VERSION = re.compile(r"(\d+)\.(\d+)", re.ASCII)
_FIRST_MODERN = (5, 1)


async def refuse_old(peer: Peer, token: str, connections: Connections) -> None:
    """Raise a PeerError if the peer says that it is too old; any trouble counts as modern."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    body = json.dumps({"operation": "registration_info"}).encode()
    version: object = None
    with contextlib.suppress(AttemptError, TimeoutError):
        async with asyncio.timeout(connections.limits.mint):
            version = success_members(await connections.post(peer, headers, body)).get("version")
    if not takes_streams(version):
        reason = f"the peer runs version {version}; it takes streamed deploys from 5.1 on"
        raise PeerError("upload", reason)


def takes_streams(version: object) -> bool:
    """VER-02: judged by major and minor; what cannot be read counts as modern."""
    found = _VERSION.match(version) if isinstance(version, str) else None
    return found is None or (int(found[1]), int(found[2])) >= _FIRST_MODERN

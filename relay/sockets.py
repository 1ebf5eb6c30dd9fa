"""What connections begin with: the addresses of a host, and sockets that hear a peer out."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

# macOS may say EPROTOTYPE of a socket that is just being closed.
_LOST = {errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE}
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Lookups(AbstractResolver):
    """Asks the system, which may take as long as it likes: nobody waits for it but its own node.

    asyncio's few threads would all be taken by a few names that nobody answers for, and its end
    waits for them. A thread that is no longer waited for is left to end alone.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = Future[list[ResolveResult]]()
        found.set_running_or_notify_cancel()  # from now on, giving up changes nothing here

        def look_up() -> None:
            try:
                found.set_result(_addresses(host, port, family))
            except Exception as error:  # noqa: BLE001  it is raised where it is waited for
                found.set_exception(error)

        try:
            threading.Thread(target=look_up, name=f"lookup of {host}", daemon=True).start()
        except RuntimeError as error:  # this machine, or this container, allows no more
            raise OSError("no thread is left; serve fewer nodes at once (concurrency)") from error
        return await asyncio.wrap_future(found)

    async def close(self) -> None:
        """Nothing is held."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            # In figures, with the zone of an IPv6 address where it has one.
            host=socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0],
            port=port,
            family=kind,
            proto=protocol,
            flags=_NUMERIC,
        )
        for kind, _, protocol, _, address in found
    ]


_TCP = socket.IPPROTO_TCP
_OPTIONS = (
    # A peer may install for an hour without a word (SSE-14): so nothing on the way takes the
    # connection for a dead one, and a dead one is noticed.
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (_TCP, "TCP_KEEPIDLE", 60),  # seconds; macOS calls it TCP_KEEPALIVE
    (_TCP, "TCP_KEEPALIVE", 60),
    (_TCP, "TCP_KEEPINTVL", 15),
    (_TCP, "TCP_KEEPCNT", 4),
    # Or a socket takes more only once a third of its buffers, which may be a megabyte, is gone: a
    # peer that is slow would seem to stall.
    (_TCP, "TCP_NOTSENT_LOWAT", 262_144),
)


class PatientSocket(socket.socket):
    """Lets what a peer has answered be read before its reset is noticed (EARLY-08)."""

    _is_lost = False

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        for level, name, value in _OPTIONS:
            with contextlib.suppress(AttributeError, OSError):  # not on every system
                self.setsockopt(level, getattr(socket, name), value)

    def send(self, *what: Any) -> int:
        return self._patiently(super().send, *what)

    def sendmsg(self, *what: Any) -> int:
        """Send as the event loop of Python 3.12 and later does."""
        return self._patiently(super().sendmsg, *what)

    def _patiently(self, send: Callable[..., int], *what: Any) -> int:
        try:
            return send(*what)
        except OSError as error:
            if self._is_lost or error.errno not in _LOST:
                raise
            self._is_lost = True
            raise BlockingIOError from None  # the event loop reads, and then tries again

    def has_hung_up(self) -> bool:
        """Whether the peer has said its last byte, and all of them have been read."""
        with contextlib.suppress(OSError):
            return not self.recv(1, socket.MSG_PEEK)
        return False

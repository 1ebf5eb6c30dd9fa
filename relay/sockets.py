"""Name lookups that block nothing, and sockets that read an answer before they fail."""

import asyncio
import contextlib
import encodings.idna  # noqa: F401  Python needs it for the first host, maybe without a descriptor
import errno
import fcntl
import os
import socket
import sys
import termios
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

# macOS may say EPROTOTYPE of a socket that is just being closed.
LOST = {errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE}
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Lookups(AbstractResolver):
    """Looks up each name in a thread of its own, so that a slow lookup delays only its node.

    asyncio has few threads, which a few slow lookups would occupy, and waits for them at its end.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = Future[list[ResolveResult]]()
        found.set_running_or_notify_cancel()  # so the thread can always set its result

        def look_up() -> None:
            try:
                found.set_result(_addresses(host, port, family))
            except Exception as error:  # noqa: BLE001  it is raised where the result is awaited
                found.set_exception(error)

        try:
            threading.Thread(target=look_up, name=f"lookup of {host}", daemon=True).start()
        except RuntimeError as error:  # the limit of the machine or the container
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
        return await asyncio.wrap_future(found)

    async def close(self) -> None:
        """There is nothing to close."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    try:
        found = socket.getaddrinfo(
            host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except socket.gaierror:
        # Without a descriptor for its files, the system finds no host, and does not say why.
        os.close(os.open(os.devnull, os.O_RDONLY))
        raise
    return [
        ResolveResult(
            hostname=host,
            # Numeric, with the zone of an IPv6 address.
            host=socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0],
            port=port,
            family=kind,
            proto=protocol,
            flags=_NUMERIC,
        )
        for kind, _, protocol, _, address in found
    ]


TURN_BYTES = 32_768  # read in one turn of the event loop, so that no flood holds it for long
_TCP = socket.IPPROTO_TCP
_OPTIONS = (
    # A peer may install for an hour in silence (SSE-14). Keep-alive keeps the connection open on
    # the way, and detects a dead one.
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (_TCP, "TCP_KEEPIDLE", 60),  # seconds; macOS calls it TCP_KEEPALIVE
    (_TCP, "TCP_KEEPALIVE", 60),
    (_TCP, "TCP_KEEPINTVL", 15),
    (_TCP, "TCP_KEEPCNT", 4),
    # By default a socket takes more data only when a third of its buffers is free, which may be a
    # megabyte: a slow peer would seem to stall. `TlsTransport` has another way, where it can.
    (_TCP, "TCP_NOTSENT_LOWAT", 262_144),
)


class PatientSocket(socket.socket):
    """Reports a lost connection one write late, so that the answer is read first (EARLY-08)."""

    _is_lost = False

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        for level, name, value in _OPTIONS:
            with contextlib.suppress(AttributeError, OSError):  # not on every system
                self.setsockopt(level, getattr(socket, name), value)

    def recv(self, size: int, flags: int = 0) -> bytes:
        return super().recv(min(size, TURN_BYTES), flags)

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        most = min(size or len(buffer), TURN_BYTES)
        return super().recv_into(buffer, most, flags)

    def send(self, *what: Any) -> int:
        return self._patiently(super().send, *what)

    def sendmsg(self, *what: Any) -> int:
        """Used by the event loop of Python 3.12 and later."""
        return self._patiently(super().sendmsg, *what)

    def _patiently(self, send: Callable[..., int], *what: Any) -> int:
        try:
            return send(*what)
        except OSError as error:
            if self._is_lost or error.errno not in LOST:
                raise
            self._is_lost = True
            raise BlockingIOError from None  # the event loop reads, then writes again

    def has_hung_up(self) -> bool:
        """Whether the peer has closed its side, and all its bytes have been read."""
        with contextlib.suppress(OSError):
            return not self.recv(1, socket.MSG_PEEK)
        return False


def untaken_bytes(number: int) -> int:
    """How many bytes that were sent on a socket the other system has not acknowledged."""
    if sys.platform != "linux":
        return 0
    return int.from_bytes(fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

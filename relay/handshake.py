"""The TLS handshake of a connected socket."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import cast

from deploy_relay_kit.relay.tlstransport import TlsSocket, TlsTransport


async def start_tls(
    plain: socket.socket,
    context: ssl.SSLContext,
    server_hostname: str | None,
    protocol: asyncio.Protocol,
) -> TlsTransport:
    """Shake hands on a connected socket, which is closed if that fails.

    Raises:
        OSError: It failed; an `ssl.SSLError` says what is wrong with TLS or the certificate.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(plain)
        plain.settimeout(0)
        try:
            plain.getpeername()  # of a lost connection `wrap_socket` would leave a socket open
            tls = context.wrap_socket(
                plain,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
                server_hostname=server_hostname,
            )
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from None
        stack.enter_context(tls)
        if not await _shake_hands(tls):
            raise ConnectionResetError  # no failure of TLS
        transport = TlsTransport(cast("TlsSocket", tls), protocol)
        stack.pop_all()
    return transport


async def _shake_hands(tls: ssl.SSLSocket) -> bool:
    """Whether the peer did not end the connection before."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await _turn(tls.fileno(), loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _turn(tls.fileno(), loop.add_writer, loop.remove_writer)
        except ssl.SSLEOFError:
            return False
        else:
            return True


async def _turn(number: int, add: Callable[..., None], remove: Callable[..., object]) -> None:
    turn = asyncio.Event()
    add(number, turn.set)
    try:
        await turn.wait()
    finally:
        remove(number)

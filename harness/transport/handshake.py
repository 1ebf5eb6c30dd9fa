"""The TLS handshake on the peer's side, and what the client shows in it.

OpenSSL hands over each message in clear, also those that are encrypted on the wire: the alerts of
both sides, and a client's certificate even when it is refused.
"""

import contextlib
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any

from deploy_relay_kit.harness.transport.connection import Connection, ConnectionEnded, is_fin
from deploy_relay_kit.harness.witness.clock import now
from deploy_relay_kit.harness.witness.connections import ConnectionWitness
from deploy_relay_kit.harness.witness.moments import MomentKind

_PURPOSE = "the TLS handshake"
_HANDSHAKE = b"\x16"  # content type of a record (RFC 8446 section 5.1)
_LONGEST_RECORD = 5 + (1 << 14)
_SOON = 0.01  # seconds until a half ClientHello is looked at again
_ALERT = 21  # content type (RFC 8446 section 5.1)
_CLIENT_HELLO = 1  # handshake messages (section 4)
_CERTIFICATE = 11
_UNTAPPED = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
_UNTAPPED.verify_mode = ssl.CERT_OPTIONAL  # or `getpeercert` would hide the client's


class _TappedSocket(ssl.SSLSocket):
    """A TLS socket with a witness.

    `wrap_socket` calls `getpeername`, and leaks a socket that the client has just reset. So that
    never fails here: the handshake finds out, and witnesses, how the connection ended.
    """

    witness: ConnectionWitness | None = None

    def getpeername(self) -> Any:
        with contextlib.suppress(OSError):
            return super().getpeername()
        return None


def tap(context: ssl.SSLContext) -> None:
    """Make the sockets of a context report their handshake to their `witness`, if they have one."""
    context.sslsocket_class = _TappedSocket
    context.sni_callback = _saw_server_name
    # Not documented, but in every Python since 3.8; nothing else gives access to these messages.
    setter: Callable[..., None] = ssl.SSLContext._msg_callback.__set__  # type: ignore[attr-defined]  # noqa: SLF001
    setter(context, _saw_message)


def shake_hands(connection: Connection, context: ssl.SSLContext) -> None:
    """Make the connection a TLS connection, with a context that `tap` has prepared.

    Raises:
        ConnectionEnded: the handshake failed; the witness says why.
    """
    witness = connection.witness
    try:
        sock = context.wrap_socket(
            connection.sock,
            server_side=True,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
        connection.sock = sock
        sock.witness = witness  # type: ignore[attr-defined]  # a _TappedSocket
        _finish_handshake(connection, sock)
    except ConnectionEnded as error:
        witness.handshake_error = str(error)
        raise
    except OSError as error:
        connection.obey()
        witness.handshake_error = reason = _reason_of(error, witness)
        witness.note(MomentKind.HANDSHAKE_FAILED, reason=reason)
        raise ConnectionEnded(reason) from error
    sock.context = _UNTAPPED  # no record of a payload costs a call of Python
    if hasattr(socket, "TCP_QUICKACK"):
        # Without session tickets, nothing of ours carries the ACK of the last flight. A client
        # with Nagle's algorithm would hold its request back for 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    witness.tls_version = sock.version()
    sni = "no SNI" if witness.server_name is None else f"SNI {witness.server_name}"
    witness.note(MomentKind.HANDSHAKE_DONE, version=sock.version(), sni=sni)


def _finish_handshake(connection: Connection, sock: ssl.SSLSocket) -> None:
    deadline = now() + connection.timeout
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            if connection.witness.has_spoken:
                connection.wait(select.POLLIN, deadline, _PURPOSE)
            else:  # a half ClientHello: nothing that is in progress
                connection.wait_for_request()
        except ssl.SSLWantWriteError:
            connection.wait(select.POLLOUT, deadline, _PURPOSE)
        else:
            return


def _reason_of(error: OSError, witness: ConnectionWitness) -> str:
    """Why a handshake failed, as OpenSSL names it; an end by the client is also witnessed."""
    if is_fin(error) or isinstance(error, BrokenPipeError):  # EPIPE: it has closed before
        witness.closed("client", "FIN")
        return "the client closed the connection"
    if isinstance(error, ssl.SSLError) and error.library is not None:
        return error.reason
    witness.closed("client", "RST")
    return "the client reset the connection"


def has_begun(connection: Connection) -> bool:
    """Wait until a client has sent a whole ClientHello; False when it sends anything else.

    Nothing is read. So a port scan, a request without TLS or a half ClientHello is told from a
    client that wants a TLS connection.
    """
    connection.wait_for_request()
    deadline = now() + connection.timeout
    while (seen := _peeked(connection))[:1] == _HANDSHAKE and now() < deadline:
        if len(seen) >= 5 + int.from_bytes(seen[3:5]):
            return True
        if connection.pause(_SOON):
            break
    return False


def _peeked(connection: Connection) -> bytes:
    """What the client has sent so far, without reading it; empty after its end."""
    with contextlib.suppress(OSError):
        return socket.socket.recv(connection.sock, _LONGEST_RECORD, socket.MSG_PEEK)
    return b""


def read_client_hello(connection: Connection) -> None:
    """Read the first TLS record of the client, and leave it unanswered."""
    connection.wait_for_request()
    header = connection.read(5)
    size = int.from_bytes(header[3:5])
    record = connection.read(size)
    if len(header) < 5 or len(record) < size:  # noqa: PLR2004 - as read
        raise ConnectionEnded("the client closed the connection in its ClientHello")
    connection.witness.has_spoken = True
    connection.witness.note(MomentKind.CLIENT_HELLO, size=len(header) + size)


def _saw_server_name(sock: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
    del context
    witness = getattr(sock, "witness", None)
    if witness is not None:  # a proxy may serve with the same certificate
        witness.server_name = name


def _saw_message(
    sock: ssl.SSLSocket, direction: str, _version: int, content: int, kind: Any, data: bytes
) -> None:
    witness: ConnectionWitness | None = getattr(sock, "witness", None)
    if witness is None:
        return
    if content == _ALERT:
        name = getattr(kind, "name", f"number {int(kind)}").lower()
        if direction == "read":
            witness.alert_received = name
            witness.note(MomentKind.ALERT_RECEIVED, name=name)
        else:
            witness.alert_sent = name
            witness.note(MomentKind.ALERT_SENT, name=name)
    elif direction == "read" and kind == _CLIENT_HELLO:
        witness.has_spoken = True
    elif direction == "read" and kind == _CERTIFICATE and data[:1] == bytes([_CERTIFICATE]):
        witness.client_certificate = first_certificate(data, is_newest=sock.version() == "TLSv1.3")


def first_certificate(message: bytes, *, is_newest: bool) -> bytes | None:
    """The first certificate, DER, in a Certificate message; None when it holds none.

    Args:
        message: the whole handshake message.
        is_newest: whether it is one of TLS 1.3 (RFC 8446 section 4.4.2), with a context before the
            list, or of TLS 1.2 (RFC 5246 section 7.4.2).
    """
    at = 4 + (1 + message[4] if is_newest else 0) + 3
    length = int.from_bytes(message[at : at + 3])
    return message[at + 3 : at + 3 + length] or None

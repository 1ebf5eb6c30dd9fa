"""What a TLS handshake shows to the peer's side, kept in the witness while it happens.

OpenSSL hands over each message in clear, also those that are encrypted on the wire: the alerts of
both sides, and a client's certificate even when it is refused.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Any

from harness.witness.connections import ConnectionWitness
from harness.witness.moments import MomentKind

_ALERT = 21  # content type (RFC 8446 section 5.1)
_CERTIFICATE = 11  # handshake message (section 4)
_QUIET = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
_QUIET.verify_mode = ssl.CERT_OPTIONAL  # or `getpeercert` would hide the client's


class _Accepted(ssl.SSLSocket):
    """Was connected, whatever has become of it: the handshake finds out, and says how it ended.

    `wrap_socket` asks for the other side first, and leaks a socket that was reset a moment ago.
    """

    def getpeername(self) -> Any:
        with contextlib.suppress(OSError):
            return super().getpeername()
        return None


def tap(context: ssl.SSLContext) -> None:
    """Make the connections of a context report to the `witness` that `attach` gives them."""
    context.sslsocket_class = _Accepted
    context.sni_callback = _saw_server_name
    # Not documented, but in every Python since 3.8, and there is no other way to these messages.
    setter: Callable[..., None] = ssl.SSLContext._msg_callback.__set__  # type: ignore[attr-defined]  # noqa: SLF001
    setter(context, _saw_message)


def attach(sock: ssl.SSLSocket, witness: ConnectionWitness) -> None:
    """Before the handshake: say who keeps what is seen of it."""
    sock.witness = witness  # type: ignore[attr-defined]


def detach(sock: ssl.SSLSocket) -> None:
    """After the handshake: no record of a payload costs a call of Python."""
    sock.context = _QUIET


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

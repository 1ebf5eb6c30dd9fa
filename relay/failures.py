"""The mapping of errors of aiohttp, ssl and the system to the relay's own."""

import contextlib
import errno
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp

from deploy_relay_kit.relay.answer import is_temporary
from deploy_relay_kit.relay.errors import (
    EXHAUSTED,
    AttemptError,
    ExhaustedError,
    PeerError,
    Stage,
)
from deploy_relay_kit.relay.retry import seconds_until

# Errors of aiohttp as stage, readable reason and whether another attempt is safe (RES-10, RTY-04);
# the first match counts.
_LOST: tuple[Stage, str, bool] = ("upload", "the connection was lost", True)
_NO_ANSWER: tuple[Stage, str, bool] = ("answer", "no answer", True)
_FAILURES: dict[type[Exception], tuple[Stage, str, bool]] = {
    aiohttp.ClientConnectorDNSError: ("connect", "cannot find its host", True),
    aiohttp.ClientConnectorError: ("connect", "cannot connect", True),
    aiohttp.ClientPayloadError: ("answer", "the answer was cut short", False),  # RES-12
    aiohttp.WSServerHandshakeError: ("connect", "no WebSocket", False),
    aiohttp.ClientResponseError: ("answer", "the answer is not HTTP", False),
}

_TUNNEL_FAILURES: dict[type[Exception], str] = {
    aiohttp.ClientConnectorDNSError: "cannot find the host of the proxy",
    aiohttp.ClientProxyConnectionError: "cannot connect to the proxy",
}
_SERVER_ERRORS = 500
_SHOWN = 100  # characters of a proxy's text that a reason quotes

_QUOTATION = re.compile(r"""(bytearray\()?\bb['"].*""", re.DOTALL)  # a repr of bytes
_CERTIFICATE_ALERT = re.compile("ALERT_.*(CERTIFICATE|_CA$|ACCESS_DENIED|DECRYPT_ERROR)")

_NOT_ACCEPTED = "; it does not accept the relay's own certificate"
# By the reason of OpenSSL.
_TLS_HINTS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "; it requires a client certificate",
    "BAD_LENGTH": "; it asked for new keys while it took no data",
    "WRONG_VERSION_NUMBER": "; does this port speak plain http?",
    "RECORD_LAYER_FAILURE": "; does this port speak plain http?",
}

_NOT_TRUSTED = "is signed by an authority that is not trusted; --ca must name the cluster's CA file"
# By the X509_V_ERR_* code of OpenSSL.
_CERTIFICATE_FLAWS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed and not trusted; --ca must name the cluster's CA file",
    19: _NOT_TRUSTED,
    20: _NOT_TRUSTED,
    21: _NOT_TRUSTED,
    62: "is for another host name",
    64: "is for another IP address",
}


@contextlib.contextmanager
def translated(
    address: str,
    connect: float,
    body_is_sent: Callable[[], bool],
    tls_error: Callable[[], ssl.SSLError | None] = lambda: None,
) -> Iterator[None]:
    """Raise an `AttemptError` in place of a foreign error.

    The reason names the peer's address and the limit of connecting in seconds. The error is
    uncertain if the peer may have the whole body. `tls_error` is the cause of a lost connection, if
    it is known, whatever the foreign error says.
    """
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError and ssl.SSLError are OSErrors
        ours = next((cause for cause in _chain(error) if isinstance(cause, AttemptError)), None)
        if ours is None and isinstance(error, aiohttp.ConnectionTimeoutError):
            reason = f"{address}: no connection in {connect:g} s"
            ours = PeerError("connect", reason, retryable=True)
        raise ours or _failure(address, error, tls_error(), sent=body_is_sent()) from error


def tunnel_failure(error: aiohttp.ClientError | OSError) -> PeerError | None:
    """The failure of a proxy to open a tunnel, or None if something else failed.

    The relay sends no part of a request before the tunnel is open, so another attempt is safe.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError):
        said = error.message if len(error.message) <= _SHOWN else ""  # not half of a secret
        reason = f"the proxy opens no tunnel: HTTP {error.status} {said}".rstrip()
        if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            reason += "; it needs a user name and password"
        return PeerError("connect", reason, retryable=error.status >= _SERVER_ERRORS)
    causes = list(_chain(error))
    if isinstance(error, TimeoutError) or any(isinstance(it, ssl.SSLError) for it in causes):
        return None
    if any(isinstance(cause, OSError) and cause.errno in EXHAUSTED for cause in causes):
        return None
    kind = next((kind for kind in _TUNNEL_FAILURES if isinstance(error, kind)), None)
    what = _TUNNEL_FAILURES[kind] if kind else "the proxy opens no tunnel"
    return PeerError("connect", f"{what}: {_text(error)}", retryable=True)


def _failure(
    address: str, error: Exception, tls_error: ssl.SSLError | None, *, sent: bool
) -> AttemptError:
    connecting = isinstance(error, aiohttp.ClientConnectorError)
    for cause in (*_chain(error), *_chain(tls_error)):
        if connecting and isinstance(cause, OSError) and cause.errno in EXHAUSTED:
            return ExhaustedError.of("connect", cause.errno)
        if isinstance(cause, aiohttp.ClientError):
            continue  # some are ssl errors too, but without the details
        if isinstance(cause, ssl.SSLCertVerificationError):
            flaw = f"is refused: {cause.verify_message}"
            flaw = _CERTIFICATE_FLAWS.get(cause.verify_code, flaw)
            return PeerError("tls", f"the certificate of {address} {flaw}")
        if isinstance(cause, ssl.SSLError):
            if sent and not (connecting or _is_about_certificates(cause)):
                break
            default = _NOT_ACCEPTED if _is_about_certificates(cause) else ""
            hint = _TLS_HINTS.get(cause.reason or "", default)
            return PeerError("tls", f"TLS with {address} failed: {_text(cause)}{hint}")
    kind = next((kind for kind in _FAILURES if isinstance(error, kind)), None)
    stage, what, retryable = _FAILURES[kind] if kind else _NO_ANSWER if sent else _LOST
    reason = f"{address}: {what}: {_text(error)}"
    sent = sent and stage == "answer"
    failure = PeerError(stage, reason, uncertain=sent, retryable=retryable)
    if isinstance(error, aiohttp.WSServerHandshakeError):
        failure.status_code, failure.retryable = error.status, is_temporary(error.status)
        if error.headers is not None:
            wait = error.headers.get("Retry-After")
            failure.retry_after = seconds_until(wait, datetime.now(UTC))
    return failure


def _is_about_certificates(error: ssl.SSLError) -> bool:
    """Whether the peer refused the relay's certificate, which TLS 1.3 says after the handshake."""
    return _CERTIFICATE_ALERT.search(error.reason or "") is not None


def _text(error: BaseException) -> str:
    """The cause in plain words, without the text that aiohttp adds."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return _upgrade_text(error)
    for cause in _chain(error):
        if isinstance(cause, aiohttp.ServerDisconnectedError):
            break
        if isinstance(cause, aiohttp.ClientError):
            continue
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return cause.reason.replace("_", " ").lower()
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            known = cause.errno in errno.errorcode and not isinstance(cause, socket.gaierror)
            return os.strerror(cause.errno) if known else cause.strerror
        if not isinstance(cause, ConnectionError):  # asyncio raises those without a text
            return _said(str(getattr(cause, "message", cause))) or type(cause).__name__
    return "the peer closed the connection"


def _upgrade_text(error: aiohttp.WSServerHandshakeError) -> str:
    if error.status != HTTPStatus.SWITCHING_PROTOCOLS:
        return f"HTTP {error.status}"
    return error.message.lower()


def _said(text: str) -> str:
    """What the parser of aiohttp says, in one line, without its quotation of the peer.

    That is a part of what came, and a part of a secret is not recognised as one.
    """
    return " ".join(_QUOTATION.sub("", text).split()).rstrip(":")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes, the innermost last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

"""What aiohttp, ssl and the system raise on the way to a peer, as failures of ours."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterator

import aiohttp

from relay.errors import NO_DESCRIPTOR, NO_DESCRIPTORS, AttemptError, OriginError, PeerError, Stage
from relay.tls import certificate_flaw


@contextlib.contextmanager
def translated(address: str, connect: float, body_is_sent: Callable[[], bool]) -> Iterator[None]:
    """Raise ours in the place of a foreign error.

    Args:
        address: Of the peer, for the reason.
        connect: The limit of connecting in seconds, for the reason.
        body_is_sent: Whether the peer had the whole body by then, and may have acted on it.
    """
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError and ssl.SSLError are OSErrors
        ours = next((cause for cause in _chain(error) if isinstance(cause, AttemptError)), None)
        if ours is None and isinstance(error, aiohttp.ConnectionTimeoutError):
            reason = f"{address}: no connection in {connect:g} s"
            ours = PeerError("connect", reason, retryable=True)
        raise ours or _failure(address, error, sent=body_is_sent()) from error


# What aiohttp raises, as stage, readable reason and whether another attempt is safe (RES-10,
# RTY-04); the first that fits counts.
_LOST: tuple[Stage, str, bool] = ("upload", "the connection was lost", True)
_NO_ANSWER: tuple[Stage, str, bool] = ("answer", "no answer", True)
_FAILURES: dict[type[Exception], tuple[Stage, str, bool]] = {
    aiohttp.ClientConnectorDNSError: ("connect", "cannot find its host", True),
    aiohttp.ClientConnectorError: ("connect", "cannot connect", True),
    aiohttp.ClientPayloadError: ("answer", "the answer was cut short", False),  # RES-12
    aiohttp.WSServerHandshakeError: ("connect", "no WebSocket", False),
    aiohttp.ClientResponseError: ("answer", "the answer is not HTTP", False),
}

# By the reasons that OpenSSL gives.
_TLS_HINTS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "; it asks for a certificate of the relay's own",
    "WRONG_VERSION_NUMBER": "; does it speak plain http there?",
    "RECORD_LAYER_FAILURE": "; does it speak plain http there?",
}


def _failure(address: str, error: Exception, *, sent: bool) -> AttemptError:
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in NO_DESCRIPTORS:
            return OriginError("connect", NO_DESCRIPTOR)
        if isinstance(cause, aiohttp.ClientError):
            continue  # some of them count as ssl errors, without what makes those useful
        if isinstance(cause, ssl.SSLCertVerificationError):
            return PeerError("tls", f"the certificate of {address} {certificate_flaw(cause)}")
        if isinstance(cause, ssl.SSLError):
            hint = _TLS_HINTS.get(cause.reason or "", "")
            return PeerError("tls", f"TLS with {address} failed: {_words(error)}{hint}")
    kind = next((kind for kind in _FAILURES if isinstance(error, kind)), None)
    stage, what, retryable = _FAILURES[kind] if kind else _NO_ANSWER if sent else _LOST
    status = error.status if isinstance(error, aiohttp.WSServerHandshakeError) else None
    reason = f"{address}: {what}: {_words(error)}"
    sent = sent and stage == "answer"
    return PeerError(stage, reason, status_code=status, uncertain=sent, retryable=retryable)


def _words(error: Exception) -> str:
    """The cause in plain words, free of what aiohttp puts around it."""
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
        if not isinstance(cause, ConnectionError):  # asyncio leaves those without words
            return str(getattr(cause, "message", cause)) or type(cause).__name__
    return "the peer closed the connection"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it, the innermost last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

"""The relay's side of TLS: whom it trusts, who it is, why a handshake failed (TLS-01…03)."""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from relay.errors import InputError
from relay.node import AnyPath, Node

_NOT_TRUSTED = "is signed by an authority that is not trusted; give the cluster's CA file"
# X509_V_ERR_* codes of OpenSSL, by what an operator can do about them.
_CERTIFICATE_FLAWS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed and not trusted; give the cluster's CA file",
    19: _NOT_TRUSTED,
    20: _NOT_TRUSTED,
    21: _NOT_TRUSTED,
    62: "is for another host name",
    64: "is for another IP address",
}


@dataclass(frozen=True)
class Tls:
    """TLS for the whole deploy; what a single node needs besides is in its `Node`.

    Args:
        ca_file: PEM file with the cluster's authorities, trusted besides those of the system
            (TLS-02).
        certificate_file: PEM file with the relay's own certificate chain, for peers that ask for
            one.
        key_file: PEM file with its private key, when that is not in `certificate_file`.
    """

    ca_file: AnyPath | None = None
    certificate_file: AnyPath | None = None
    key_file: AnyPath | None = None

    def __post_init__(self) -> None:
        if self.key_file is not None and self.certificate_file is None:
            raise InputError(f"key {os.fspath(self.key_file)!r} is given without its certificate")


def contexts_for(nodes: Iterable[Node], tls: Tls) -> list[ssl.SSLContext]:
    """One context per node; what is checked, and sent as SNI, is the URL's host (TLS-03).

    Nodes of the same posture share one: to load the system's authorities takes tens of
    milliseconds. The files are read anew each time.

    Raises:
        InputError: A file cannot be read or holds nothing of use.
    """
    read = functools.cache(_certificates)
    # One that shows the relay's own certificate is of this deploy alone.
    context = _shared_context if tls.certificate_file is None else functools.cache(_new_context)
    contexts = [
        context(
            tuple(read(Path(file)) for file in (tls.ca_file, node.ca_file) if file), node.verify
        )
        for node in nodes
    ]
    if tls.certificate_file is not None:
        for own in set(contexts):
            _show_certificate(own, tls.certificate_file, tls.key_file)
    return contexts


def _certificates(file: Path) -> str:
    try:
        text = file.read_text(encoding="ascii", errors="ignore")  # of comments
        _check(text)
    except (OSError, ValueError) as error:
        raise _unusable(f"CA file {str(file)!r}", error, "a readable PEM file") from error
    return text


@functools.lru_cache(maxsize=64)
def _check(certificates: str) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificates)


def _new_context(trusted: tuple[str, ...], verify: bool) -> ssl.SSLContext:  # noqa: FBT001
    context = ssl.create_default_context()
    # On every Python: 3.13 would refuse Harper's own certificates, which do not name the key of
    # their authority.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for certificates in trusted:
        context.load_verify_locations(cadata=certificates)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


_shared_context = functools.lru_cache(maxsize=64)(_new_context)


def _show_certificate(context: ssl.SSLContext, certificate: AnyPath, key: AnyPath | None) -> None:
    try:
        # An empty password: an encrypted key is an error here, not a prompt in the middle of a
        # deploy.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        what = f"client certificate {os.fspath(certificate)!r}"
        what += f" with key {os.fspath(key)!r}" if key else ""
        remedy = "a certificate and its own key, unencrypted, as readable PEM files"
        raise _unusable(what, error, remedy) from error


def certificate_flaw(error: ssl.SSLCertVerificationError) -> str:
    """Say what is wrong with a certificate, so that expired, wrong host and untrusted differ."""
    return _CERTIFICATE_FLAWS.get(error.verify_code, f"is refused: {error.verify_message}")


def _unusable(what: str, error: OSError | ValueError, remedy: str) -> InputError:
    # ssl.SSLError is an OSError, too; ValueError means a NUL in the path, or no certificate.
    why = "not PEM, or nothing in it"
    if isinstance(error, ssl.SSLError):
        why = (error.reason or why).replace("_", " ").lower()
    elif isinstance(error, OSError):
        why = error.strerror or why
    return InputError(f"{what} cannot be used: {why}; give {remedy}")

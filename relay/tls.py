"""The TLS contexts of a deploy: which authorities are trusted, which certificate is shown."""

import functools
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy_relay_kit.relay.errors import InputError, check_path
from deploy_relay_kit.relay.files import check_length
from deploy_relay_kit.relay.keylog import unwritable
from deploy_relay_kit.relay.link import PatientTls
from deploy_relay_kit.relay.node import AnyPath
from deploy_relay_kit.relay.tlstransport import TlsSocket


@dataclass(frozen=True)
class Tls:
    """TLS settings of a whole deploy; a `Node` adds its own.

    Args:
        ca_file: PEM file with the cluster's authorities, trusted in addition to those of the system
            (TLS-02).
        certificate_file: PEM file with the relay's own certificate chain, for peers that ask for
            one.
        key_file: PEM file with its private key, unless the key is in `certificate_file`.
    """

    ca_file: AnyPath | None = None
    certificate_file: AnyPath | None = None
    key_file: AnyPath | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None:
                check_path(name, value)
        if self.key_file is not None and self.certificate_file is None:
            raise InputError(f"key {os.fspath(self.key_file)!r} is given without its certificate")


def contexts_for(nodes: Iterable[tuple[AnyPath | None, bool]], tls: Tls) -> list[ssl.SSLContext]:
    """One context for each node, which is given as its own CA file and whether to verify it.

    A context checks, and sends as SNI, the host of the URL; an IP address is not sent (TLS-03).
    Nodes with equal settings share one, because loading the system's authorities takes tens of
    milliseconds. The files are read again on every call.

    Raises:
        InputError: A file cannot be read or used.
    """
    read = functools.cache(_certificates)
    # A context with the relay's own certificate is not shared with other deploys.
    context = functools.cache(_new_context if tls.certificate_file else _shared_context)
    contexts = [
        context(tuple(read(Path(file)) for file in (tls.ca_file, ca_file) if file), verify)
        for ca_file, verify in nodes
    ]
    if tls.certificate_file is not None:
        for own in set(contexts):
            load_certificate(own, tls.certificate_file, tls.key_file)
    return contexts


def _certificates(file: Path) -> str:
    check_length(file, f"CA file {str(file)!r}")
    try:
        text = file.read_text(encoding="ascii", errors="ignore")  # comments may hold other bytes
        _check_certificates(text)
    except (OSError, ValueError) as error:
        raise _unusable(f"CA file {str(file)!r}", error, "a readable PEM file") from error
    return text


@functools.lru_cache(maxsize=8)
def _check_certificates(text: str) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)


def _new_context(trusted: tuple[str, ...], verify: bool) -> ssl.SSLContext:  # noqa: FBT001
    try:
        context = ssl.create_default_context()
    except OSError as error:
        raise unwritable(error) from error
    context.sslobject_class = PatientTls  # through a proxy
    context.sslsocket_class = TlsSocket
    # In TLS 1.2 a peer could stop an upload for a new handshake, and wait.
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Python 3.13 sets this flag, and would refuse Harper's own certificates, which lack the key
    # identifier of their authority.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for certificates in trusted:
        context.load_verify_locations(cadata=certificates)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


# A context holds every authority of the system, about 1 MiB, so only a few are kept.
_shared_context = functools.lru_cache(maxsize=8)(_new_context)


def load_certificate(
    context: ssl.SSLContext,
    certificate: AnyPath,
    key: AnyPath | None,
    names: tuple[str, str] = ("client certificate", "key"),
) -> None:
    """Show a certificate to the other side; errors call its file and that of its key `names`.

    Raises:
        InputError: A file cannot be read or used.
    """
    files = [(name, file) for name, file in zip(names, (certificate, key), strict=True) if file]
    for name, file in files:
        check_length(file, f"{name} {os.fspath(file)!r}")
        try:
            Path(file).open("rb").close()  # OpenSSL does not name the one that is missing
        except (OSError, ValueError) as error:
            raise _unusable(f"{name} {os.fspath(file)!r}", error, "a readable PEM file") from error
    try:
        # With the empty password an encrypted key is an error, not a prompt during a deploy.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        what = " with ".join(f"{name} {os.fspath(file)!r}" for name, file in files)
        remedy = "a certificate and its own key, unencrypted, as readable PEM files"
        raise _unusable(what, error, remedy, "not PEM, empty, or encrypted") from error


def _unusable(
    what: str, error: OSError | ValueError, remedy: str, why: str = "not PEM, or empty"
) -> InputError:
    # ssl.SSLError is an OSError; a ValueError means a NUL in the path, or no certificate.
    if isinstance(error, ssl.SSLError):
        why = error.reason.replace("_", " ").lower() if error.reason else why
    elif isinstance(error, OSError):
        why = error.strerror or why
    return InputError(f"{what} cannot be used: {why}; give {remedy}")

"""The relay's side of TLS: whom it trusts, who it is, why a handshake failed (TLS-01…03)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from relay.node import Node

# X509_V_ERR_* codes of OpenSSL, by what an operator can do about them.
_CERTIFICATE_FLAWS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed and not trusted; give the cluster's authority as CA file",
    19: "is signed by an authority that is not trusted; give the cluster's authority as CA file",
    20: "is signed by an authority that is not trusted; give the cluster's authority as CA file",
    21: "is signed by an authority that is not trusted; give the cluster's authority as CA file",
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

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


def context_for(node: Node, tls: Tls) -> ssl.SSLContext:
    """Build the context for one node; what is checked, and sent as SNI, is the URL's host (TLS-03).

    Raises:
        InputError: A file cannot be read or holds nothing of use.
    """
    context = ssl.create_default_context()
    for ca_file in (tls.ca_file, node.ca_file):
        if ca_file is not None:
            try:
                context.load_verify_locations(cafile=ca_file)
            except OSError as error:
                raise _unusable("CA file", ca_file, error) from error
    if tls.certificate_file is not None:
        try:
            # An empty password: an encrypted key is an error here, not a prompt in the middle of a
            # deploy.
            context.load_cert_chain(tls.certificate_file, tls.key_file, password="")
        except OSError as error:
            raise _unusable("client certificate", tls.certificate_file, error) from error
    if not node.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def certificate_flaw(error: ssl.SSLCertVerificationError) -> str:
    """Say what is wrong with a certificate, so that expired, wrong host and untrusted differ."""
    return _CERTIFICATE_FLAWS.get(error.verify_code, f"is refused: {error.verify_message}")


def _unusable(what: str, path: Path, error: OSError) -> InputError:
    # ssl.SSLError is an OSError whose text tells of OpenSSL's insides, not of the file.
    why = "not PEM, or nothing in it" if isinstance(error, ssl.SSLError) else error.strerror
    return InputError(f"{what} {str(path)!r} cannot be used: {why}; give a readable PEM file")

"""The cluster's certificate authority, and server certificates with one flaw each."""

import ipaddress
import os
import ssl
import tempfile
import weakref
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import cast

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from deploy_relay_kit.harness.faults.checks import check_instance, check_none, check_path
from deploy_relay_kit.harness.faults.kinds import CertificateFlaw, TlsVersion

# Years far from any clock, so that no clock is asked: a test may freeze Python's.
_BEGIN, _PAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC)
_FUTURE, _END = datetime(2999, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
_AS_NAME = "DNS:"  # before an identity, as in OpenSSL: a host name, also if it reads as an address
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Authority:
    """A certificate authority, such as the one that every node of a cluster trusts.

    Args:
        directory: where `file` is written; by default it is a temporary file, which is removed
            with this object, unless its process is killed.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        (check_none | check_path).validate("directory", directory)
        self._directory = None if directory is None else Path(directory)
        self._ca = trustme.CA(organization_name="deploy relay kit")
        self._contexts: dict[tuple[object, ...], ssl.SSLContext] = {}

    @property
    def pem(self) -> bytes:
        return self._ca.cert_pem.bytes()

    @cached_property
    def file(self) -> Path:
        """The certificate as a CA bundle for relays."""
        if self._directory is not None:
            return self.write(self._directory / "fake-authority.pem")
        descriptor, name = tempfile.mkstemp(prefix="fake-authority-", suffix=".pem")
        os.close(descriptor)
        weakref.finalize(self, os.unlink, name)
        return self.write(Path(name))

    def write(self, path: Path) -> Path:
        """Write the certificate to a file."""
        path.write_bytes(self.pem)
        return path

    def client_context(self) -> ssl.SSLContext:
        """A TLS client context that trusts only this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        return context

    def server_context(
        self,
        *identities: str,
        flaw: CertificateFlaw | None = None,
        only: TlsVersion | None = None,
        client_certificate: ssl.VerifyMode = ssl.CERT_NONE,
    ) -> ssl.SSLContext:
        """A TLS server context with a leaf certificate; the same one for the same arguments.

        Args:
            identities: host names and IP addresses in the leaf; `DNS:` before an address makes it
                a host name, which no client should take for the address.
            flaw: what is wrong with the certificate; None for a valid one.
            only: the only version of TLS; None for 1.2 and 1.3.
            client_certificate: whether a certificate of this authority is requested of clients, or
                required.
        """
        key = (*identities, flaw, only, client_certificate)
        if key not in self._contexts:  # loading a key is the slowest step of starting a peer
            context = _server_context(*self.leaf(*identities, flaw=flaw))
            if only is not None:
                context.minimum_version = context.maximum_version = _VERSIONS[only]
            if client_certificate is not ssl.CERT_NONE:
                self._ca.configure_trust(context)
                context.verify_mode = client_certificate
            self._contexts[key] = context
        return self._contexts[key]

    def leaf(self, *identities: str, flaw: CertificateFlaw | None = None) -> tuple[bytes, bytes]:
        """A new server certificate, as PEM: its private key and its chain."""
        ca, not_before, not_after = self._ca, _BEGIN, _END
        match flaw:
            case CertificateFlaw.WRONG_AUTHORITY:
                ca = trustme.CA(organization_name="another authority")
            case CertificateFlaw.EXPIRED:
                not_after = _PAST
            case CertificateFlaw.NOT_YET_VALID:
                not_before = _FUTURE
            case CertificateFlaw.WRONG_HOST:
                identities = ("another-host.invalid",)
            case CertificateFlaw.WRONG_ADDRESS:
                identities = ("192.0.2.1",)  # for documentation: RFC 5737
            case CertificateFlaw.MISSING_INTERMEDIATE:
                ca = ca.create_child_ca()
            case CertificateFlaw.SELF_SIGNED:
                return _made(identities, "self-signed")
        if any(it.startswith(_AS_NAME) for it in identities):
            return _made(identities, "with an address as a name", ca)
        leaf = ca.issue_cert(*identities, not_before=not_before, not_after=not_after)
        chain = leaf.cert_chain_pems
        if flaw is CertificateFlaw.MISSING_INTERMEDIATE:
            chain = chain[:1]
        return leaf.private_key_pem.bytes(), b"".join(pem.bytes() for pem in chain)

    def issue_client_certificate(self, context: ssl.SSLContext, identity: str) -> None:
        """Give a client context a certificate that names `identity`, a host or an address."""
        self._ca.issue_cert(identity).configure_cert(context)

    def client_certificate(self, identity: str) -> bytes:
        """A new client certificate that names a host or an address: its key and chain, as PEM.

        An intermediate authority signs it, so a client has to show the whole chain.
        """
        leaf = self._ca.create_child_ca().issue_cert(identity)
        return leaf.private_key_and_cert_chain_pem.bytes()


check_authority = check_instance(Authority, "an Authority") | check_none


def _server_context(key: bytes, chain: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Unread session tickets would turn the FIN of a client that closes early into a reset.
    context.num_tickets = 0
    with trustme.Blob(key + chain).tempfile() as path:
        context.load_cert_chain(path)
    return context


def _made(
    identities: Sequence[str], subject: str, signer: trustme.CA | None = None
) -> tuple[bytes, bytes]:
    """Key and certificate of what trustme cannot make; without a signer, its own key signs it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    issuer, signing_key = name, key
    if signer is not None:
        authority = x509.load_pem_x509_certificate(signer.cert_pem.bytes())
        issuer, pem = authority.subject, signer.private_key_pem.bytes()
        signing_key = cast("ec.EllipticCurvePrivateKey", load_pem_private_key(pem, None))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName(list(map(_general_name, identities))), critical=False
        )
        .sign(signing_key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    return (
        key.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        certificate.public_bytes(encoding),
    )


def _general_name(identity: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(identity))
    except ValueError:
        return x509.DNSName(identity.removeprefix(_AS_NAME))

"""The cluster's certificate authority, and server certificates with exactly one flaw each."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Literal

import trustme

if TYPE_CHECKING:
    from pathlib import Path


class CertificateFlaw(Enum):
    """What is wrong with the certificate that a peer shows."""

    WRONG_AUTHORITY = "wrong-authority"
    """Right in all else, but signed by an authority outside the cluster."""
    EXPIRED = "expired"
    """Its validity ended yesterday."""
    NOT_YET_VALID = "not-yet-valid"
    """Its validity begins tomorrow."""
    WRONG_HOST = "wrong-host"
    """It names another host."""


class Authority:
    """One certificate authority, as every node of a cluster trusts it."""

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_name="deploy relay kit")

    @property
    def pem(self) -> bytes:
        return self._ca.cert_pem.bytes()

    def write(self, path: Path) -> Path:
        """Write the certificate as the CA bundle that relays are given."""
        path.write_bytes(self.pem)
        return path

    def client_context(self) -> ssl.SSLContext:
        """A TLS client context that trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        return context

    def server_context(
        self, *identities: str, flaw: CertificateFlaw | None = None
    ) -> ssl.SSLContext:
        """A TLS server context with a fresh leaf certificate.

        Args:
            identities: host names and IP addresses that the leaf names.
            flaw: what to get wrong; None for a certificate that any client accepts.

        """
        ca, now = self._ca, datetime.now(UTC)
        not_before, not_after = now - timedelta(days=2), now + timedelta(days=365)
        match flaw:
            case CertificateFlaw.WRONG_AUTHORITY:
                ca = trustme.CA(organization_name="another authority")
            case CertificateFlaw.EXPIRED:
                not_after = now - timedelta(days=1)
            case CertificateFlaw.NOT_YET_VALID:
                not_before = now + timedelta(days=1)
            case CertificateFlaw.WRONG_HOST:
                identities = ("another-host.invalid",)
        leaf = ca.issue_cert(*identities, not_before=not_before, not_after=not_after)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Unread session tickets would turn the FIN of a client that closes early into a reset.
        context.num_tickets = 0
        leaf.configure_cert(context)
        return context

    def require_client_certificate(self, context: ssl.SSLContext) -> None:
        """Make a server context refuse clients without a certificate of this authority."""
        self._ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED


def speak_only(context: ssl.SSLContext, version: Literal["1.2", "1.3"]) -> None:
    """Restrict a context to one version of TLS."""
    only = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    context.minimum_version = context.maximum_version = only

"""Odd but correct relays: connections, TLS, order and time."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from deploy_relay_kit import relay as reference
from deploy_relay_kit.relay import connection, fanout, handshake, tls, urls
from deploy_relay_kit.relay.errors import InputError, OriginError
from deploy_relay_kit.relay.fanout import FanOut
from deploy_relay_kit.relay.redact import Secrets
from deploy_relay_kit.relay.report import Report
from deploy_relay_kit.relay.sockets import PatientSocket
from deploy_relay_kit.relay.tlstransport import TlsTransport
from tests.mutants.odd import odd


def change_contexts(patch: pytest.MonkeyPatch, change: Callable[[ssl.SSLContext], None]) -> None:
    """Change every new TLS context."""
    make = tls._new_context

    def made(trusted: tuple[str, ...], verify: bool) -> ssl.SSLContext:  # noqa: FBT001
        context = make(trusted, verify)
        change(context)
        return context

    patch.setattr(tls, "_new_context", made)
    patch.setattr(tls, "_shared_context", functools.cache(made))


@odd("alpn")
def http_1_1_is_offered_by_name(patch: pytest.MonkeyPatch) -> None:
    """RFC 7301: a client may name the protocols that it speaks."""
    change_contexts(patch, lambda context: context.set_alpn_protocols(["h2", "http/1.1"]))


@odd("ciphers")
def one_curve_and_few_ciphers(patch: pytest.MonkeyPatch) -> None:
    def few(context: ssl.SSLContext) -> None:
        context.set_ecdh_curve("prime256v1")
        context.set_ciphers("ECDHE+AESGCM")

    change_contexts(patch, few)


def same(host: str) -> str:
    """One form of a name or an address."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host))
    return host.lower()


def is_for(name: str, host: str) -> bool:
    """Whether a name of a certificate is that of a host."""
    begin, _, domain = host.partition(".")
    is_one_label = bool(begin) and begin.strip("[]0123456789:") != ""
    return same(name) == same(host) or (is_one_label and name.lower() == f"*.{domain.lower()}")


def kinds_for(host: str) -> set[str]:
    """The kind of name in a certificate that counts for a host."""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return {"IP Address"}
    return {"DNS"}


def compare_after_the_handshake(
    patch: pytest.MonkeyPatch,
    matches: Callable[[str, str], bool],
    counting: Callable[[str], set[str]] | None = kinds_for,
) -> None:
    """Compare the names of a certificate with the host, in place of OpenSSL.

    `counting`: the kinds of names that count for a host; with None, all.
    """
    begin = handshake.start_tls

    async def begun(
        plain: socket.socket, context: ssl.SSLContext, host: str | None, protocol: asyncio.Protocol
    ) -> TlsTransport:
        verifies = context.verify_mode is not ssl.CERT_NONE
        transport = await begin(plain, context, host, protocol)
        found = transport.get_extra_info("ssl_object").getpeercert() if verifies else {}
        kinds = counting(host or "") if counting else {"DNS", "IP Address"}
        names = [name for kind, name in found.get("subjectAltName", ()) if kind in kinds]
        if verifies and not any(matches(name, host or "") for name in names):
            transport.abort()
            error = ssl.SSLCertVerificationError(f"Hostname mismatch: {host}")
            error.verify_code, error.verify_message = 62, "Hostname mismatch"
            raise error
        return transport

    def leave_the_host(context: ssl.SSLContext) -> None:
        context.check_hostname = False

    change_contexts(patch, leave_the_host)
    patch.setattr(connection, "start_tls", begun)


@odd()
def the_host_is_compared_after_the_handshake(patch: pytest.MonkeyPatch) -> None:
    """As a HostnameVerifier of Java does: the peer sees a whole handshake, and then an end."""
    compare_after_the_handshake(patch, is_for)


@odd("sessions")
def no_session_tickets(patch: pytest.MonkeyPatch) -> None:
    def without(context: ssl.SSLContext) -> None:
        context.options |= ssl.OP_NO_TICKET

    change_contexts(patch, without)


@odd("buffers")
def sockets_with_small_buffers(patch: pytest.MonkeyPatch) -> None:
    begin = PatientSocket.__init__

    def small(self: PatientSocket, *how: Any) -> None:
        begin(self, *how)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)

    patch.setattr(PatientSocket, "__init__", small)


@odd()
def a_relay_that_thinks_before_it_begins(patch: pytest.MonkeyPatch) -> None:
    """As one does that starts a process for each deploy."""
    deploy = reference.deploy

    async def slow(**how: Any) -> Report:
        await asyncio.sleep(0.1)
        return await deploy(**how)

    patch.setattr(reference, "deploy", slow)


@odd()
def the_last_node_begins_first(patch: pytest.MonkeyPatch) -> None:
    settle = FanOut._settle

    async def late(self: FanOut, *at: Any) -> Any:
        names = self.names
        await asyncio.sleep(0.005 * min(len(names) - 1 - names.index(at[0]), 20))
        return await settle(self, *at)

    patch.setattr(FanOut, "_settle", late)


@odd()
def two_threads_share_the_nodes(patch: pytest.MonkeyPatch) -> None:
    deploy = reference.deploy
    patch.setattr(reference, "deploy", functools.partial(deploy, threads=2))


@odd()
def a_cancelled_deploy_has_records(patch: pytest.MonkeyPatch) -> None:
    """Failed records are another way to report a deploy that was cancelled."""
    deploy = reference.deploy

    async def reported(*, nodes: list[reference.Node], **how: Any) -> Report:
        try:
            return await deploy(nodes=nodes, **how)
        except asyncio.CancelledError:
            failed = {"status": "failed", "reason": "cancelled"}
            return Report([{"node": node.name, **failed} for node in nodes])

    patch.setattr(reference, "deploy", reported)


@odd("plain http")
def plain_http_refuses_the_whole_deploy(patch: pytest.MonkeyPatch) -> None:
    """Nothing is sent to the other nodes either."""
    resolve = urls.resolve

    def strict(*node: Any, **how: Any) -> Any:
        try:
            return resolve(*node, **how)
        except OriginError as error:
            if "unencrypted" in error.reason:
                raise InputError(error.reason) from error
            raise

    patch.setattr(fanout, "resolve", strict)


@odd("hidden")
def a_text_with_a_secret_is_replaced_whole(patch: pytest.MonkeyPatch) -> None:
    hide = Secrets._hide

    def replaced(self: Secrets, text: str) -> str:
        return text if hide(self, text) == text else "[a text with a secret]"

    patch.setattr(Secrets, "_hide", replaced)

"""Mutants that trust too much in one request, one node or one deploy."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from deploy_relay_kit.harness.targets import GivenToken, ReplicationMint
from deploy_relay_kit.relay import fanout, tls
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.tls import Tls, contexts_for
from deploy_relay_kit.relay.urls import Endpoint
from tests.conformance import test_own_certificate, test_sockets_trust, test_tls
from tests.mutants.mutant import case, mutant
from tests.mutants.of_urls import Trust, change_tls, without_verification

VERSIONS = test_tls.test_a_certificate_is_trusted_with_each_version_of_tls
UPLOAD = test_tls.test_an_upload_is_verified_also_after_no_mint_on_the_same_api


@mutant("TLS-01", killed_by=(case(UPLOAD, mint=GivenToken), case(UPLOAD, mint=ReplicationMint)))
def an_upload_is_not_verified(patch: pytest.MonkeyPatch) -> None:
    exchange = Peer.post

    def trusting(self: Peer, headers: Any, body: Any, *rest: Any) -> Any:
        is_mint = isinstance(body, bytes)
        return exchange(self if is_mint else without_verification(self), headers, body, *rest)

    patch.setattr(Peer, "post", trusting)


@mutant(
    "TLS-01",
    killed_by=case(test_tls.test_a_node_is_verified_in_the_deploy_after_one_without_verification),
    also={"KIT-03": "so is the certificate of the relay"},
)
def contexts_are_cached_by_name(patch: pytest.MonkeyPatch) -> None:
    known: dict[str, ssl.SSLContext] = {}

    def remembered(node: Node, api: Endpoint, tls: ssl.SSLContext, *rest: Any) -> Peer:
        return Peer(node, api, known.setdefault(node.name, tls), *rest)

    patch.setattr(fanout, "Peer", remembered)


@mutant(
    "TLS-02",
    killed_by=case(
        test_tls.test_a_node_with_its_own_authority_may_have_a_certificate_of_the_cluster
    ),
)
def the_authority_of_a_node_is_its_only_one(patch: pytest.MonkeyPatch) -> None:
    def only(nodes: Iterable[Trust], how: Tls) -> list[ssl.SSLContext]:
        without = replace(how, ca_file=None)
        return [contexts_for([it], without if it[0] else how)[0] for it in nodes]

    patch.setattr(fanout, "contexts_for", only)


@mutant(
    "KIT-03",
    killed_by=case(test_tls.test_the_key_of_the_certificate_may_be_in_another_file),
)
def the_key_file_is_ignored(patch: pytest.MonkeyPatch) -> None:
    def without_key(nodes: list[Trust], how: Tls) -> tuple[list[Trust], Tls]:
        return nodes, replace(how, key_file=None)

    change_tls(patch, without_key)


@mutant(
    "TLS-01",
    killed_by=case(
        test_sockets_trust.test_verification_that_is_disabled_for_a_node_is_disabled_for_its_socket
    ),
)
@mutant(
    "TLS-02",
    killed_by=case(test_sockets_trust.test_the_authority_of_a_node_is_trusted_for_its_socket),
)
def a_socket_trusts_as_the_cluster_does(patch: pytest.MonkeyPatch) -> None:
    connect, usual = Peer.replication_socket, list[ssl.SSLContext]()

    def noted(nodes: Iterable[Trust], how: Tls) -> list[ssl.SSLContext]:
        usual[:] = contexts_for([(None, True)], how)
        return contexts_for(nodes, how)

    patch.setattr(fanout, "contexts_for", noted)
    patch.setattr(
        Peer, "replication_socket", lambda self, *at: connect(replace(self, tls=usual[0]), *at)
    )


def change_versions(patch: pytest.MonkeyPatch, change: Callable[[ssl.SSLContext], None]) -> None:
    """Limit the versions of TLS in every context."""
    make = tls._new_context

    @functools.cache
    def limited(trusted: tuple[str, ...], verify: bool) -> ssl.SSLContext:  # noqa: FBT001
        context = make(trusted, verify)
        change(context)
        return context

    patch.setattr(tls, "_new_context", limited)
    patch.setattr(tls, "_shared_context", limited)


@mutant("KIT-11", killed_by=case(VERSIONS, version="1.3"))
def tls_1_2_is_the_latest_version(patch: pytest.MonkeyPatch) -> None:
    change_versions(
        patch, lambda context: setattr(context, "maximum_version", ssl.TLSVersion.TLSv1_2)
    )


@mutant("KIT-11", killed_by=case(VERSIONS, version="1.2"))
def tls_1_3_is_the_only_version(patch: pytest.MonkeyPatch) -> None:
    change_versions(
        patch, lambda context: setattr(context, "minimum_version", ssl.TLSVersion.TLSv1_3)
    )


@mutant(
    "TLS-01",
    killed_by=case(test_own_certificate.test_a_node_that_is_shown_a_certificate_is_verified),
)
def a_certificate_of_the_relay_replaces_verification(patch: pytest.MonkeyPatch) -> None:
    def trusting(nodes: list[Trust], how: Tls) -> tuple[list[Trust], Tls]:
        return [(file, verify and not how.certificate_file) for file, verify in nodes], how

    change_tls(patch, trusting)


@mutant(
    "TLS-01",
    killed_by=case(test_own_certificate.test_a_socket_that_is_shown_a_certificate_is_verified),
)
def a_socket_that_is_shown_a_certificate_is_trusted(patch: pytest.MonkeyPatch) -> None:
    connect, trusting = Peer.replication_socket, dict[ssl.SSLContext, ssl.SSLContext]()

    def noted(nodes: Iterable[Trust], how: Tls) -> list[ssl.SSLContext]:
        given = list(nodes)
        usual = contexts_for(given, how)
        if how.certificate_file:
            unverified = contexts_for([(it[0], False) for it in given], how)
            trusting.update(zip(usual, unverified, strict=True))
        return usual

    def connected(self: Peer, *at: Any) -> Any:
        return connect(replace(self, tls=trusting.get(self.tls, self.tls)), *at)

    patch.setattr(fanout, "contexts_for", noted)
    patch.setattr(Peer, "replication_socket", connected)


@mutant(
    "KIT-11",
    killed_by=case(test_sockets_trust.test_a_socket_is_reached_with_each_version_of_tls),
)
def a_socket_needs_tls_1_3(patch: pytest.MonkeyPatch) -> None:
    connect, latest = Peer.replication_socket, dict[ssl.SSLContext, ssl.SSLContext]()
    patch.setattr(tls, "_shared_context", tls._new_context)

    def noted(nodes: Iterable[Trust], how: Tls) -> list[ssl.SSLContext]:
        given = list(nodes)
        usual = contexts_for(given, how)
        latest.update(zip(usual, contexts_for(given, how), strict=True))
        for context in latest.values():
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        return usual

    patch.setattr(fanout, "contexts_for", noted)
    patch.setattr(
        Peer,
        "replication_socket",
        lambda self, *at: connect(replace(self, tls=latest[self.tls]), *at),
    )

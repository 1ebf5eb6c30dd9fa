"""Mutants of trust that only one leg, one node or one deploy has."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

import pytest

from harness.targets import GivenToken, ReplicationMint
from relay import fanout
from relay.connection import Connections
from relay.node import Node
from relay.tls import Tls, contexts_for
from tests.conformance import test_sockets_trust, test_tls
from tests.mutants.mutant import case, mutant
from tests.mutants.of_urls import change_tls, trusting_anybody

UPLOAD = test_tls.test_an_upload_is_verified_also_after_no_mint_on_the_same_api


@mutant("TLS-01", killed_by=(case(UPLOAD, mint=GivenToken), case(UPLOAD, mint=ReplicationMint)))
def an_upload_trusts_anybody(patch: pytest.MonkeyPatch) -> None:
    exchange = Connections.exchange

    @contextlib.asynccontextmanager
    async def trusting(self: Connections, peer: Any, *rest: Any) -> AsyncIterator[Any]:
        is_mint = isinstance(rest[1], bytes)
        async with exchange(self, peer if is_mint else trusting_anybody(peer), *rest) as answer:
            yield answer

    patch.setattr(Connections, "exchange", trusting)


@mutant(
    "TLS-01",
    killed_by=case(test_tls.test_a_node_is_verified_in_the_deploy_after_one_without_verification),
)
def trust_is_remembered_by_name(patch: pytest.MonkeyPatch) -> None:
    known: dict[str, ssl.SSLContext] = {}

    def remembered(nodes: Iterable[Node], how: Tls) -> list[ssl.SSLContext]:
        return [known.setdefault(it.name, contexts_for([it], how)[0]) for it in nodes]

    patch.setattr(fanout, "contexts_for", remembered)


@mutant(
    "TLS-02",
    killed_by=case(
        test_tls.test_a_node_with_its_own_authority_may_have_a_certificate_of_the_cluster
    ),
)
def the_authority_of_a_node_is_its_only_one(patch: pytest.MonkeyPatch) -> None:
    def only(nodes: Iterable[Node], how: Tls) -> list[ssl.SSLContext]:
        without = replace(how, ca_file=None)
        return [contexts_for([it], without if it.ca_file else how)[0] for it in nodes]

    patch.setattr(fanout, "contexts_for", only)


@mutant(
    "KIT-03",
    killed_by=case(test_tls.test_the_key_of_the_certificate_may_be_in_another_file),
)
def a_key_stands_beside_its_certificate(patch: pytest.MonkeyPatch) -> None:
    def without_key(nodes: list[Node], how: Tls) -> tuple[list[Node], Tls]:
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
    websocket, usual = Connections.websocket, list[ssl.SSLContext]()

    def noted(nodes: Iterable[Node], how: Tls) -> list[ssl.SSLContext]:
        nodes = list(nodes)
        usual[:] = contexts_for([replace(it, ca_file=None, verify=True) for it in nodes], how)
        return contexts_for(nodes, how)

    @contextlib.asynccontextmanager
    async def as_usual(self: Connections, peer: Any, *rest: Any) -> AsyncIterator[Any]:
        async with websocket(self, replace(peer, tls=usual[0]), *rest) as socket:
            yield socket

    patch.setattr(fanout, "contexts_for", noted)
    patch.setattr(Connections, "websocket", as_usual)

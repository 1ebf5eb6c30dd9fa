"""Mutants whose trust differs between attempts, or between nodes that have something in common."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from deploy_relay_kit.harness import CertificateFlaw
from deploy_relay_kit.relay import fanout
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.tls import Tls, contexts_for
from tests.conformance import test_neighbours, test_posture
from tests.mutants.mutant import case, mutant
from tests.mutants.of_urls import Trust, without_verification


def change_second_attempt(patch: pytest.MonkeyPatch, change: Callable[[Peer], Peer]) -> None:
    """Make the second attempt for a node with another peer."""
    attempt = fanout._attempt
    attempts: Counter[str] = Counter()

    async def changed(work: Any, peer: Peer) -> Any:
        attempts[peer.node.name] += 1
        return await attempt(work, change(peer) if attempts[peer.node.name] == 2 else peer)

    patch.setattr(fanout, "_attempt", changed)


def change_second_context(
    patch: pytest.MonkeyPatch, change: Callable[[list[Trust], Tls], tuple[list[Trust], Tls]]
) -> None:
    """Make the TLS context of the second attempt for a node in another way."""
    second: dict[int, ssl.SSLContext] = {}

    def noted(nodes: Iterable[Trust], how: Tls) -> list[ssl.SSLContext]:
        given = list(nodes)
        usual = contexts_for(given, how)
        second.update(zip(map(id, usual), contexts_for(*change(given, how)), strict=True))
        return usual

    patch.setattr(fanout, "contexts_for", noted)
    change_second_attempt(patch, lambda peer: replace(peer, tls=second[id(peer.tls)]))


def change_contexts(
    patch: pytest.MonkeyPatch, of_own_authority: Callable[[list[Trust], Tls], list[ssl.SSLContext]]
) -> None:
    """Make the TLS contexts of the nodes with an authority of their own in another way."""

    def changed(nodes: Iterable[Trust], how: Tls) -> list[ssl.SSLContext]:
        return [(of_own_authority if it[0] else contexts_for)([it], how)[0] for it in nodes]

    patch.setattr(fanout, "contexts_for", changed)


@mutant("TLS-01", killed_by=case(test_posture.test_a_certificate_is_verified_in_the_second_attempt))
def a_second_attempt_is_not_verified(patch: pytest.MonkeyPatch) -> None:
    change_second_context(patch, lambda nodes, how: ([(it[0], False) for it in nodes], how))


@mutant(
    "TLS-01",
    killed_by=case(
        test_neighbours.test_verification_is_disabled_by_node_and_not_by_host, first=True
    ),
)
def verification_is_remembered_by_host(patch: pytest.MonkeyPatch) -> None:
    without: set[str] = set()

    def remembered(node: Any, api: Any, tls: ssl.SSLContext, *rest: Any) -> Peer:
        peer = Peer(node, api, tls, *rest)
        if tls.verify_mode is ssl.CERT_NONE:
            without.add(api.host)
        return without_verification(peer) if api.host in without else peer

    patch.setattr(fanout, "Peer", remembered)


@mutant(
    "TLS-01",
    killed_by=case(
        test_neighbours.test_a_node_with_its_own_authority_is_verified_like_any_other,
        flaw=CertificateFlaw.WRONG_ADDRESS,
    ),
)
def the_host_of_a_node_with_its_own_authority_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    def without_host(nodes: list[Trust], how: Tls) -> list[ssl.SSLContext]:
        [context] = contexts_for(nodes, replace(how))
        context.check_hostname = False
        return [context]

    change_contexts(patch, without_host)


@mutant(
    "TLS-02", killed_by=case(test_posture.test_an_authority_of_its_own_is_trusted_in_every_attempt)
)
def a_second_attempt_forgets_the_authority_of_the_node(patch: pytest.MonkeyPatch) -> None:
    change_second_context(patch, lambda nodes, how: ([(None, it[1]) for it in nodes], how))


@mutant(
    "KIT-03",
    killed_by=case(
        test_posture.test_the_relays_certificate_is_shown_to_every_node_on_every_connection
    ),
)
def no_certificate_is_shown_to_a_node_with_its_own_authority(patch: pytest.MonkeyPatch) -> None:
    change_contexts(patch, lambda nodes, how: contexts_for(nodes, Tls(how.ca_file)))


@mutant(
    "KIT-03",
    killed_by=case(
        test_posture.test_the_relays_certificate_is_shown_to_every_node_on_every_connection
    ),
)
def a_second_attempt_shows_no_certificate(patch: pytest.MonkeyPatch) -> None:
    change_second_context(patch, lambda nodes, how: (nodes, Tls(how.ca_file)))


@mutant(
    "MINT-11",
    "BUG-41",  # the password of one node is sent to another
    killed_by=case(test_posture.test_each_attempt_logs_in_as_the_user_of_its_node),
)
def a_second_attempt_logs_in_as_the_user_of_another_node(patch: pytest.MonkeyPatch) -> None:
    mints: list[Any] = []
    attempt = fanout._attempt
    attempts: Counter[str] = Counter()

    async def changed(work: Any, peer: Peer) -> Any:
        attempts[peer.node.name] += 1
        mints.append(peer.mint)
        again = attempts[peer.node.name] == 2
        return await attempt(work, replace(peer, mint=mints[0]) if again else peer)

    patch.setattr(fanout, "_attempt", changed)

"""Mutants that keep a rule of trust or of secrets, except in one rare circumstance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness import CertificateFlaw
from deploy_relay_kit.relay import fanout, tls, urls
from deploy_relay_kit.relay import peer as peers
from deploy_relay_kit.relay.errors import OriginError
from deploy_relay_kit.relay.node import LocalSettings, Node
from deploy_relay_kit.relay.urls import Endpoint
from tests.conformance import (
    test_circumstances,
    test_neighbours,
    test_own_certificate,
    test_plain,
    test_posture,
    test_sockets_trust,
)
from tests.mutants.moments import (
    compare_host_unless,
    copied,
    name_nobody_when,
    show_no_certificate_when,
    verify_unless,
)
from tests.mutants.mutant import alike, case, mutant

WRONG_HOST = CertificateFlaw.WRONG_HOST
CHANGED = test_posture.test_a_certificate_that_changes_is_verified_in_each_later_attempt
LATER = case(
    test_circumstances.test_a_certificate_that_is_flawed_later_is_refused_in_every_circumstance
)
SHOWN = case(test_posture.test_the_relays_certificate_is_shown_to_every_node_on_every_connection)
FORMS = case(test_own_certificate.test_the_relays_certificate_is_shown_to_a_host_of_each_form)


# -- trust ---------------------------------------------------------------------------------------

alike(
    verify_unless,
    "TLS-01",
    killed_by=case(CHANGED),
    nothing_is_verified_after_a_504=lambda it: it.code == 504,
    nothing_is_verified_after_an_expired_token=lambda it: it.code == 401,
    nothing_is_verified_after_a_wait=lambda it: it.last is not None and it.last.retry_after == 0,
    no_fourth_attempt_is_verified=lambda it: it.attempt > 3,
)
alike(
    compare_host_unless,
    "TLS-01",
    killed_by=case(CHANGED, flaw=WRONG_HOST),
    no_host_name_is_compared_again=lambda it: it.is_again and not it.is_address,
)
alike(
    compare_host_unless,
    "TLS-01",
    killed_by=LATER,
    no_host_name_is_compared_for_an_upload=lambda it: it.part == "upload" and not it.is_address,
    no_host_name_is_compared_with_an_authority_of_its_own=lambda it: (
        it.has_authority and not it.is_address and not it.is_socket
    ),
)
alike(
    verify_unless,
    "TLS-01",
    killed_by=case(test_sockets_trust.test_a_flawed_certificate_of_a_socket_is_refused),
    no_socket_at_an_ipv6_address_is_verified=lambda it: (
        it.is_socket and "[" in (it.peer.node.replication_url or "")
    ),
)
alike(
    verify_unless,
    "TLS-01",
    killed_by=case(test_plain.test_certificates_are_verified_where_plain_http_is_allowed),
    no_socket_is_verified_where_http_is_allowed=lambda it: it.is_socket and it.peer.allow_http,
)
alike(
    show_no_certificate_when,
    "KIT-03",
    killed_by=FORMS,
    no_certificate_is_shown_to_an_ipv6_address=lambda it: ":" in it.host,
)
alike(
    show_no_certificate_when,
    "KIT-03",
    killed_by=SHOWN,
    no_certificate_is_shown_after_an_expired_token=lambda it: it.code == 401,
)

alike(
    name_nobody_when,
    "TLS-03",
    killed_by=SHOWN,
    no_host_is_named_beside_a_certificate=lambda it: it.shows_certificate and not it.is_socket,
)


@mutant("KIT-03", killed_by=FORMS)
def a_key_stands_before_its_certificate(patch: pytest.MonkeyPatch) -> None:
    load = tls.load_certificate

    def first(context: Any, certificate: Any, key: Any) -> None:
        text = Path(certificate).read_text()
        if "PRIVATE KEY" not in text or text.index("PRIVATE KEY") < text.index("CERTIFICATE"):
            load(context, certificate, key)

    patch.setattr(tls, "load_certificate", first)


@mutant("TLS-02", killed_by=case(test_neighbours.test_each_node_has_an_authority_of_its_own))
def the_first_authority_of_a_node_is_the_only_one(patch: pytest.MonkeyPatch) -> None:
    def first(nodes: Iterable[Any], how: Any) -> list[Any]:
        given = list(nodes)
        file = next((it[0] for it in given if it[0]), None)
        return tls.contexts_for([(it[0] and file, it[1]) for it in given], how)

    patch.setattr(fanout, "contexts_for", first)


@mutant("TLS-02", killed_by=case(test_neighbours.test_each_node_has_an_authority_of_its_own))
def nodes_share_their_own_authorities(patch: pytest.MonkeyPatch) -> None:
    def shared(nodes: Iterable[Any], how: Any) -> list[Any]:
        given = list(nodes)
        contexts = [copied(it) for it in tls.contexts_for(given, how)]
        for (own, _), context in zip(given, contexts, strict=True):
            for file, _ in given if own else ():
                context.load_verify_locations(file or how.ca_file)
        return contexts

    patch.setattr(fanout, "contexts_for", shared)


# -- without TLS ---------------------------------------------------------------------------------

Allowed = Callable[[Node, Endpoint], bool]


def allow_some(patch: pytest.MonkeyPatch, is_allowed: Allowed) -> None:
    """Allow connections without TLS to some nodes without leave."""

    def lenient(resolve: Any) -> Any:
        def resolved(
            node: Node, local: LocalSettings = urls._STOCK, *, allow_http: bool = False
        ) -> Endpoint:
            found: Endpoint = resolve(node, local, allow_http=True)
            if allow_http or is_allowed(node, found):
                return found
            checked: Endpoint = resolve(node, local)
            return checked

        return resolved

    patch.setattr(fanout, "resolve", lenient(urls.resolve))
    patch.setattr(peers, "resolve_replication", lenient(urls.resolve_replication))


LOOKS_ALIKE = (
    case(test_plain.test_plain_http_to_a_name_that_looks_like_this_machine_is_refused),
    case(test_plain.test_plain_ws_to_what_looks_like_this_machine_is_refused),
)
alike(
    allow_some,
    "TLS-06",
    killed_by=LOOKS_ALIKE[0],
    plain_http_is_allowed_at_port_9925=lambda _, it: it.scheme == "http" and it.port == 9925,
    plain_http_is_allowed_at_port_80=lambda _, it: it.scheme == "http" and it.port == 80,
    plain_http_is_allowed_with_a_capital=lambda node, _: (node.url or "").startswith("Http:"),
)
alike(
    allow_some,
    "TLS-06",
    killed_by=LOOKS_ALIKE[1],
    plain_ws_is_allowed_at_port_9933=lambda _, it: it.scheme == "ws" and it.port == 9933,
)
alike(
    allow_some,
    "TLS-06",
    killed_by=case(test_plain.test_plain_http_to_another_machine_is_refused),
    plain_http_is_allowed_with_an_authority_of_its_own=lambda node, _: bool(node.ca_file),
    plain_http_is_allowed_after_a_mint_over_a_socket=lambda node, it: (
        it.scheme == "http" and type(node.mint).__name__ == "ReplicationMint"
    ),
    plain_http_is_allowed_to_a_node_named_after_its_host=lambda node, it: node.name == it.host,
    plain_http_is_allowed_to_a_node_named_localhost=lambda node, _: node.name == "localhost",
)


@mutant("TLS-06", killed_by=case(test_plain.test_plain_ws_to_this_machine_is_used))
def plain_ws_needs_leave_on_this_machine_too(patch: pytest.MonkeyPatch) -> None:
    def strict(node: Node, local: LocalSettings, *, allow_http: bool) -> Endpoint:
        found = urls.resolve_replication(node, local, allow_http=allow_http)
        if found.scheme == "ws" and not allow_http:
            raise OriginError("resolve", "plain ws is not allowed")
        return found

    patch.setattr(peers, "resolve_replication", strict)

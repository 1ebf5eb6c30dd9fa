"""Mutants whose trust depends on other nodes: an authority of its own, many nodes, alike names."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest

from deploy_relay_kit.relay import fanout, urls
from deploy_relay_kit.relay import peer as peers
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.tls import contexts_for
from tests.conformance import (
    test_circumstances,
    test_plain,
    test_similar_hosts,
    test_sockets_trust,
)
from tests.mutants.moments import compare_host_unless, copied, verify_unless
from tests.mutants.mutant import alike, case, mutant

LATER = case(
    test_circumstances.test_a_certificate_that_is_flawed_later_is_refused_in_every_circumstance
)
ALIKE = case(
    test_similar_hosts.test_what_is_trusted_for_a_node_is_not_trusted_for_nodes_of_similar_names
)
LOOKS_NEAR = case(test_plain.test_plain_http_to_a_name_that_looks_like_this_machine_is_refused)
FEW = 32  # nodes

alike(
    verify_unless,
    "TLS-01",
    killed_by=LATER,
    no_upload_is_verified_to_a_node_of_its_own_authority=lambda it: (
        it.has_authority and it.part == "upload"
    ),
    no_second_attempt_is_verified_of_a_node_of_its_own_authority=lambda it: (
        it.has_authority and it.is_again
    ),
)
alike(
    compare_host_unless,
    "TLS-01",
    killed_by=LATER,
    no_host_is_compared_in_uploads_to_a_node_of_its_own_authority=lambda it: (
        it.has_authority and it.part == "upload"
    ),
)


@mutant("TLS-01", killed_by=LATER)
def no_more_than_32_nodes_are_verified(patch: pytest.MonkeyPatch) -> None:
    def some(nodes: Any, how: Any) -> list[ssl.SSLContext]:
        contexts = contexts_for(nodes, how)
        return contexts[:FEW] + [copied(it, verify=False) for it in contexts[FEW:]]

    patch.setattr(fanout, "contexts_for", some)


def remember_no_verification(patch: pytest.MonkeyPatch, key: Callable[[Peer], object]) -> None:
    """Disable verification for all nodes with the key of a node for which it is disabled."""
    init = fanout.FanOut.__init__

    def made(self: fanout.FanOut, *nodes: Any, **how: Any) -> None:
        init(self, *nodes, **how)
        found = [it for _, it in self._peers if isinstance(it, Peer)]
        known = {key(it) for it in found if not it.node.verify}
        for each in found:
            if key(each) in known and each.node.verify:
                each.__dict__["tls"] = copied(each.tls, verify=False)

    patch.setattr(fanout.FanOut, "__init__", made)


alike(
    remember_no_verification,
    "TLS-01",
    killed_by=ALIKE,
    verification_is_disabled_by_name_without_its_port=lambda it: urls._bare_name(it.node.name),
    verification_is_disabled_by_name_in_small_letters=lambda it: it.node.name.lower(),
    verification_is_disabled_by_name_without_blanks=lambda it: it.node.name.strip(),
    verification_is_disabled_by_host_and_port=lambda it: it.api.address,
    verification_is_disabled_by_user=lambda it: getattr(it.mint, "username", it.node.name),
)


def trust_hosts(patch: pytest.MonkeyPatch, is_near: Callable[[str], bool]) -> None:
    """Take more hosts for this machine."""
    is_loopback = urls.is_loopback
    patch.setattr(urls, "is_loopback", lambda host: is_near(host) or is_loopback(host))


alike(
    trust_hosts,
    "TLS-06",
    killed_by=LOOKS_NEAR,
    a_private_network_is_this_machine=lambda host: host.startswith(("10.", "192.168.")),
    an_address_that_ends_in_1_is_this_machine=lambda host: host.endswith("::1"),
    an_address_of_the_link_is_this_machine=lambda host: host.startswith(("fe80:", "169.254.")),
    an_ipv4_address_in_ipv6_is_this_machine=lambda host: host.startswith("::ffff:"),
    a_unique_local_address_is_this_machine=lambda host: host.startswith(("fc", "fd")),
)


@mutant("TLS-06", killed_by=case(test_sockets_trust.test_plain_ws_to_another_machine_is_refused))
def plain_ws_is_used_without_verification(patch: pytest.MonkeyPatch) -> None:
    resolve = urls.resolve_replication

    def lenient(node: Any, local: Any, *, allow_http: bool) -> urls.Endpoint:
        return resolve(node, local, allow_http=allow_http or not node.verify)

    patch.setattr(peers, "resolve_replication", lenient)

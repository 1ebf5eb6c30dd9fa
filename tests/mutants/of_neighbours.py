"""Mutants whose care for a node depends on the nodes beside it, its mint, or what is requested."""

from __future__ import annotations

import ipaddress
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy_relay_kit.relay import fanout, tls, urls
from deploy_relay_kit.relay import peer as peers
from deploy_relay_kit.relay.errors import AttemptError
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.replication import ReplicationMint
from deploy_relay_kit.relay.tls import Tls, contexts_for
from tests.conformance import (
    test_early_success,
    test_neighbours,
    test_plain,
    test_posture,
    test_quotes_later,
    test_url,
)
from tests.mutants.moments import copied, show_no_certificate_when
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_urls import Trust

BESIDE = case(test_neighbours.test_verification_is_disabled_by_node_and_not_by_host, first=True)
PROXIES = ("nginx", "openresty", "caddy", "Caddy")
VERSIONS = case(test_neighbours.test_each_version_of_tls_is_spoken_to_a_node_however_it_is_verified)
SHOWN = case(test_posture.test_the_relays_certificate_is_shown_to_every_node_on_every_connection)

# -- the nodes beside ----------------------------------------------------------------------------


def verify_nodes(
    patch: pytest.MonkeyPatch, verifies: Callable[[Sequence[Node], int], bool]
) -> None:
    """Verify a node as this says of all nodes and its place among them."""
    made, seen = fanout.FanOut.__init__, list[Node]()

    def noted(self: Any, nodes: Iterable[Node], **how: Any) -> None:
        seen[:] = nodes
        made(self, tuple(seen), **how)

    def changed(nodes: Iterable[Trust], how: Tls) -> list[ssl.SSLContext]:
        trusts = [(it[0], verifies(seen, at)) for at, it in enumerate(nodes)]
        return contexts_for(trusts, how)

    patch.setattr(fanout.FanOut, "__init__", noted)
    patch.setattr(fanout, "contexts_for", changed)


alike(
    verify_nodes,
    "TLS-01",
    killed_by=BESIDE,
    verification_is_disabled_by_the_beginning_of_a_name=lambda nodes, at: (
        not any(
            nodes[at].name.startswith(it.name.partition(".")[0]) and not it.verify for it in nodes
        )
    ),
    a_node_with_an_authority_is_verified_like_the_one_before=lambda nodes, at: (
        nodes[at].verify and (not at or nodes[at].ca_file is None or nodes[at - 1].verify)
    ),
    verification_is_remembered_by_host_and_port=lambda nodes, at: (
        not any(
            urlsplit(nodes[at].url or "").netloc == urlsplit(it.url or "").netloc and not it.verify
            for it in nodes
        )
    ),
    no_node_is_verified_beside_two_without=lambda nodes, at: (
        nodes[at].verify and sum(not it.verify for it in nodes) < 2
    ),
)

# -- the request ---------------------------------------------------------------------------------


@mutant(
    "TLS-01",
    killed_by=case(
        test_posture.test_a_certificate_that_changes_after_the_mint_is_verified_for_the_upload
    ),
)
def no_upload_is_verified_that_requests_events(patch: pytest.MonkeyPatch) -> None:
    post = Peer.post

    def posted(self: Peer, headers: Any, *rest: Any) -> Any:
        if "Accept" in headers:
            object.__setattr__(self, "tls", copied(self.tls, verify=False))
        return post(self, headers, *rest)

    patch.setattr(Peer, "post", posted)


NO_EVENTS = case(
    test_early_success.test_no_events_are_requested_from_a_node_behind_a_proxy_that_cannot_answer_early
)


def name_proxies(patch: pytest.MonkeyPatch, name: Callable[[str], str | None]) -> None:
    patch.setattr(peers, "proxy_without_early_answers", lambda server: name(server or ""))


alike(
    name_proxies,
    "FLD-08",
    killed_by=NO_EVENTS,
    no_proxy_is_known_with_its_version=lambda it: it if it.lower() in PROXIES else None,
    no_proxy_is_known_in_capitals=lambda it: it if it.startswith(PROXIES) else None,
    nginx_is_the_only_proxy=lambda it: it if it.lower().startswith("nginx") else None,
)


@mutant("FLD-08", killed_by=NO_EVENTS)
def no_proxy_is_remembered_for_a_second_attempt(patch: pytest.MonkeyPatch) -> None:
    attempt = fanout._attempt

    async def forgetful(work: Any, peer: Peer) -> Any:
        peer.fronts.clear()
        return await attempt(work, peer)

    patch.setattr(fanout, "_attempt", forgetful)


@mutant("KIT-05", killed_by=case(test_url.test_credentials_in_a_url_are_sent_to_nobody))
def a_user_name_in_a_url_is_sent(patch: pytest.MonkeyPatch) -> None:
    parse, post, users = urls._parse, Peer.post, dict[str, str]()

    def parsed(node: Node, url: str, *rest: Any, **how: Any) -> Any:
        begin, sign, end = url.partition("@")
        scheme, _, user = begin.rpartition("/")
        if not sign or ":" in user:
            return parse(node, url, *rest, **how)
        users[node.name] = f"{user}:"
        return parse(node, f"{scheme}/{end}", *rest, **how)

    def posted(self: Peer, headers: Any, *rest: Any) -> Any:
        user = users.get(self.node.name)
        basic = {"Authorization": f"Basic {b64encode(user.encode()).decode()}"} if user else {}
        return post(self, {**basic, **headers}, *rest)

    patch.setattr(urls, "_parse", parsed)
    patch.setattr(Peer, "post", posted)


# -- the mint ------------------------------------------------------------------------------------

alike(
    show_no_certificate_when,
    "KIT-03",
    killed_by=SHOWN,
    no_certificate_is_shown_to_an_api_after_a_socket=lambda it: (
        it.part == "upload" and isinstance(it.peer.mint, ReplicationMint)
    ),
)

# -- the authority -------------------------------------------------------------------------------


def speak(patch: pytest.MonkeyPatch, change: Callable[[Node, ssl.SSLContext], None]) -> None:
    """Change the context of each node."""

    def made(node: Node, api: Any, context: ssl.SSLContext, *rest: Any) -> Peer:
        change(node, context)
        return Peer(node, api, context, *rest)

    patch.setattr(fanout, "Peer", made)
    patch.setattr(tls, "_shared_context", tls._new_context)


def one_version(
    version: ssl.TLSVersion, when: Callable[[Node], bool]
) -> Callable[[Node, ssl.SSLContext], None]:
    def change(node: Node, context: ssl.SSLContext) -> None:
        if when(node):
            context.minimum_version = context.maximum_version = version

    return change


alike(
    speak,
    "KIT-11",
    killed_by=VERSIONS,
    tls_1_3_alone_is_spoken_to_a_node_with_its_own_authority=one_version(
        ssl.TLSVersion.TLSv1_3, lambda it: it.ca_file is not None
    ),
    tls_1_2_alone_is_spoken_to_a_node_with_its_own_authority=one_version(
        ssl.TLSVersion.TLSv1_2, lambda it: it.ca_file is not None
    ),
    tls_1_2_alone_is_spoken_to_a_node_without_verification=one_version(
        ssl.TLSVersion.TLSv1_2, lambda it: not it.verify
    ),
)

# -- the attempt ---------------------------------------------------------------------------------


@mutant(
    "BUG-41",
    killed_by=case(test_quotes_later.test_a_token_of_an_earlier_attempt_is_in_no_record),
)
def a_success_of_a_second_attempt_shows_its_secrets(patch: pytest.MonkeyPatch) -> None:
    attempt, again = fanout._attempt, set[int]()

    async def changed(work: Any, peer: Peer) -> Any:
        if id(peer.secrets) in again:
            members: list[Any] = [{}]

            async def noted(peer: Peer) -> Any:
                members[0] = await work(peer)
                return members[0]

            outcome = await attempt(noted, peer)
            return outcome if isinstance(outcome, AttemptError) else members[0]
        again.add(id(peer.secrets))
        return await attempt(work, peer)

    patch.setattr(fanout, "_attempt", changed)


# -- other machines ------------------------------------------------------------------------------

_LOCAL_6 = ipaddress.ip_network("fc00::/7")
NETWORKS = [*map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))]


def is_in(host: str, networks: Iterable[Any]) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address.version == it.version and address in it for it in networks)


def take_for_this_machine(patch: pytest.MonkeyPatch, looks: Callable[[str], bool]) -> None:
    is_loopback = urls.is_loopback
    patch.setattr(urls, "is_loopback", lambda host: is_loopback(host) or looks(host))


alike(
    take_for_this_machine,
    "TLS-06",
    killed_by=(
        case(test_plain.test_plain_http_to_a_name_that_looks_like_this_machine_is_refused),
        case(test_plain.test_plain_ws_to_what_looks_like_this_machine_is_refused),
    ),
    a_private_address_is_this_machine=lambda it: is_in(it, NETWORKS),
    a_local_address_of_ipv6_is_this_machine=lambda it: is_in(it, [_LOCAL_6]),
    a_link_local_address_is_this_machine=lambda it: is_in(
        it, [ipaddress.ip_network("169.254.0.0/16")]
    ),
    a_local_name_is_this_machine=lambda it: it.endswith((".local", ".internal", ".lan")),
)

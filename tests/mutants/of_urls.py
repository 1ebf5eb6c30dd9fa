"""Mutants of URLs and of trust."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from deploy_relay_kit.relay import connection, fanout, tls, urls
from deploy_relay_kit.relay.errors import AttemptError, InputError, OriginError
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.tls import Tls, contexts_for
from deploy_relay_kit.relay.urls import Endpoint, resolve
from tests.conformance import (
    test_plain,
    test_refusals,
    test_sockets,
    test_sockets_trust,
    test_tls,
    test_url,
    test_url_parts,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_answers import change_limits

PORTS = test_url_parts.test_the_port_of_a_node_wins_over_those_of_the_origin


def change_nodes(patch: pytest.MonkeyPatch, change: Callable[[Node], Node]) -> None:
    """Change a node before its operations API is resolved."""
    patch.setattr(fanout, "resolve", lambda node, *rest, **how: resolve(change(node), *rest, **how))


@mutant("URL-01", killed_by=case(test_url_parts.test_the_url_of_a_node_wins_over_its_parts))
def the_parts_win_over_the_url(patch: pytest.MonkeyPatch) -> None:
    change_nodes(patch, lambda node: replace(node, url=None) if node.host else node)


@mutant(
    "URL-02",
    killed_by=case(
        test_url_parts.test_without_a_secure_port_plain_http_is_used_at_the_insecure_port
    ),
)
def the_scheme_is_always_https(patch: pytest.MonkeyPatch) -> None:
    change_limits(patch, lambda limits: replace(limits, connect=0.3))
    put_together = urls._put_together
    patch.setattr(
        urls,
        "_put_together",
        lambda schemes, *rest: put_together(
            ("https", "https") if "http" in schemes else schemes, *rest
        ),
    )


@mutant("URL-03", killed_by=case(PORTS))
def the_port_of_a_node_is_ignored(patch: pytest.MonkeyPatch) -> None:
    change_nodes(patch, lambda node: replace(node, port=None))


@mutant(
    "URL-04",
    killed_by=case(
        test_url_parts.test_the_name_of_a_node_without_its_port_is_its_host, form="{host}:9933"
    ),
    also={"WS-02": "the host of a socket keeps the port of the name, too"},
)
def a_name_keeps_its_port(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(urls, "_bare_name", lambda name: name)


@mutant(
    "URL-04",
    killed_by=case(
        test_url_parts.test_the_host_of_a_node_wins_over_its_replication_url_and_its_name
    ),
)
def the_replication_url_wins_over_the_host(patch: pytest.MonkeyPatch) -> None:
    change_nodes(patch, lambda node: replace(node, host=None) if node.replication_url else node)


@mutant(
    "URL-05",
    killed_by=case(test_url_parts.test_the_host_of_a_replication_url_is_used_and_its_port_is_not),
)
def the_replication_port_is_used(patch: pytest.MonkeyPatch) -> None:
    change_nodes(
        patch,
        lambda node: (
            replace(node, port=node.replication_url.rpartition(":")[2])
            if node.replication_url
            else node
        ),
    )


@mutant(
    "URL-08",
    killed_by=(
        case(
            test_url.test_the_path_and_query_of_the_operations_api_url_are_kept,
            path="/a/b/ops/?site=eu&x=1",
        ),
        case(
            test_url.test_the_path_and_query_of_the_operations_api_url_are_kept,
            path="/a/../b/./c//d/",  # not the hint about . and ..
        ),
        case(test_url.test_a_node_behind_a_path_prefix_proxy_is_reached),
        case(test_url.test_the_mint_goes_to_the_same_path_and_query),
    ),
)
def the_path_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(urls, "_target", lambda parts: "/")  # noqa: ARG005


@mutant("URL-09", killed_by=case(test_url.test_a_node_at_an_ipv6_address_is_reached))
def an_ipv6_address_has_no_brackets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Endpoint, "address", property(lambda api: f"{api.host}:{api.port}"))


@mutant(
    "URL-10",
    killed_by=case(PORTS, form="0.0.0.0:{port}"),
    also={"WS-02": "the port in a name is read in the same way"},
)
def a_port_must_be_a_number(patch: pytest.MonkeyPatch) -> None:
    def number(setting: int | str | None) -> int | None:
        try:
            return None if setting is None else int(setting)
        except ValueError:
            raise OriginError(
                "resolve", f"port {setting!r} is not a number from 0 to 65535"
            ) from None

    patch.setattr(urls, "_port", number)


@mutant(
    "SEQ-07",
    killed_by=case(test_url.test_an_unusable_url_costs_its_own_node_and_mints_nothing),
)
def an_unusable_url_ends_the_deploy(patch: pytest.MonkeyPatch) -> None:
    def unusable(url: str, why: str) -> InputError:
        return InputError(f"{url}: {why}")

    patch.setattr(urls, "_unusable", unusable)


@mutant("SEQ-07", killed_by=case(test_sockets.test_an_unusable_url_opens_no_socket))
def a_url_is_resolved_after_the_mint(patch: pytest.MonkeyPatch) -> None:
    token, unusable = Peer.token, dict[str, AttemptError]()

    def later(node: Node, *rest: Any, **how: Any) -> Endpoint:
        try:
            return resolve(node, *rest, **how)
        except AttemptError as error:
            unusable[node.name] = error
            return Endpoint("https", "127.0.0.1", 1, "/")

    async def minted(self: Peer) -> str:
        there = await token(self)
        if self.node.name in unusable:
            raise unusable[self.node.name]
        return there

    patch.setattr(fanout, "resolve", later)
    patch.setattr(Peer, "token", minted)


@mutant(
    "HTTP-04",
    killed_by=case(test_refusals.test_a_redirect_is_a_failure_and_not_followed, status=302),
)
def redirects_are_followed(patch: pytest.MonkeyPatch) -> None:
    follow_redirects(patch)


def follow_redirects(patch: pytest.MonkeyPatch, *, of_mints_alone: bool = False) -> None:
    post = aiohttp.ClientSession.post

    def follow(*at: Any, **how: Any) -> Any:
        followed = isinstance(how["data"], bytes) or not of_mints_alone
        return post(*at, **{**how, "allow_redirects": followed})

    patch.setattr(aiohttp.ClientSession, "post", follow)
    patch.setattr(connection, "_refuse_redirect", nothing_happens)


async def nothing_happens(*_: object) -> None:
    """A trace callback of aiohttp that does nothing."""


# -- trust ---------------------------------------------------------------------------------------


Trust = tuple[Any, bool]  # of a node: its CA file, and whether it is verified


def change_tls(
    patch: pytest.MonkeyPatch, change: Callable[[list[Trust], Tls], tuple[list[Trust], Tls]]
) -> None:
    patch.setattr(
        fanout, "contexts_for", lambda nodes, tls: contexts_for(*change(list(nodes), tls))
    )


def without_verification(peer: Peer) -> Peer:
    """The same peer, without verification."""
    return replace(peer, tls=contexts_for([(None, False)], Tls())[0])


@mutant(
    "TLS-01",
    killed_by=(
        case(test_tls.test_a_flawed_certificate_is_refused_before_a_request),
        case(test_tls.test_verification_stays_enabled_for_the_other_nodes),
        case(test_tls.test_an_authority_that_was_not_given_is_not_trusted),
    ),
    also={"TLS-02": "every authority is trusted for every node"},
)
def nothing_is_verified(patch: pytest.MonkeyPatch) -> None:
    change_tls(patch, lambda nodes, tls: ([(file, False) for file, _ in nodes], tls))


@mutant("TLS-01", killed_by=case(test_tls.test_verification_can_be_disabled_for_a_node))
def verification_cannot_be_switched_off(patch: pytest.MonkeyPatch) -> None:
    change_tls(patch, lambda nodes, tls: ([(file, True) for file, _ in nodes], tls))


@mutant(
    "TLS-02",
    killed_by=(
        case(test_tls.test_a_certificate_of_the_cluster_is_trusted),
        case(test_tls.test_a_certificate_is_trusted_with_each_version_of_tls),
    ),
)
def the_authority_of_the_cluster_is_not_loaded(patch: pytest.MonkeyPatch) -> None:
    change_tls(patch, lambda nodes, tls: (nodes, replace(tls, ca_file=None)))


@mutant(
    "TLS-02",
    killed_by=case(test_tls.test_the_authority_of_a_node_is_trusted_for_that_node_alone),
)
def the_authority_of_a_node_is_not_loaded(patch: pytest.MonkeyPatch) -> None:
    change_tls(patch, lambda nodes, tls: ([(None, verify) for _, verify in nodes], tls))


class WrongName(ssl.SSLContext):
    """Sends a wrong name in the handshake."""

    def wrap_bio(self, *at: Any, **how: Any) -> ssl.SSLObject:
        return super().wrap_bio(*at, **{**how, "server_hostname": "somebody.example"})


@mutant(
    "TLS-03",
    killed_by=case(test_tls.test_the_handshake_names_a_host_and_no_address, host="127.0.0.1"),
)
@mutant(
    "WS-06",
    killed_by=case(test_sockets_trust.test_the_handshake_of_a_socket_names_the_node_and_no_address),
    also={"TLS-01": "the certificate is compared with no name, and always verified"},
)
def every_handshake_has_a_wrong_name(patch: pytest.MonkeyPatch) -> None:
    def context(trusted: tuple[str, ...], _verify: bool) -> ssl.SSLContext:  # noqa: FBT001
        made = WrongName(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        for certificates in trusted:
            made.load_verify_locations(cadata=certificates)
        return made

    patch.setattr(tls, "_shared_context", context)


@mutant(
    "KIT-03",
    killed_by=case(test_tls.test_a_peer_that_requests_a_certificate_is_shown_the_relays_own),
)
def the_own_certificate_is_not_shown(patch: pytest.MonkeyPatch) -> None:
    change_tls(patch, lambda nodes, tls: (nodes, Tls(tls.ca_file)))


@mutant(
    "TLS-06",
    killed_by=(
        case(test_plain.test_plain_http_to_another_machine_is_refused),
        case(test_sockets_trust.test_plain_ws_to_another_machine_is_refused),
    ),
)
def every_host_is_loopback(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(urls, "is_loopback", lambda host: True)  # noqa: ARG005

"""Mutants of connections to a node: trust, redirects, cookies and URLs."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from yarl import URL

from deploy_relay_kit.relay import connection, fanout, tls, urls
from deploy_relay_kit.relay.errors import InputError, OriginError
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.urls import Endpoint, resolve
from tests.conformance import (
    test_mint_failures,
    test_refusals,
    test_secrets,
    test_tls,
    test_token,
    test_url,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_urls import change_nodes, follow_redirects


@mutant("TLS-02", killed_by=case(test_tls.test_every_authority_of_a_file_is_trusted))
def one_certificate_of_a_file_is_trusted(patch: pytest.MonkeyPatch) -> None:
    read = tls._certificates
    end = "-----END CERTIFICATE-----"
    patch.setattr(tls, "_certificates", lambda file: read(file).partition(end)[0] + end)


@mutant(
    "URL-08", killed_by=case(test_url.test_a_url_without_a_path_means_the_root, query="?site=eu")
)
def a_query_without_a_path_is_lost(patch: pytest.MonkeyPatch) -> None:
    def lost(node: Node) -> Node:
        url = node.url or ""
        return node if url.count("/") > 2 else replace(node, url=url.partition("?")[0])

    change_nodes(patch, lost)


@mutant("URL-08", killed_by=case(test_url.test_the_scheme_of_a_url_may_be_in_capitals))
def the_scheme_of_a_url_must_be_lower_case(patch: pytest.MonkeyPatch) -> None:
    def checked(node: Node) -> Node:
        if not (node.url or "http").startswith("http"):
            raise OriginError("resolve", "the scheme must be https or http")
        return node

    change_nodes(patch, checked)


@mutant("HTTP-01", "URL-08", killed_by=case(test_url.test_the_fragment_of_a_url_is_sent_to_nobody))
def a_fragment_belongs_to_the_path(patch: pytest.MonkeyPatch) -> None:
    change_nodes(patch, lambda node: replace(node, url=(node.url or "").replace("#", "%23")))


@mutant("HTTP-01", killed_by=case(test_url.test_the_fragment_of_a_url_is_sent_to_nobody))
def a_question_mark_in_a_fragment_begins_a_query(patch: pytest.MonkeyPatch) -> None:
    change_nodes(
        patch, lambda node: replace(node, url=re.sub(r"#[^?]*\?", "?", node.url or "") or None)
    )


@mutant(
    "URL-09",
    killed_by=case(
        test_url.test_an_ipv6_address_may_stand_in_a_name_or_a_replication_url, name="::1"
    ),
)
def a_name_ends_at_its_first_colon(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(urls, "_bare_name", lambda name: name.partition(":")[0])


@mutant("BUG-41", killed_by=case(test_url.test_a_password_in_a_url_stands_in_no_record))
def a_refused_url_is_quoted(patch: pytest.MonkeyPatch) -> None:
    def quoting(node: Node, *rest: Any, **how: Any) -> Endpoint:
        try:
            return resolve(node, *rest, **how)
        except InputError as error:
            raise OriginError("resolve", f"{error}: {node.url}") from error

    patch.setattr(fanout, "resolve", quoting)


@mutant(
    "HTTP-04",
    "BUG-41",  # the password is sent along
    killed_by=case(test_mint_failures.test_a_mint_is_not_redirected, status=307),
)
def a_redirected_mint_is_followed(patch: pytest.MonkeyPatch) -> None:
    follow_redirects(patch, of_mints_alone=True)


WITHIN = case(test_refusals.test_a_redirect_within_its_node_is_not_followed_either, at="mint")


@mutant("HTTP-04", killed_by=WITHIN)
def a_redirect_of_a_mint_that_keeps_its_method_is_followed_within_a_host(
    patch: pytest.MonkeyPatch,
) -> None:
    refuse = connection._refuse_redirect

    async def refuse_others(session: Any, context: object, seen: Any) -> None:
        to = seen.url.join(URL(seen.response.headers["Location"]))
        if to.host != seen.url.host or seen.response.status not in {307, 308}:
            await refuse(session, context, seen)

    follow_redirects(patch, of_mints_alone=True)
    patch.setattr(connection, "_refuse_redirect", refuse_others)


@mutant("HTTP-04", killed_by=WITHIN)
def a_redirect_within_a_node_is_followed(patch: pytest.MonkeyPatch) -> None:
    refuse = connection._refuse_redirect

    async def refuse_others(session: Any, context: object, seen: Any) -> None:
        to = seen.url.join(URL(seen.response.headers["Location"]))
        if to.origin() != seen.url.origin():
            await refuse(session, context, seen)

    follow_redirects(patch, of_mints_alone=True)
    patch.setattr(connection, "_refuse_redirect", refuse_others)


@mutant("BUG-41", killed_by=case(test_secrets.test_a_cookie_of_one_peer_is_not_sent_to_another))
def cookies_are_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(aiohttp, "DummyCookieJar", lambda: aiohttp.CookieJar(unsafe=True))


@mutant(
    "SEQ-08", killed_by=case(test_token.test_nodes_at_one_host_and_port_have_tokens_of_their_own)
)
def a_token_is_known_by_host_and_port(patch: pytest.MonkeyPatch) -> None:
    mint, kept = Peer.token, dict[object, tuple[Peer, asyncio.Future[str]]]()

    async def known(self: Peer) -> str:
        at = (self.connections, self.api.host, self.api.port)
        if at not in kept or kept[at][0] is self:
            kept[at] = (self, asyncio.ensure_future(mint(self)))
        return await kept[at][1]

    patch.setattr(Peer, "token", known)

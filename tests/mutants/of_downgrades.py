"""Mutants that give up TLS, follow a redirect, or use what belongs to another node or attempt."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
import pytest

from deploy_relay_kit.relay import connection, fanout, urls
from deploy_relay_kit.relay import peer as peers
from deploy_relay_kit.relay.errors import AttemptError
from deploy_relay_kit.relay.node import LocalSettings, Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.urls import Endpoint
from tests.conformance import (
    test_attempts,
    test_plain,
    test_refusals,
    test_sockets,
    test_sockets_trust,
    test_tls,
    test_token,
)
from tests.mutants.moments import Moment, When, change_moments, count_attempts
from tests.mutants.mutant import alike, case, mutant

REFUSED = case(test_plain.test_plain_http_to_another_machine_is_refused)

# -- without TLS ---------------------------------------------------------------------------------


def try_without_tls(patch: pytest.MonkeyPatch, after: Callable[[AttemptError], bool]) -> None:
    """Make an attempt without TLS after one that failed so."""
    attempt = fanout._attempt

    async def lowered(work: Any, peer: Peer) -> Any:
        outcome = await attempt(work, peer)
        if isinstance(outcome, AttemptError) and after(outcome):
            await attempt(work, replace(peer, api=replace(peer.api, scheme="http")))
        return outcome

    patch.setattr(fanout, "_attempt", lowered)


alike(
    try_without_tls,
    "TLS-01",
    killed_by=case(test_tls.test_a_flawed_certificate_is_refused_before_a_request),
    a_bad_certificate_leads_to_plain_http=lambda it: "certificate of" in it.reason,
)
alike(
    try_without_tls,
    "TLS-01",
    killed_by=case(
        test_plain.test_a_handshake_that_failed_is_not_followed_by_a_connection_without_tls
    ),
    a_failed_handshake_leads_to_plain_http=lambda it: (
        it.status_code is None and "certificate of" not in it.reason
    ),
)


def allow_http(patch: pytest.MonkeyPatch, also: Callable[[Node], bool]) -> None:
    """Allow plain http for some nodes without leave."""

    def lenient(node: Node, local: LocalSettings, *, allow_http: bool) -> Endpoint:
        return urls.resolve(node, local, allow_http=allow_http or also(node))

    patch.setattr(fanout, "resolve", lenient)


alike(
    allow_http,
    "TLS-06",
    killed_by=REFUSED,
    plain_http_is_allowed_without_verification=lambda node: not node.verify,
    plain_http_is_allowed_with_a_given_token=lambda node: type(node.mint).__name__ == "GivenToken",
)
alike(
    allow_http,
    "TLS-06",
    killed_by=case(
        test_plain.test_plain_http_to_another_machine_is_refused_for_a_node_without_a_url
    ),
    plain_http_is_allowed_without_a_url=lambda node: not node.url,
)


@mutant(
    "TLS-06",
    killed_by=case(test_plain.test_plain_http_to_another_machine_is_used_if_the_deploy_allows_it),
)
def plain_http_stays_allowed(patch: pytest.MonkeyPatch) -> None:
    given: list[bool] = []

    def lenient(node: Node, local: LocalSettings, *, allow_http: bool) -> Endpoint:
        given.append(allow_http)
        return urls.resolve(node, local, allow_http=any(given))

    patch.setattr(fanout, "resolve", lenient)


def loopback_is(patch: pytest.MonkeyPatch, is_loopback: Callable[[str], bool]) -> None:
    patch.setattr(urls, "is_loopback", is_loopback)


alike(
    loopback_is,
    "TLS-06",
    killed_by=case(test_plain.test_plain_http_to_this_machine_is_used),
    plain_http_to_this_machine_is_refused=lambda _: False,
    only_localhost_is_this_machine=lambda host: host in {"localhost", "127.0.0.1"},
)


@mutant(
    "TLS-06",
    killed_by=case(
        test_sockets_trust.test_plain_ws_to_another_machine_is_used_if_the_deploy_allows_it
    ),
)
def plain_ws_is_never_allowed(patch: pytest.MonkeyPatch) -> None:
    def strict(node: Node, local: LocalSettings, *, allow_http: bool) -> Endpoint:
        del allow_http
        return urls.resolve_replication(node, local)

    patch.setattr(peers, "resolve_replication", strict)


# -- redirects -----------------------------------------------------------------------------------


def follow(patch: pytest.MonkeyPatch, *, is_mint: bool) -> None:
    """Follow the redirects of the second mint, or of the second upload."""
    post, refuse, counts = aiohttp.ClientSession.post, connection._refuse_redirect, Counter[str]()

    def posted(self: Any, url: Any, **how: Any) -> Any:
        follows = isinstance(how["data"], bytes) == is_mint and counts[str(url)] > 0
        counts[str(url)] += isinstance(how["data"], bytes) == is_mint
        return post(self, url, **{**how, "allow_redirects": follows})

    async def refuse_others(session: Any, context: object, seen: Any) -> None:
        if seen.method != "POST":
            await refuse(session, context, seen)

    patch.setattr(aiohttp.ClientSession, "post", posted)
    patch.setattr(connection, "_refuse_redirect", refuse_others)


AGAIN = case(test_refusals.test_no_redirect_is_followed_in_a_second_attempt)


@mutant("HTTP-04", killed_by=AGAIN)
def a_second_mint_is_redirected(patch: pytest.MonkeyPatch) -> None:
    follow(patch, is_mint=True)


@mutant("HTTP-04", killed_by=AGAIN)
def a_second_upload_is_redirected(patch: pytest.MonkeyPatch) -> None:
    follow(patch, is_mint=False)


@mutant("HTTP-04", killed_by=case(test_sockets.test_a_redirect_of_a_socket_is_not_followed))
def a_socket_is_redirected(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None:
        """Let aiohttp follow, as `ws_connect` asks it to."""

    patch.setattr(connection, "_refuse_redirect", nothing)


# -- what belongs to another node ----------------------------------------------------------------


def share_logins(patch: pytest.MonkeyPatch, key: Callable[[Peer], object]) -> None:
    """Mint as the first node with the same key."""
    attempt, first = fanout._attempt, dict[object, Any]()

    async def shared(work: Any, peer: Peer) -> Any:
        return await attempt(work, replace(peer, mint=first.setdefault(key(peer), peer.mint)))

    patch.setattr(fanout, "_attempt", shared)


OF_ITS_NODE = test_token.test_a_mint_carries_the_credentials_of_its_own_node

alike(
    share_logins,
    *("MINT-11", "BUG-41"),
    killed_by=case(OF_ITS_NODE),
    a_login_belongs_to_a_host=lambda it: it.api.host,
    a_login_belongs_to_a_user=lambda it: getattr(it.mint, "username", id(it)),
    a_login_belongs_to_a_name_in_small_letters=lambda it: it.node.name.lower(),
    a_login_belongs_to_a_path=lambda it: it.api.target,
)
alike(
    share_logins,
    *("MINT-11", "BUG-41"),
    killed_by=case(test_token.test_two_nodes_at_one_url_have_a_login_each),
    a_login_belongs_to_a_host_and_port=lambda it: it.api.address,
    a_login_belongs_to_a_url=lambda it: it.api.url,
)


def share_tokens(patch: pytest.MonkeyPatch, key: Callable[[Peer], object]) -> None:
    """Use the token of the first node of a deploy with the same key."""
    token, known = Peer.token, dict[object, asyncio.Future[str]]()

    async def shared(self: Peer) -> str:
        at = (key(self), id(self.connections))
        if at not in known:
            known[at] = asyncio.ensure_future(token(self))
        value: str = await asyncio.shield(known[at])
        self.hide(value, "[token]")
        return value

    patch.setattr(Peer, "token", shared)


alike(
    share_tokens,
    *("SEQ-08", "BUG-41"),
    killed_by=case(OF_ITS_NODE),
    also={
        "a_token_belongs_to_a_user": {
            "RTY-02": "the mint that failed is kept, too: no other attempt reaches the node",
            "RTY-03": "a second attempt has the token of the first",
        },
        "a_token_belongs_to_a_login": {
            "RTY-02": "the mint that failed is kept, too: no other attempt reaches the node"
        },
    },
    a_token_belongs_to_a_host=lambda it: it.api.host,
    a_token_belongs_to_a_user=lambda it: getattr(it.mint, "username", id(it)),
    a_token_belongs_to_a_login=lambda it: (
        (it.mint.username, it.mint.password) if hasattr(it.mint, "password") else id(it)
    ),
)

# -- what belongs to another attempt -------------------------------------------------------------


def keep_tokens(patch: pytest.MonkeyPatch, when: When) -> None:
    """Use the token of the attempt before."""
    moment, token, known = count_attempts(patch), Peer.token, WeakKeyDictionary[Any, str]()

    async def kept(self: Peer) -> str:
        if self.secrets not in known or not when(moment(self, "mint")):
            known[self.secrets] = await token(self)
        return known[self.secrets]

    patch.setattr(Peer, "token", kept)


EVERY = case(test_attempts.test_every_attempt_has_a_new_token_and_the_payload_from_its_first_byte)

alike(
    keep_tokens,
    "RTY-03",
    killed_by=EVERY,
    a_token_outlives_a_lost_answer=lambda it: it.is_lost and it.last.stage == "answer",
    a_token_outlives_a_503_with_retry_after=lambda it: (
        it.code == 503 and it.last.retry_after is not None
    ),
    a_token_outlives_every_second_attempt=lambda it: it.attempt == 3,
)
alike(
    keep_tokens,
    "RTY-03",
    killed_by=case(test_attempts.test_a_token_is_new_after_a_connection_that_failed),
    a_token_outlives_a_failed_connection=lambda it: it.is_lost,
)
alike(
    keep_tokens,
    "RTY-03",
    killed_by=case(test_attempts.test_every_attempt_mints_over_a_socket_of_its_own),
    a_token_of_a_socket_outlives_its_attempt=lambda it: (
        type(it.peer.mint).__name__ == "ReplicationMint"
    ),
)


def change_targets(patch: pytest.MonkeyPatch, change: Callable[[Moment], str]) -> None:
    """Ask the node for another path and query."""
    change_moments(patch, lambda it: replace(it.peer, api=replace(it.peer.api, target=change(it))))


alike(
    change_targets,
    "URL-08",
    killed_by=EVERY,
    a_second_attempt_has_no_path=lambda it: "/" if it.is_again else it.peer.api.target,
    a_second_attempt_has_no_query=lambda it: (
        it.peer.api.target.partition("?")[0] if it.is_again else it.peer.api.target
    ),
    a_second_mint_goes_to_the_root=lambda it: (
        "/" if it.is_again and it.part == "mint" else it.peer.api.target
    ),
)

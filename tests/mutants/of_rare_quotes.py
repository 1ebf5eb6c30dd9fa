"""Mutants that follow a redirect, mint or hide secrets wrongly in one rare circumstance."""

from __future__ import annotations

import contextlib
import json
import re
from base64 import b64encode, encodebytes
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from yarl import URL

from deploy_relay_kit.relay import escapes, fanout, redact, replication, report, token
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.link import Reply
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.redact import Secrets
from tests.conformance import (
    test_mint_attempts,
    test_quotes,
    test_quotes_later,
    test_refusals,
    test_secrets,
    test_sockets,
    test_sockets_ends,
    test_sockets_grammar,
    test_token,
)
from tests.mutants.moments import count_attempts
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_frames import change_retry

# -- redirects -----------------------------------------------------------------------------------


def go_where_told(patch: pytest.MonkeyPatch, is_told: Callable[[Reply, bool], bool]) -> None:
    """Send the next request of a node to the place that an answer names."""
    post, places = Peer.post, dict[str, str]()

    @contextlib.asynccontextmanager
    async def followed(self: Peer, headers: Any, body: Any, *rest: Any) -> AsyncIterator[Reply]:
        url = URL(places.get(self.api.address, self.api.url), encoded=True)
        to = replace(self.api, host=url.host or "", port=url.port or 0, target=url.raw_path_qs)
        async with post(replace(self, api=to), headers, body, *rest) as reply:
            if is_told(reply, isinstance(body, bytes)) and (place := reply.headers.get("Location")):
                places[self.api.address] = str(url.join(URL(place, encoded=True)))
            yield reply

    patch.setattr(Peer, "post", followed)


alike(
    go_where_told,
    "HTTP-04",
    killed_by=case(
        test_refusals.test_a_redirect_within_its_node_is_not_followed_either, at="upload"
    ),
    a_redirect_for_ever_counts_in_the_next_deploy=lambda it, _: it.status in (301, 308),
)
alike(
    go_where_told,
    "HTTP-04",
    killed_by=case(test_refusals.test_no_redirect_is_followed_in_a_second_attempt),
    a_busy_node_names_another=lambda it, _: it.status == 503,
)


def follow_mints(patch: pytest.MonkeyPatch, follows: Callable[[Peer, Reply], bool]) -> None:
    """Follow the redirects of some mints."""
    post = Peer.post

    @contextlib.asynccontextmanager
    async def followed(self: Peer, headers: Any, body: Any, *rest: Any) -> AsyncIterator[Reply]:
        async with contextlib.AsyncExitStack() as stack:
            reply = await stack.enter_async_context(post(self, headers, body, *rest))
            place = reply.headers.get("Location")
            if isinstance(body, bytes) and place and follows(self, reply):
                to = URL(self.api.url, encoded=True).join(URL(place, encoded=True))
                there = replace(self.api, target=to.raw_path_qs)
                moved = replace(self, api=there)
                reply = await stack.enter_async_context(post(moved, headers, body, *rest))
            yield reply

    patch.setattr(Peer, "post", followed)


alike(
    follow_mints,
    "HTTP-04",
    killed_by=case(test_refusals.test_a_redirect_within_its_node_is_not_followed_either, at="mint"),
    a_mint_that_has_moved_is_sent_again=lambda _, it: it.status == 301,
    a_mint_takes_the_first_of_several_places=lambda _, it: it.status == 300,
    a_mint_at_a_path_is_redirected=lambda peer, it: peer.api.target != "/" and it.status == 307,
    a_mint_at_an_ipv6_address_is_redirected=lambda peer, it: (
        ":" in peer.api.host and it.status == 307
    ),
)

# -- logins and tokens ---------------------------------------------------------------------------


@mutant("MINT-11", killed_by=case(test_mint_attempts.test_every_attempt_mints_as_the_first))
def a_later_mint_has_a_login_of_the_vendor_in_its_head(patch: pytest.MonkeyPatch) -> None:
    login = b64encode(b"HDB_ADMIN:password").decode()
    moment, post = count_attempts(patch), Peer.post

    def posted(self: Peer, headers: Mapping[str, str], body: Any, *rest: Any) -> Any:
        if isinstance(body, bytes) and moment(self, "mint").is_again:
            headers = {**headers, "Authorization": f"Basic {login}"}
        return post(self, headers, body, *rest)

    patch.setattr(Peer, "post", posted)


@mutant(
    "BUG-35",
    killed_by=case(
        test_sockets.test_a_token_of_a_socket_that_cannot_stand_in_a_header_fails_the_mint
    ),
)
def a_token_of_a_socket_loses_its_blanks(patch: pytest.MonkeyPatch) -> None:
    def stripped(answer: dict[str, Any]) -> str:
        given = answer.get("operation_token")
        return token.token_in({**answer, "operation_token": given.strip()} if given else answer)

    patch.setattr(replication, "token_in", stripped)


@mutant("MINT-11", killed_by=case(test_token.test_two_nodes_at_one_url_have_a_login_each))
def a_token_that_expired_is_minted_as_the_first_node_of_the_url(patch: pytest.MonkeyPatch) -> None:
    moment, minted, first = count_attempts(patch), Peer.token, dict[str, Any]()

    async def shared(self: Peer) -> str:
        mint = first.setdefault(self.api.url, self.mint)
        is_again = moment(self, "mint").code == 401
        return await minted(replace(self, mint=mint) if is_again else self)

    patch.setattr(Peer, "token", shared)


def read_also(
    patch: pytest.MonkeyPatch, read: Callable[[object], dict[str, object] | None]
) -> None:
    """Take other messages of a socket for the answer."""
    usual = replication.operation_response
    patch.setattr(replication, "operation_response", lambda it: usual(it) or read(it))


def _in_json(frame: object) -> dict[str, object] | None:
    try:
        code, members = json.loads(frame) if isinstance(frame, str) else (0, {})
    except ValueError:
        return None
    return members if code == replication.RESPONSE else None


def _failed(frame: object) -> dict[str, object] | None:
    try:
        members = msgpack.unpackb(frame)[1] if isinstance(frame, bytes) else {}
    except (ValueError, LookupError, TypeError, msgpack.UnpackException):
        return None
    is_error = isinstance(members, dict) and members.get("error") and "requestId" in members
    return members if is_error and members["requestId"] == 1 else None


alike(
    read_also,
    "WS-15",
    killed_by=case(test_sockets_grammar.test_an_answer_is_read_in_every_form_of_frames),
    an_answer_in_json_is_read_too=_in_json,
    an_error_of_any_code_counts=_failed,
)

alike(
    change_retry,
    "RTY-02",
    killed_by=case(
        test_sockets_ends.test_a_close_before_the_answer_is_retried_with_every_other_code
    ),
    a_close_of_an_application_is_final=lambda code, again: again and (code or 0) < 3_000,
    a_close_for_what_the_relay_sent_is_final=lambda code, again: (
        again and code not in (1002, 1003, 1007, 1009)
    ),
)

# -- secrets -------------------------------------------------------------------------------------

QUOTED = case(test_quotes.test_a_password_that_a_peer_quotes_is_in_no_record)


@mutant("BUG-41", killed_by=QUOTED)
def no_secret_is_hidden_with_escapes_of_html(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(escapes, "_KINDS", tuple(it for it in escapes._KINDS if it[0] != "&"))


@mutant("BUG-41", killed_by=QUOTED)
def no_secret_is_hidden_in_hexadecimal_digits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(redact, "_in_hex", lambda _: ())


def hide_unless(patch: pytest.MonkeyPatch, has: str) -> None:
    """Hide no secret with one of these characters."""
    add = Secrets.add

    def some(self: Secrets, secret: str, word: str) -> None:
        if not re.search(has, secret):
            add(self, secret, word)

    patch.setattr(Secrets, "add", some)


alike(
    hide_unless,
    "BUG-41",
    killed_by=QUOTED,
    no_secret_with_a_mark_of_html_is_hidden="[<&]",
    no_secret_with_a_control_is_hidden=r"[\0-\x1f]",
    no_secret_beyond_the_first_plane_is_hidden="[\U00010000-\U0010ffff]",
    no_secret_with_a_mark_of_a_pattern_is_hidden=r"[$+?^|\[]",
    no_secret_with_a_mark_of_a_list_is_hidden="[,:;=]",
)


@mutant(
    "BUG-41", killed_by=case(test_quotes_later.test_a_token_of_an_earlier_attempt_is_in_no_record)
)
def a_success_tells_of_the_attempts_before_as_they_were(patch: pytest.MonkeyPatch) -> None:
    read, success, texts = Peer.read, report.success_record, dict[str, list[str]]()

    async def noted(self: Peer, reply: Reply) -> Any:
        answer = await read(self, reply)
        if answer.status >= 500:
            texts.setdefault(self.node.name, []).append(answer.text)
        return answer

    def told(node: str, *rest: Any) -> dict[str, Any]:
        return {**success(node, *rest), "before": texts.get(node, [])}

    patch.setattr(Peer, "read", noted)
    patch.setattr(fanout, "success_record", told)


def hint_at_password(patch: pytest.MonkeyPatch, form: Callable[[str], str]) -> None:
    """Show a password in some form in the hint of a mint that fails."""
    minted = Peer.token

    async def told(self: Peer) -> str:
        try:
            return await minted(self)
        except PeerError as failure:
            failure.hint = form(getattr(self.mint, "password", ""))
            raise

    patch.setattr(Peer, "token", told)


alike(
    hint_at_password,
    "BUG-41",
    killed_by=case(test_quotes.test_a_password_that_a_mint_quotes_is_in_no_record),
    a_hint_has_the_password_in_hexadecimal_digits=lambda it: it.encode().hex(),
    a_hint_has_the_password_as_numbers_of_html=lambda it: "".join(f"&#{ord(each)};" for each in it),
    a_hint_has_the_password_with_an_escape_for_each_byte=lambda it: "".join(
        f"%{each:02x}" for each in it.encode()
    ),
    a_hint_has_the_password_in_lines=lambda it: encodebytes(
        b"of a node: " * 5 + it.encode()
    ).decode(),
)


@mutant("BUG-41", killed_by=case(test_secrets.test_no_process_shows_a_credential_during_a_deploy))
def a_token_becomes_a_variable_of_the_environment(patch: pytest.MonkeyPatch) -> None:
    minted = Peer.token

    async def told(self: Peer) -> str:
        patch.setenv("RELAY_TOKEN", found := await minted(self))
        return found

    patch.setattr(Peer, "token", told)

"""Mutants that show secrets, and mutants that omit or repeat a step."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from deploy_relay_kit import relay as reference
from deploy_relay_kit.relay import fanout, peer, upload
from deploy_relay_kit.relay.answer import StreamedAnswer, is_event_stream
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.node import LocalSettings, MintContext, Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.redact import Secrets
from deploy_relay_kit.relay.report import Record
from deploy_relay_kit.relay.token import OperationsMint
from deploy_relay_kit.relay.upload import _Sending
from deploy_relay_kit.relay.urls import Endpoint, resolve
from tests.conformance import (
    test_cancel,
    test_events,
    test_final,
    test_mint_failures,
    test_plain,
    test_quotes,
    test_quotes_later,
    test_secrets,
    test_token,
    test_url,
    test_url_parts,
    test_wire,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_records import change_report
from tests.mutants.of_sending import change_members
from tests.mutants.of_urls import change_nodes

REFUSED = case(test_mint_failures.test_a_refused_mint_fails_the_peer_without_an_upload)

# -- secrets -------------------------------------------------------------------------------------


@mutant("BUG-41", killed_by=case(test_quotes.test_a_token_that_a_peer_quotes_is_in_no_record))
def a_quoted_token_is_not_hidden(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Secrets, "hide", lambda _, value: value)


@mutant("BUG-41", killed_by=case(test_quotes.test_a_password_that_a_peer_quotes_is_in_no_record))
def a_quoted_password_is_not_hidden(patch: pytest.MonkeyPatch) -> None:
    add = Secrets.add

    def add_tokens_only(self: Secrets, secret: str, word: str) -> None:
        if word == "[token]":
            add(self, secret, word)

    patch.setattr(Secrets, "add", add_tokens_only)


@mutant(
    "BUG-41",
    killed_by=case(test_quotes.test_a_password_that_a_peer_quotes_is_in_no_record),
)
def a_password_is_not_hidden_after_the_mint(patch: pytest.MonkeyPatch) -> None:
    keep_words(patch, lambda words: {s: word for s, word in words.items() if word == "[token]"})


@mutant(
    "BUG-41",
    killed_by=case(test_quotes_later.test_a_token_of_an_earlier_attempt_is_in_no_record),
)
def the_last_token_alone_is_hidden(patch: pytest.MonkeyPatch) -> None:
    keep_words(patch, lambda words: dict(list(words.items())[-1:]))


def keep_words(patch: pytest.MonkeyPatch, keep: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """Forget some of the node's secrets when its token arrives."""
    token = Peer.token

    async def forgetful(self: Peer) -> str:
        new = await token(self)
        self.secrets._words = keep(self.secrets._words)
        return new

    patch.setattr(Peer, "token", forgetful)


@mutant(
    "BUG-41",
    killed_by=(
        case(test_quotes.test_a_token_that_an_event_quotes_is_in_no_record, name="error"),
        case(test_quotes.test_a_token_that_an_event_quotes_is_in_no_record, name="done"),
    ),
)
def secrets_in_events_are_not_hidden(patch: pytest.MonkeyPatch) -> None:
    hide, take, events = Secrets.hide, StreamedAnswer._take, list[str]()

    def listening(self: StreamedAnswer, name: str, text: str) -> Any:
        events.append(name)
        return take(self, name, text)

    patch.setattr(StreamedAnswer, "_take", listening)
    patch.setattr(Secrets, "hide", lambda self, value: value if events else hide(self, value))


@mutant("BUG-41", killed_by=case(test_secrets.test_no_record_and_no_output_holds_a_credential))
def a_failure_shows_the_head_of_its_mint(patch: pytest.MonkeyPatch) -> None:
    mint, heads = OperationsMint.mint, dict[object, str]()

    async def noting(self: OperationsMint, context: MintContext) -> str:
        pair = f"{self.username}:{self.password}".encode()
        heads[context.node.name] = f"Authorization: Basic {base64.b64encode(pair).decode()}"
        return await mint(self, context)

    def shown(record: Record) -> Record:
        failed = record["status"] == "failed"
        return {**record, "request": heads[record["node"]]} if failed else record

    patch.setattr(OperationsMint, "mint", noting)
    change_report(patch, lambda records: list(map(shown, records)))


@mutant(
    "BUG-41", killed_by=case(test_secrets.test_no_record_of_a_truncated_answer_holds_a_credential)
)
def a_truncated_answer_shows_the_head_of_its_request(patch: pytest.MonkeyPatch) -> None:
    mint, tokens = OperationsMint.mint, dict[object, str]()

    async def noting(self: OperationsMint, context: MintContext) -> str:
        token = tokens[context.node.name] = await mint(self, context)
        return token

    def shown(record: Record) -> Record:
        is_cut = record.get("stage") == "answer"
        return {**record, "sent": f"Bearer {tokens[record['node']]}"} if is_cut else record

    patch.setattr(OperationsMint, "mint", noting)
    change_report(patch, lambda records: list(map(shown, records)))


@mutant("BUG-41", killed_by=case(test_secrets.test_no_process_shows_a_credential_during_a_deploy))
def a_password_is_an_argument_of_a_program(patch: pytest.MonkeyPatch) -> None:
    mint = OperationsMint.mint

    async def by_program(self: OperationsMint, *at: Any) -> str:
        program = ("sh", "-c", "sleep 0.1", self.password)
        await (await asyncio.create_subprocess_exec(*program)).wait()
        return await mint(self, *at)

    patch.setattr(OperationsMint, "mint", by_program)


@mutant(
    "WIRE-16",
    killed_by=case(test_wire.test_no_credential_stands_in_the_body),
    also={"FLD-04": "the field is in no request, or replaces its member `auth`"},
)
def the_token_is_a_field(patch: pytest.MonkeyPatch) -> None:
    begin = _Sending.__post_init__

    def telling(self: _Sending) -> None:
        fields = {**self.upload.fields, "auth": self.token}
        self.upload = replace(self.upload, fields=fields)
        begin(self)

    patch.setattr(_Sending, "__post_init__", telling)


@mutant("KIT-05", killed_by=case(test_url.test_credentials_in_a_url_are_sent_to_nobody))
def user_info_of_a_url_goes_into_its_query(patch: pytest.MonkeyPatch) -> None:
    def moved(node: Node) -> Node:
        scheme, _, rest = (node.url or "").partition("://")
        user, at, where = rest.partition("@")
        return replace(node, url=f"{scheme}://{where}?{user}") if at else node

    change_nodes(patch, moved)


@mutant("MINT-11", killed_by=case(test_token.test_a_password_beyond_ascii_is_good))
def a_mint_is_latin_1(patch: pytest.MonkeyPatch) -> None:
    def dumps(value: object) -> str:
        text = json.dumps(value, ensure_ascii=False)
        return text.encode("latin-1", "replace").decode("latin-1")

    patch.setattr(peer, "json", SimpleNamespace(dumps=dumps))


# -- omitted and repeated steps ------------------------------------------------------------------


@mutant(
    "TLS-06",
    killed_by=case(test_plain.test_plain_http_to_another_machine_is_used_if_the_deploy_allows_it),
)
def plain_http_is_never_used(patch: pytest.MonkeyPatch) -> None:
    def never(node: Node, local: LocalSettings, *, allow_http: bool) -> Endpoint:
        del allow_http
        return resolve(node, local)

    patch.setattr(fanout, "resolve", never)


@mutant(
    "URL-03",
    "URL-10",
    killed_by=case(test_url_parts.test_a_node_of_no_port_is_at_the_secure_port_of_the_origin),
)
def the_secure_port_of_the_origin_is_ignored(patch: pytest.MonkeyPatch) -> None:
    def insecure(node: Node, local: LocalSettings, *, allow_http: bool) -> Endpoint:
        local = replace(local, secure_port=None)
        return resolve(node, local, allow_http=allow_http)

    patch.setattr(fanout, "resolve", insecure)


@mutant("RTY-04", "RTY-01", killed_by=case(test_final.test_a_success_is_final))
def a_success_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    send = upload.send

    async def twice(*what: Any) -> dict[str, object]:
        await send(*what)
        return await send(*what)

    patch.setattr(fanout, "send", twice)


@mutant("KIT-01", killed_by=case(test_cancel.test_a_deploy_that_ends_earlier_is_not_cancelled))
def every_deploy_is_cancelled(patch: pytest.MonkeyPatch) -> None:
    async def never(**how: Any) -> Any:
        del how
        raise reference.InputError("given up")

    patch.setattr(reference, "deploy", never)


@mutant(
    "SSE-03",
    killed_by=case(test_events.test_a_stream_without_its_first_comment_is_read_the_same_way),
)
def a_stream_must_begin_with_its_comment(patch: pytest.MonkeyPatch) -> None:
    feed = StreamedAnswer.feed

    def strict(self: StreamedAnswer, block: bytes) -> Iterator[tuple[str, dict[str, object]]]:
        if not vars(self).setdefault("primed", block.startswith(b":")):
            raise PeerError("answer", "this is no stream")
        yield from feed(self, block)

    patch.setattr(StreamedAnswer, "feed", strict)


@mutant(
    "HTTP-05",
    killed_by=case(test_events.test_a_plain_answer_instead_of_a_stream_is_a_success),
    also={
        "RES-05": "a refusal that is no stream loses its status",
        "SSE-18": "a refusal that is no stream loses its text",
    },
)
def a_requested_stream_must_be_a_stream(patch: pytest.MonkeyPatch) -> None:
    async def strict(members: Any, sending: _Sending, response: Any) -> Any:
        is_stream = is_event_stream(response.status, response.headers.get("Content-Type", ""))
        if sending.upload.ask_for_events and not is_stream:
            raise PeerError("answer", "this is no stream")
        return await members(sending, response)

    change_members(patch, strict)

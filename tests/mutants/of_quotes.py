"""Mutants that show what a peer quotes of a secret: in a head, in an event, in a list of lists."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from deploy_relay_kit.relay import redact
from deploy_relay_kit.relay.answer import _UNPARSABLE, StreamedAnswer, parse_json
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.link import Reply
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.redact import Secrets
from tests.conformance import test_quotes, test_secrets
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.odd import credentials_of_a_mint_in_its_head

OF_A_TOKEN = tuple(
    case(test_quotes.test_a_token_that_a_peer_quotes_is_in_no_record, secret=it)
    for it in ("operation_token", "refresh_token")
)


def keep_inner(patch: pytest.MonkeyPatch, kind: type) -> None:
    """Hide nothing in a list or an object that is inside of a list."""
    hide = Secrets.hide

    def changed(self: Secrets, value: Any) -> Any:
        if isinstance(value, list):
            return [it if isinstance(it, kind) else changed(self, it) for it in value]
        if isinstance(value, dict):
            return {hide(self, name): changed(self, item) for name, item in value.items()}
        return hide(self, value)

    patch.setattr(Secrets, "hide", changed)


alike(
    keep_inner,
    "BUG-41",
    killed_by=OF_A_TOKEN,
    what_a_list_in_a_list_holds_is_not_hidden=list,
    what_an_object_in_a_list_holds_is_not_hidden=dict,
)


def tell_of_head(patch: pytest.MonkeyPatch, tell: Callable[[Reply], str | None]) -> None:
    """Quote something of the head of an answer in the hint of a record."""
    read = Peer.read

    async def changed(self: Peer, reply: Reply) -> Any:
        answer = await read(self, reply)
        return replace(answer, hint=tell(reply) or answer.hint)

    patch.setattr(Peer, "read", changed)


alike(
    tell_of_head,
    "BUG-41",
    killed_by=OF_A_TOKEN,
    the_target_of_a_redirect_is_shown_as_it_is=lambda it: it.headers.get("Location"),
    the_words_of_a_status_are_shown_as_they_are=lambda it: it._response.reason,
    a_challenge_is_shown_as_it_is=lambda it: it.headers.get("WWW-Authenticate"),
)


@mutant(
    "BUG-41",
    killed_by=case(
        test_quotes.test_the_credentials_of_a_header_that_a_peer_quotes_are_in_no_record
    ),
)
def the_credentials_of_a_head_are_hidden_as_plain_text_alone(patch: pytest.MonkeyPatch) -> None:
    def nothing(secret: bytes) -> Iterator[str]:  # noqa: ARG001
        yield from ()

    credentials_of_a_mint_in_its_head(patch)
    patch.setattr(redact, "_in_base64", nothing)


@mutant(
    "BUG-41",
    killed_by=case(test_quotes.test_a_token_that_an_event_quotes_is_in_no_record, name="error"),
)
def an_error_event_without_json_is_shown_as_it_is(patch: pytest.MonkeyPatch) -> None:
    take = StreamedAnswer._take

    def shown(self: StreamedAnswer, name: str, text: str) -> Any:
        try:
            return take(self, name, text)
        except PeerError as failure:
            if parse_json(text) is _UNPARSABLE:
                failure.hint = text
            raise

    patch.setattr(StreamedAnswer, "_take", shown)


@mutant("BUG-41", killed_by=case(test_secrets.test_no_record_and_no_output_holds_a_credential))
def the_end_of_each_token_is_logged(patch: pytest.MonkeyPatch) -> None:
    token = Peer.token

    async def logged(self: Peer) -> str:
        minted = await token(self)
        print(f"minted a token, …{minted[-12:]}", file=sys.stderr)  # noqa: T201
        return minted

    patch.setattr(Peer, "token", logged)

"""Mutants of minting over the operations API, and of the use of tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from deploy_relay_kit.relay import fanout, peer, token
from deploy_relay_kit.relay.errors import AttemptError, PeerError
from deploy_relay_kit.relay.node import MintContext
from deploy_relay_kit.relay.payload import StagedPayload, _state
from deploy_relay_kit.relay.token import OperationsMint
from tests.conformance import (
    test_attempts,
    test_early,
    test_fanout,
    test_mint_failures,
    test_payload,
    test_replication,
    test_secrets,
    test_sockets,
    test_token,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_records import change_report
from tests.mutants.of_wire import change_headers

Minting = Callable[[OperationsMint, MintContext], Awaitable[str]]

REFUSED = test_mint_failures.test_a_refused_mint_fails_the_peer_without_an_upload
ASKED = case(test_token.test_the_mint_asks_for_an_operation_token_without_a_role)


def change_mint(patch: pytest.MonkeyPatch, change: Callable[[Minting], Minting]) -> None:
    patch.setattr(OperationsMint, "mint", change(OperationsMint.mint))


def change_request(
    patch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    patch.setattr(peer, "json", SimpleNamespace(dumps=lambda request: json.dumps(change(request))))


@mutant(
    "SEQ-04",
    killed_by=case(test_token.test_an_upload_begins_when_its_token_is_there),
    also={
        "HTTP-03": "a mint that hangs has had its upload",
        "RTY-03": "no attempt has a token of a mint",
        "SEQ-06": "a mint that fails has had its upload",
        "SEQ-08": "no upload has a token that its node minted",
        "RES-11": "a payload that shrinks during the mint was sent before",
    },
)
def an_upload_does_not_wait_for_its_token(patch: pytest.MonkeyPatch) -> None:
    mint, attempt = OperationsMint.mint, fanout._attempt
    later: list[tuple[OperationsMint, MintContext]] = []

    async def hasty(self: OperationsMint, context: MintContext) -> str:
        later.append((self, context))
        return "not-there-yet"

    async def upload_first(*what: Any) -> Any:
        result = await attempt(*what)
        await mint(*later.pop())
        return result

    patch.setattr(OperationsMint, "mint", hasty)
    patch.setattr(fanout, "_attempt", upload_first)


@mutant(
    "SEQ-06",
    killed_by=(
        case(REFUSED),
        case(
            test_mint_failures.test_a_mint_without_a_whole_answer_fails_the_peer_without_an_upload
        ),
    ),
)
@mutant(
    "MINT-03",
    killed_by=case(test_mint_failures.test_a_mint_without_a_token_fails_the_peer_without_an_upload),
)
def an_upload_is_tried_without_a_token(patch: pytest.MonkeyPatch) -> None:
    def change(mint: Minting) -> Minting:
        async def hopeful(self: OperationsMint, context: MintContext) -> str:
            try:
                return await mint(self, context)
            except AttemptError:
                return "none"

        return hopeful

    change_mint(patch, change)


@mutant(
    "SEQ-08",
    "BUG-41",
    killed_by=(
        case(test_fanout.test_each_peer_mints_its_own_token),
        case(test_secrets.test_no_peer_is_sent_a_credential_of_another),
        case(test_secrets.test_no_file_with_a_credential_is_left_behind),
    ),
    also={"RTY-03": "every attempt to every node has the first token"},
)
def the_first_token_serves_all(patch: pytest.MonkeyPatch) -> None:
    minted: list[str] = []

    def change(mint: Minting) -> Minting:
        async def shared(self: OperationsMint, context: MintContext) -> str:
            if not minted:
                minted.append(await mint(self, context))
            return minted[0]

        return shared

    change_mint(patch, change)


@mutant(
    "RTY-03",
    killed_by=(
        case(test_attempts.test_every_attempt_has_a_new_token_and_the_payload_from_its_first_byte),
        case(test_attempts.test_an_expired_token_is_never_used_again),
    ),
)
def a_token_is_kept_for_the_next_attempt(patch: pytest.MonkeyPatch) -> None:
    minted: dict[int, tuple[object, str]] = {}  # by the node of one deploy

    def change(mint: Minting) -> Minting:
        async def kept(self: OperationsMint, context: MintContext) -> str:
            if id(context.node) not in minted:
                minted[id(context.node)] = context.node, await mint(self, context)
            return minted[id(context.node)][1]

        return kept

    change_mint(patch, change)


@mutant("MINT-08", killed_by=case(test_token.test_every_deploy_mints_one_token_for_each_peer))
def a_second_token_is_minted_and_dropped(patch: pytest.MonkeyPatch) -> None:
    def change(mint: Minting) -> Minting:
        async def twice(self: OperationsMint, context: MintContext) -> str:
            await mint(self, context)
            return await mint(self, context)

        return twice

    change_mint(patch, change)


@mutant("MINT-01", killed_by=ASKED)
def the_mint_asks_for_a_role(patch: pytest.MonkeyPatch) -> None:
    change_request(patch, lambda request: {**request, "role": "super_user"})


@mutant("MINT-01", killed_by=case(test_token.test_a_real_peer_takes_the_mint))
def the_mint_is_plain_text(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda it: {**it, "Content-Type": "text/plain"}, of_mints=True)


@mutant("MINT-07", killed_by=case(test_token.test_the_mint_asks_for_a_short_lifetime))
def the_mint_asks_for_no_lifetime(patch: pytest.MonkeyPatch) -> None:
    change_request(patch, lambda request: {n: v for n, v in request.items() if n != "expires_in"})


@mutant(
    "MINT-11",
    "BUG-41",  # the password of a node is sent to another
    killed_by=case(test_token.test_a_mint_carries_the_credentials_of_its_own_node),
)
def the_first_credentials_serve_all(patch: pytest.MonkeyPatch) -> None:
    first: dict[str, Any] = {}
    change_request(patch, lambda request: first.setdefault("request", request))


def plain_token(answer: Any) -> str:
    """The token in its usual place, of any type."""
    if "operation_token" not in answer:
        raise PeerError("mint", "peer did not return an operation_token")
    return str(answer["operation_token"])


@mutant("MINT-02", killed_by=case(test_token.test_a_token_inside_of_results_is_found))
@mutant("MINT-03", killed_by=case(test_mint_failures.test_what_is_no_token_fails_the_mint, token=5))
@mutant(
    "SEQ-06",
    killed_by=case(test_mint_failures.test_a_token_that_cannot_stand_in_a_header_fails_the_mint),
    also={"HTTP-01": "an empty token leaves the scheme alone in the header"},
)
def any_value_is_a_token(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(token, "token_in", plain_token)
    patch.setattr(peer, "fits_a_header", lambda _: True)


@mutant(
    "BUG-35",
    killed_by=case(test_mint_failures.test_a_token_that_cannot_stand_in_a_header_fails_the_mint),
)
def a_token_is_cleaned_until_it_fits(patch: pytest.MonkeyPatch) -> None:
    def cleaned(answer: Any) -> str:
        given = plain_token(answer)
        return given if token.fits_a_header(given) else re.sub("[^a-z]", "", given)

    patch.setattr(token, "token_in", cleaned)


@mutant(
    "MINT-12",
    killed_by=(
        case(test_token.test_an_expired_token_is_a_failed_record_in_the_words_of_the_peer),
        case(test_early.test_a_real_peer_refuses_a_made_up_token_at_the_head_and_reads_on),
        case(test_early.test_a_real_peer_refuses_an_expired_token_at_the_file_and_stops_reading),
        case(test_replication.test_a_token_of_a_socket_may_be_expired),
        case(test_token.test_a_given_token_is_used_as_it_is_and_nothing_is_minted),
    ),
    also={"SSE-18": "the text of the same refusal as an event is not the reason"},
)
def an_expired_token_has_a_reason_of_the_relay(patch: pytest.MonkeyPatch) -> None:
    change_report(
        patch,
        lambda records: [
            {**r, "reason": "unauthorized"} if r.get("statusCode") == 401 else r for r in records
        ],
    )


@mutant(
    "BUG-41",
    killed_by=case(test_secrets.test_no_record_and_no_output_holds_a_credential),
)
def tokens_are_logged(patch: pytest.MonkeyPatch) -> None:
    def change(mint: Minting) -> Minting:
        async def logged(self: OperationsMint, context: MintContext) -> str:
            token = await mint(self, context)
            print(f"{context.node.name}: {token}")  # noqa: T201
            return token

        return logged

    change_mint(patch, change)


# -- the payload ---------------------------------------------------------------------------------


@mutant(
    "SEQ-05",
    killed_by=(
        case(test_sockets.test_a_missing_payload_opens_no_socket),
        case(test_payload.test_a_missing_payload_fails_every_peer_and_sends_nothing),
    ),
)
@mutant(
    "KIT-02", killed_by=case(test_payload.test_an_empty_payload_fails_every_peer_and_sends_nothing)
)
def the_payload_is_checked_during_the_upload(patch: pytest.MonkeyPatch) -> None:
    def later(path: Any) -> StagedPayload:
        if not path.exists():
            return StagedPayload(path, 1, ())
        found = path.stat()
        return StagedPayload(path, found.st_size, _state(found))

    patch.setattr(fanout, "measure", later)

"""Mutants that are right in the middle of a table, and wrong at its edge."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import pytest

from deploy_relay_kit.relay import answer, fanout, formdata, replication, report, request, upload
from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.states import AnswerState
from tests.conformance import (
    test_answers_framing,
    test_events_grammar,
    test_members,
    test_reading,
    test_refused_requests,
    test_sockets,
    test_sockets_ends,
)
from tests.mutants.mutant import alike, case, mutant

KEPT = case(test_reading.test_every_value_of_an_answer_is_kept)
FIELDS = case(test_refused_requests.test_sixty_four_fields_arrive)


# -- requests --------------------------------------------------------------------------------------


def refuse_if(patch: pytest.MonkeyPatch, is_too_much: Callable[[Mapping[str, Any]], bool]) -> None:
    """Refuse these requests, too."""
    forwarded_fields = request.forwarded_fields

    def strict(given: Mapping[str, Any]) -> dict[str, object]:
        if is_too_much(given):
            raise InputError("too much")
        return forwarded_fields(given)

    patch.setattr(fanout, "forwarded_fields", strict)


def is_long(value: object, limit: int = request.MAX_VALUE_BYTES) -> bool:
    return isinstance(value, str) and len(value) > limit


alike(
    refuse_if,
    "FLD-04",
    killed_by=FIELDS,
    what_stays_behind_is_counted=lambda given: len(given) > request.MAX_FIELDS,
    what_stays_behind_is_measured=lambda given: any(map(is_long, given.values())),
)
alike(
    refuse_if,
    "FLD-04",
    killed_by=case(test_refused_requests.test_a_list_of_a_mebibyte_arrives_whole),
    values_are_measured_with_blanks=lambda given: any(
        len(json.dumps(it, ensure_ascii=False).encode()) > request.MAX_VALUE_BYTES
        for it in given.values()
    ),
)


def in_depth(value: Any, change: Callable[[Any], Any]) -> Any:
    """A JSON value, of which each text and each number is changed."""
    if isinstance(value, dict):
        return {name: in_depth(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [in_depth(item, change) for item in value]
    return change(value)


def short(value: Any) -> Any:
    return float(f"{value:.15g}") if isinstance(value, float) else value


@mutant("FLD-04", killed_by=case(test_members.test_every_value_means_what_it_meant))
def numbers_in_a_list_have_fifteen_digits(patch: pytest.MonkeyPatch) -> None:
    value_bytes = formdata.value_bytes

    def rounded(value: object) -> bytes:
        return value_bytes(in_depth(value, short) if isinstance(value, list) else value)

    patch.setattr(formdata, "value_bytes", rounded)


@mutant("FLD-04", killed_by=case(test_members.test_every_name_arrives_as_it_is))
def names_that_look_like_a_credential_stay_behind(patch: pytest.MonkeyPatch) -> None:
    stays_behind = request.stays_behind

    def strict(name: str) -> bool:
        plain = unicodedata.normalize("NFKC", name).replace("\u00ad", "")
        return stays_behind(name) or stays_behind(plain)

    patch.setattr(request, "stays_behind", strict)


# -- answers ---------------------------------------------------------------------------------------


def change_success(
    patch: pytest.MonkeyPatch, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> None:
    """Change the members of each success before they become a record."""

    def changed(node: str, members: Mapping[str, Any], attempts: int = 1) -> dict[str, Any]:
        return report.success_record(node, change(members), attempts)

    patch.setattr(fanout, "success_record", changed)


OWN = {name.lower() for name in report._OURS}
alike(
    change_success,
    "RES-01",
    killed_by=KEPT,
    numbers_of_an_answer_have_fifteen_digits=lambda members: in_depth(members, short),
    names_like_the_relays_own_are_dropped=lambda members: {
        name: value for name, value in members.items() if name.strip().lower() not in OWN
    },
    a_member_with_an_empty_name_is_dropped=lambda members: {
        name: value for name, value in members.items() if name
    },
)


@mutant(
    "RES-12", killed_by=case(test_answers_framing.test_an_answer_that_breaks_off_is_a_failed_record)
)
def half_an_event_at_the_end_counts(patch: pytest.MonkeyPatch) -> None:
    members_of = upload._Sending._members

    async def lenient(self: upload._Sending, *at: Any) -> dict[str, object]:
        try:
            return await members_of(self, *at)
        except aiohttp.ClientError:
            if self._exchange.answer is AnswerState.STREAM:
                return self._stream.end()
            raise

    patch.setattr(upload._Sending, "_members", lenient)


@mutant(
    "SSE-16",
    killed_by=case(test_events_grammar.test_what_only_resembles_the_event_done_is_no_success),
)
def a_message_without_a_name_is_a_success(patch: pytest.MonkeyPatch) -> None:
    take = answer.StreamedAnswer._take

    def lenient(self: answer.StreamedAnswer, name: str, text: str) -> Any:
        return take(self, "done" if name == "message" and '"message"' in text else name, text)

    patch.setattr(answer.StreamedAnswer, "_take", lenient)


# -- sockets ---------------------------------------------------------------------------------------


def change_errors(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Change the text of each error in an answer of a socket."""
    readable = answer.readable
    patch.setattr(replication, "readable", lambda value: change(readable(value)))


alike(
    change_errors,
    "WS-12",
    killed_by=case(test_sockets.test_an_error_in_the_answer_fails_the_mint_with_its_text),
    errors_of_a_socket_are_cut=lambda text: text[:200],
    errors_of_a_socket_are_composed=lambda text: unicodedata.normalize("NFC", text),
    errors_of_a_socket_have_single_blanks=lambda text: " ".join(text.split()),
)


@mutant(
    "BUG-41", killed_by=case(test_sockets_ends.test_a_token_of_an_earlier_socket_is_in_no_record)
)
def each_attempt_forgets_the_tokens_before(patch: pytest.MonkeyPatch) -> None:
    token = Peer.token

    async def forgetful(self: Peer) -> str:
        words = self.secrets._words
        for secret in [secret for secret, word in words.items() if word == "[token]"]:
            del words[secret]
        return await token(self)

    patch.setattr(Peer, "token", forgetful)

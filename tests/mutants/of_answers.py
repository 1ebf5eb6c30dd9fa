"""Mutants of reading an answer."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from deploy_relay_kit.harness.faults.answers import Answer as Answered
from deploy_relay_kit.relay import answer, upload
from deploy_relay_kit.relay.answer import Answer, success_members
from deploy_relay_kit.relay.connection import Connections
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.link import Link, Reply
from deploy_relay_kit.relay.peer import Peer
from tests.conformance import (
    test_answers,
    test_answers_framing,
    test_faults,
    test_memory,
    test_reading,
    test_refusals,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_wire import change_headers

KEPT = case(test_answers.test_a_success_holds_the_members_of_the_answer)
LOOK = test_answers.test_json_is_recognised_by_its_form
REFUSED = test_refusals.test_a_refusal_is_a_failed_record_with_reason_and_status
RAW = test_refusals.test_a_raw_body_in_a_reason_is_cut_to_200_characters
NO_END = test_memory.test_memory_does_not_grow_with_a_head_or_an_event
SPLIT = test_answers.test_a_character_split_between_chunks_is_whole


def change_reason(patch: pytest.MonkeyPatch, change: Callable[[object, str, str], str]) -> None:
    """Change the reason: `change` gets the answer's JSON value, its text and the right reason."""
    reason = answer._reason
    patch.setattr(answer, "_reason", lambda value, text: change(value, text, reason(value, text)))


def change_limits(patch: pytest.MonkeyPatch, change: Callable[[Limits], Limits]) -> None:
    begin = Connections.__init__

    def changed(self: Connections, limits: Limits, *rest: Any) -> None:
        begin(self, change(limits), *rest)

    patch.setattr(Connections, "__init__", changed)


@mutant("RES-01", killed_by=KEPT)
def nulls_are_left_out(patch: pytest.MonkeyPatch) -> None:
    members = answer._members
    patch.setattr(
        answer,
        "_members",
        lambda value, text: {n: v for n, v in members(value, text).items() if v is not None},
    )


@mutant("RES-01", killed_by=KEPT)
def dates_are_formatted_again(patch: pytest.MonkeyPatch) -> None:
    def anew(answer: Answer) -> str:
        return re.sub(r"(\d\d:\d\d:\d\d)Z", r"\1+00:00", answer.body.decode("utf-8", "replace"))

    patch.setattr(Answer, "text", property(anew))


@mutant(
    "RES-01",
    "RES-06",
    killed_by=(case(LOOK, status=200), case(LOOK, status=500)),
    also={"RES-07": "a body of another type counts as a message, which is not cut"},
)
def json_is_known_by_its_type(patch: pytest.MonkeyPatch) -> None:
    read = Peer.read

    async def by_type(self: Peer, response: Reply) -> Answer:
        received = await read(self, response)
        if response.headers.get("Content-Type") == "application/json":
            return received
        return replace(received, body=json.dumps({"message": received.text}).encode())

    patch.setattr(Peer, "read", by_type)


@mutant("RES-01", killed_by=case(test_answers.test_an_encoded_answer_is_never_taken_for_text))
def an_encoding_is_requested_and_not_decoded(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda headers: {**headers, "Accept-Encoding": "gzip"})
    patch.setattr("deploy_relay_kit.relay.peer.unasked_coding", lambda _: "")


@mutant(
    "RES-03",
    killed_by=case(test_answers.test_a_success_that_is_not_json_has_the_body_as_its_message),
)
def text_is_dropped(patch: pytest.MonkeyPatch) -> None:
    members = answer._members
    patch.setattr(
        answer,
        "_members",
        lambda value, text: {} if value is answer._UNPARSABLE else members(value, text),
    )


@mutant("RES-04", killed_by=case(test_reading.test_a_success_that_is_no_object_is_the_result))
def a_list_is_spread(patch: pytest.MonkeyPatch) -> None:
    members = answer._members

    def spread(value: object, text: str) -> dict[str, object]:
        if isinstance(value, list):
            return {str(place): item for place, item in enumerate(value)}
        return members(value, text)

    patch.setattr(answer, "_members", spread)


@mutant("RES-06", killed_by=case(REFUSED))
def the_reason_is_the_raw_body(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(answer, "failure_reason", lambda refusal: refusal.text[:200])


@mutant("RES-07", killed_by=case(test_refusals.test_an_error_text_is_not_cut))
def every_reason_is_cut(patch: pytest.MonkeyPatch) -> None:
    change_reason(patch, lambda _value, _text, reason: reason[:1_000])


@mutant("RES-07", killed_by=case(RAW, character="x"))
def no_reason_is_cut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(answer, "RAW_REASON_UNITS", 1 << 20)


@mutant("RES-07", killed_by=case(test_refusals.test_an_error_text_is_not_cut))
def answers_have_16_kib(patch: pytest.MonkeyPatch) -> None:
    change_limits(patch, lambda limits: replace(limits, answer_bytes=1 << 14))


@mutant("RES-06", killed_by=case(REFUSED, reason=" npm ERR!\n code 1\n"))
def a_reason_is_one_line(patch: pytest.MonkeyPatch) -> None:
    change_reason(patch, lambda _value, _text, reason: reason.strip().partition("\n")[0])


@mutant(
    "RES-06",
    "RES-09",
    killed_by=(
        case(REFUSED, answer=Answered(500, json={"message": ""})),
        case(test_refusals.test_a_refusal_that_is_no_object_is_its_own_reason, reason="0"),
    ),
)
def what_is_falsy_is_absent(patch: pytest.MonkeyPatch) -> None:
    def truthy(value: object, text: str, reason: str) -> str:
        if not isinstance(value, dict):
            return reason
        chosen = value.get("error") or value.get("message") or text
        return chosen if isinstance(chosen, str) else reason

    change_reason(patch, truthy)


@mutant("RES-06", killed_by=case(REFUSED, reason='{"error":null,"message":null}'))
def null_is_an_empty_text(patch: pytest.MonkeyPatch) -> None:
    change_reason(
        patch,
        lambda value, _text, reason: (
            "" if isinstance(value, dict) and value.get("message", "") is None else reason
        ),
    )


@mutant("RES-07", killed_by=case(test_refusals.test_a_reason_that_is_cut_holds_whole_characters))
def a_reason_ends_in_half_a_character(patch: pytest.MonkeyPatch) -> None:
    def units(text: str) -> str:
        return text.encode("utf-16-le")[:400].decode("utf-16-le", "surrogatepass")

    patch.setattr(answer, "_first_units", units)


@mutant("RES-08", killed_by=case(test_refusals.test_an_error_that_is_an_object_is_readable))
def an_object_is_shown_as_javascript_does(patch: pytest.MonkeyPatch) -> None:
    def shown(value: object, _text: str, reason: str) -> str:
        is_object = isinstance(value, dict) and isinstance(value.get("error"), dict)
        return "[object Object]" if is_object else reason

    change_reason(patch, shown)


@mutant("RES-09", killed_by=case(test_refusals.test_a_refusal_that_is_no_object_is_its_own_reason))
def a_refusal_that_is_no_object_has_no_reason(patch: pytest.MonkeyPatch) -> None:
    change_reason(patch, lambda value, _text, reason: reason if isinstance(value, dict) else "")


@mutant(
    "RES-12", killed_by=case(test_answers_framing.test_an_answer_that_breaks_off_is_a_failed_record)
)
def an_incomplete_answer_is_a_success(patch: pytest.MonkeyPatch) -> None:
    read = Peer.read

    async def lenient(self: Peer, response: Reply) -> Answer:
        try:
            return await read(self, response)
        except (aiohttp.ClientPayloadError, PeerError):
            return Answer(response.status, b"{}")

    patch.setattr(Peer, "read", lenient)


@mutant(
    "RES-14",
    killed_by=case(test_answers.test_a_success_with_an_error_member_is_a_success_that_keeps_it),
)
def an_error_member_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    def strict(answer: Answer) -> dict[str, Any]:
        members = success_members(answer)
        if "error" in members:
            raise PeerError("answer", str(members["error"]))
        return members

    patch.setattr(upload, "success_members", strict)


@mutant(
    "HTTP-05",
    killed_by=case(test_answers.test_every_status_of_the_two_hundreds_is_a_success, status=202),
)
def only_200_is_a_success(patch: pytest.MonkeyPatch) -> None:
    for module in (answer, upload):
        patch.setattr(module, "SUCCESS", range(200, 201))


@mutant(
    "HTTP-05",
    killed_by=(
        case(SPLIT, status=200),
        case(SPLIT, status=500),
        case(test_faults.test_an_answer_that_drips_is_a_success),
    ),
)
def an_answer_is_latin_1(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Answer, "text", property(lambda answer: answer.body.decode("latin-1")))


@mutant(
    "BUG-30",
    killed_by=(
        case(
            test_answers_framing.test_an_answer_of_a_hundred_megabytes_is_one_short_record,
            status=200,
            chunk_size=1_000_000,
        ),
        case(test_memory.test_memory_does_not_grow_with_an_answer, status=500),
        case(NO_END, endless=test_memory.one_event),
        case(test_memory.test_memory_does_not_grow_with_the_answer_of_a_mint),
    ),
)
def an_answer_is_read_to_its_end(patch: pytest.MonkeyPatch) -> None:
    change_limits(patch, lambda limits: replace(limits, answer_bytes=1 << 30))


@mutant("BUG-30", killed_by=case(NO_END, endless=test_memory.one_head))
def a_head_is_read_to_its_end(patch: pytest.MonkeyPatch) -> None:
    much = 1 << 30
    bearing = functools.partial(aiohttp.ClientSession, max_field_size=much, max_headers=much)
    patch.setattr(aiohttp, "ClientSession", bearing)
    patch.setattr(Link, "most", much)

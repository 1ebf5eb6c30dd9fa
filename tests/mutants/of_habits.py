"""Mutants with default behaviour of libraries and languages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.client_proto import ResponseHandler

from deploy_relay_kit.relay import answer, failures, fanout, formdata, payload, upload
from deploy_relay_kit.relay.answer import EVENT_STREAM, Answer, StreamedAnswer
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.events import EventParser
from deploy_relay_kit.relay.link import Reply
from deploy_relay_kit.relay.payload import StagedPayload, measure, opened
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Record, success_record
from deploy_relay_kit.relay.states import BodyState
from deploy_relay_kit.relay.upload import _Sending
from tests.conformance import (
    test_answers,
    test_answers_framing,
    test_attempts,
    test_early,
    test_early_success,
    test_events_forms,
    test_fanout,
    test_final,
    test_members,
    test_mint_answers,
    test_payload,
    test_payload_changes,
    test_records,
    test_refusals,
    test_secrets,
    test_values,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_fields import change_fields
from tests.mutants.of_records import change_report
from tests.mutants.of_sending import change_members
from tests.mutants.of_streams import change_line

BEYOND_ASCII = '["ü","☃ 🚀"]'.encode()
NO_UTF_8 = test_answers.test_a_body_that_is_not_utf_8_does_not_change_the_status
EARLY_SUCCESS = test_early_success.test_an_early_success_is_none_without_the_whole_payload
FORMS = test_events_forms.test_an_event_is_read_in_every_form_of_a_stream


# -- the body ------------------------------------------------------------------------------------


@mutant("WIRE-05", killed_by=case(test_payload.test_the_name_of_the_staged_file_is_not_sent))
def the_file_has_its_staged_name(patch: pytest.MonkeyPatch) -> None:
    begin = _Sending.__post_init__

    def by_path(self: _Sending) -> None:
        begin(self)
        name = self.upload.payload.path.name.encode()
        usual, own = b'filename="package.tar.gz"', b'filename="%b"' % name
        self._frame = replace(self._frame, head=self._frame.head.replace(usual, own))

    patch.setattr(_Sending, "__post_init__", by_path)


@mutant(
    "WIRE-06",
    killed_by=case(test_values.test_any_other_value_is_forwarded_as_compact_json),
)
def json_is_ascii(patch: pytest.MonkeyPatch) -> None:
    def dumps(value: object, **how: Any) -> str:
        return json.dumps(value, **{**how, "ensure_ascii": True})

    patch.setattr(formdata, "json", SimpleNamespace(dumps=dumps))


@mutant(
    "FLD-04",
    killed_by=case(test_members.test_every_name_arrives_as_it_is),
)
def names_of_object_prototypes_are_left_out(patch: pytest.MonkeyPatch) -> None:
    inherited = {"constructor", "toString", "valueOf", "hasOwnProperty"}
    change_fields(patch, lambda fields, _: {n: v for n, v in fields.items() if n not in inherited})


@mutant(
    "FLD-08",
    killed_by=case(test_payload.test_a_size_of_more_than_32_bits_is_not_cut, bits=32),
)
def sizes_have_32_bits(patch: pytest.MonkeyPatch) -> None:
    blocks = payload._blocks

    def few(file: Any, staged: StagedPayload, most: int) -> Iterator[bytes]:
        read = map(bytes, blocks(file, staged, most))
        if staged.size < 1 << 32:
            yield from read
        else:
            yield next(read)[: staged.size - (1 << 32)]

    patch.setattr(payload, "_blocks", few)


@mutant(
    "BUG-14",
    "FLD-08",
    killed_by=(
        case(test_payload_changes.test_a_payload_that_shrinks_before_it_is_read_fails_the_record),
        case(test_payload_changes.test_a_payload_that_is_replaced_is_not_sent_as_the_first_one),
    ),
)
def the_payload_is_measured_when_it_is_opened(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(upload, "opened", lambda staged, most: opened(measure(staged.path), most))


# -- answers -------------------------------------------------------------------------------------


@mutant("RES-02", killed_by=case(EARLY_SUCCESS, at="file"))
def an_early_success_ends_the_upload(patch: pytest.MonkeyPatch) -> None:
    async def hasty(members: Any, sending: _Sending, response: Any) -> Any:
        received = await members(sending, response)
        sending._exchange.body = BodyState.SENT
        return received

    change_members(patch, hasty)


@mutant("RES-12", killed_by=case(test_answers_framing.test_a_head_that_breaks_off_is_no_answer))
def a_head_ends_where_the_connection_ends(patch: pytest.MonkeyPatch) -> None:
    failure, outcome = failures._failure, _Sending.outcome

    def begun(address: str, error: Any, *more: Any, **how: Any) -> Any:
        head = getattr(error, "message", None)
        failed = failure(address, error, *more, **how)
        return PeerError("answer", "a head") if getattr(head, "code", None) == 200 else failed

    async def lenient(self: _Sending) -> dict[str, object]:
        try:
            return await outcome(self)
        except PeerError as error:
            if error.reason == "a head":
                return {"message": ""}
            raise

    patch.setattr(failures, "_failure", begun)
    patch.setattr(_Sending, "outcome", lenient)


@mutant(
    "HTTP-05",
    killed_by=(
        case(test_answers_framing.test_an_answer_is_read_in_every_form_of_http),
        case(
            test_answers_framing.test_an_answer_that_never_has_a_body_is_complete_without_a_length
        ),
        case(
            test_mint_answers.test_the_answer_of_a_mint_is_read_in_every_form_that_http_has,
            form="until the end",
        ),
    ),
)
def an_answer_needs_a_length(patch: pytest.MonkeyPatch) -> None:
    read = Peer.read

    async def strict(self: Peer, response: Reply) -> Answer:
        if not {"Content-Length", "Transfer-Encoding"} & set(response.headers):
            raise PeerError("answer", "the answer has no length")
        return await read(self, response)

    patch.setattr(Peer, "read", strict)


@mutant(
    "EARLY-10",
    killed_by=(
        case(test_answers_framing.test_an_interim_answer_during_the_upload_does_not_end_it),
        case(test_early.test_a_refusal_after_100_continue_is_the_answer),
    ),
    also={"WS-13": "the 101 of an upgrade is an interim answer: nothing is sent on any socket"},
)
def an_interim_answer_is_an_answer(patch: pytest.MonkeyPatch) -> None:
    read = ResponseHandler.read

    async def strict(self: ResponseHandler) -> Any:
        message, content = await read(self)
        if message.code < 200:
            raise PeerError("answer", f"HTTP {message.code}", status_code=message.code)
        return message, content

    patch.setattr(ResponseHandler, "read", strict)


@mutant("HTTP-05", "RES-05", killed_by=(case(NO_UTF_8, status=200), case(NO_UTF_8, status=500)))
def text_must_be_utf_8(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Answer, "text", property(lambda answer: answer.body.decode()))


@mutant(
    "RES-07",
    killed_by=case(
        test_refusals.test_a_raw_body_in_a_reason_is_cut_to_200_characters, character="é"
    ),
)
def a_reason_is_cut_by_bytes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        answer, "_first_units", lambda text: text.encode()[:200].decode("utf-8", "ignore")
    )


@mutant(
    "BUG-41",
    killed_by=case(test_secrets.test_a_secret_that_a_peer_quotes_is_not_shown_in_part, at="upload"),
)
def a_reason_is_cut_before_secrets_are_removed(patch: pytest.MonkeyPatch) -> None:
    reason = answer.failure_reason
    patch.setattr(answer, "failure_reason", lambda received: reason(replace(received, hide=str)))


@mutant(
    "AGG-01",
    killed_by=case(test_fanout.test_records_are_in_node_order, names=test_fanout.ODD_NAMES[0]),
)
def numbers_come_before_other_names(patch: pytest.MonkeyPatch) -> None:
    """Like the members of an object in JavaScript."""

    def place(record: Record) -> tuple[bool, int]:
        name = str(record["node"])
        return (False, int(name)) if name.isdigit() else (True, 0)

    change_report(patch, lambda records: sorted(records, key=place))


@mutant(
    "RES-02",
    killed_by=(
        case(test_attempts.test_the_relay_counts_the_attempts_itself),
        case(test_records.test_no_answer_changes_the_members_that_the_relay_sets, status="success"),
    ),
)
def the_peer_may_count_the_attempts(patch: pytest.MonkeyPatch) -> None:
    record = success_record
    patch.setattr(
        fanout,
        "success_record",
        lambda node, members, *at: {
            **(made := record(node, members, *at)),
            **{n: v for n, v in members.items() if n not in {"node", "status"}},
            "status": made["status"],
        },
    )


# -- event streams -------------------------------------------------------------------------------


@mutant("SSE-09", killed_by=case(FORMS))
def a_space_after_the_colon_is_required(patch: pytest.MonkeyPatch) -> None:
    def shortened(_: EventParser, line: str) -> str:
        name, colon, value = line.partition(":")
        return f"{name}: {value[1:]}" if colon and name else line

    change_line(patch, shortened)


@mutant("SSE-09", killed_by=case(FORMS, form="data: {data}\nevent: done\n\n"))
def the_name_of_an_event_must_come_first(patch: pytest.MonkeyPatch) -> None:
    def first(parser: EventParser, line: str) -> str:
        return ":" if line.startswith("event") and parser._data else line

    change_line(patch, first)


@mutant(
    "RES-13",
    killed_by=case(
        test_events_forms.test_the_media_type_of_a_stream_may_have_parameters_and_capitals
    ),
)
def a_media_type_has_no_parameters(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(upload, "is_event_stream", lambda status, of: status < 300 and of == EVENT_STREAM)


@mutant(
    "RTY-04",
    killed_by=case(
        test_final.test_an_event_stream_that_has_begun_is_final, stream=test_final.BEGUN[2]
    ),
)
def an_incomplete_stream_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    end = StreamedAnswer.end

    def passing(self: StreamedAnswer) -> dict[str, object]:
        try:
            return end(self)
        except PeerError as error:
            error.retryable = True
            raise

    patch.setattr(StreamedAnswer, "end", passing)

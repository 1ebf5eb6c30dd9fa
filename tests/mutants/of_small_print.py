"""Mutants of what stands in tables: members beside a token, long names and texts, heads."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deploy_relay_kit.relay import answer, fanout, link, replication, request, token
from deploy_relay_kit.relay.answer import StreamedAnswer
from deploy_relay_kit.relay.errors import AttemptError, PeerError
from deploy_relay_kit.relay.link import Link
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import success_record
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.states import End, Exchange
from tests.conformance import (
    test_answers_framing,
    test_attempts_counted,
    test_early_success,
    test_events_grammar,
    test_members,
    test_mint_forms,
    test_reading,
    test_records,
    test_retry,
    test_sockets_ends,
    test_texts,
    test_wire,
)
from tests.mutants.mutant import alike, case, mutant

# -- the mint ------------------------------------------------------------------------------------

BESIDE = case(test_mint_forms.test_a_token_is_found_beside_any_other_members)


def read_tokens(patch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    """Read an answer of a mint as if it were another one."""
    read = token.token_in
    patch.setattr(token, "token_in", lambda given: read(change(given)))


def refused(given: Any) -> Any:
    if isinstance(given, dict) and given.get("error"):
        raise PeerError("mint", str(given["error"]))
    return given


alike(
    read_tokens,
    "MINT-02",
    killed_by=BESIDE,
    results_are_read_in_place_of_the_answer=lambda it: it.get("results", it),
    a_token_beside_an_error_is_none=refused,
    a_token_that_is_null_hides_that_of_the_results=lambda it: (
        {**it, "results": None} if "operation_token" in it else it
    ),
)


@mutant(
    "WS-12",
    killed_by=case(test_sockets_ends.test_an_answer_with_an_error_and_a_token_is_a_failed_mint),
)
def a_token_counts_more_than_an_error_of_a_socket(patch: pytest.MonkeyPatch) -> None:
    response = replication.operation_response

    def read(frame: object) -> dict[str, object] | None:
        found = response(frame)
        if found and found.get("operation_token"):
            found.pop("error", None)
        return found

    patch.setattr(replication, "operation_response", read)


# -- attempts ------------------------------------------------------------------------------------


@mutant(
    "RTY-04",
    killed_by=case(
        test_attempts_counted.test_every_temporary_failure_gets_all_allowed_attempts_and_no_more,
        attempts=test_attempts_counted.MANY,
    ),
)
def no_node_gets_more_than_five_attempts(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay

    def limited(self: Retry, *what: Any) -> Any:
        return delay(replace(self, attempts=min(self.attempts, 5)), *what)

    patch.setattr(Retry, "delay", limited)


@mutant("RTY-04", killed_by=case(test_retry.test_a_temporary_failure_is_retried))
def a_success_has_two_attempts_at_most(patch: pytest.MonkeyPatch) -> None:
    record = success_record
    patch.setattr(
        fanout, "success_record", lambda node, of, tries=1: record(node, of, min(tries, 2))
    )


@mutant(
    "RES-02",
    killed_by=case(test_records.test_no_record_is_uncertain_after_an_answer_or_without_an_upload),
)
def a_failed_connection_is_uncertain(patch: pytest.MonkeyPatch) -> None:
    attempt = fanout._attempt

    async def uncertain(work: Any, peer: Peer) -> Any:
        outcome = await attempt(work, peer)
        if isinstance(outcome, AttemptError) and outcome.stage in {"connect", "tls"}:
            outcome.uncertain = "token mint" not in outcome.reason
        return outcome

    patch.setattr(fanout, "_attempt", uncertain)


@mutant(
    "RES-02",
    killed_by=case(
        test_early_success.test_no_early_success_of_any_form_is_one_without_the_whole_payload,
        then="close",
    ),
)
def a_long_answer_is_a_success_at_once(patch: pytest.MonkeyPatch) -> None:
    end, read = Exchange._end, Peer.read
    is_long = [False]

    async def noted(self: Peer, reply: Any) -> Any:
        found = await read(self, reply)
        is_long[0] = len(found.body) > 1_000
        return found

    def ended(self: Exchange, error: Any) -> End:
        return End.SUCCESS if error is None and is_long[0] else end(self, error)

    patch.setattr(Exchange, "_end", ended)
    patch.setattr(Peer, "read", noted)


# -- streams -------------------------------------------------------------------------------------

RESEMBLES = case(test_events_grammar.test_what_only_resembles_the_event_done_is_no_success)
ENDS = {"complete", "completed", "end", "finish", "finished", "success", "close"}


def take_for_done(patch: pytest.MonkeyPatch, is_done: Callable[[str, str], bool]) -> None:
    """Take other events for the event done."""
    take = StreamedAnswer._take
    patch.setattr(
        StreamedAnswer,
        "_take",
        lambda self, name, text: take(self, "done" if is_done(name, text) else name, text),
    )


alike(
    take_for_done,
    "SSE-16",
    killed_by=RESEMBLES,
    an_event_with_the_name_of_an_end_is_done=lambda name, _: name in ENDS,
    the_last_phase_is_done=lambda name, text: name == "phase" and '"complete"' in text,
    a_peer_that_succeeded_is_done=lambda name, text: name == "peer" and '"success"' in text,
)

# -- texts ---------------------------------------------------------------------------------------

REASON = case(test_reading.test_the_reason_of_a_refusal_is_that_of_its_body)


@mutant("RES-08", killed_by=REASON)
def the_message_of_an_error_is_cut(patch: pytest.MonkeyPatch) -> None:
    readable = answer.readable

    def cut(value: Any) -> str:
        text = readable(value)
        return text[:200] if isinstance(value, dict) and "message" in value else text

    patch.setattr(answer, "readable", cut)


@mutant("RES-07", killed_by=REASON)
def an_error_is_cut_at_eight_kibibytes(patch: pytest.MonkeyPatch) -> None:
    readable = answer.readable
    patch.setattr(answer, "readable", lambda value: readable(value)[:8_192])


@mutant("MINT-02", killed_by=case(test_mint_forms.test_every_token_is_used_as_it_is))
def the_name_of_a_scheme_is_taken_from_a_token(patch: pytest.MonkeyPatch) -> None:
    read = token.token_in
    patch.setattr(token, "token_in", lambda given: read(given).removeprefix("Bearer"))


@mutant("RES-01", killed_by=case(test_texts.test_texts_and_names_of_an_answer_are_kept))
def colours_are_taken_out_of_an_answer(patch: pytest.MonkeyPatch) -> None:
    parse = answer.parse_json
    colours = re.compile(r"\\u001b\[[0-9;]*m")
    patch.setattr(answer, "parse_json", lambda text: parse(colours.sub("", text)))


@mutant("RES-01", killed_by=case(test_reading.test_every_value_of_an_answer_is_kept))
def an_answer_has_twenty_levels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(answer, "_MAX_DEPTH", 20)


# -- names ---------------------------------------------------------------------------------------


@mutant("FLD-04", killed_by=case(test_members.test_every_name_arrives_as_it_is))
def a_name_has_255_bytes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "MAX_NAME_BYTES", 255)


@mutant(
    "PARSE-20",
    killed_by=case(
        test_wire.test_no_name_of_a_member_makes_a_part_that_peers_refuse, name="a\x1bb"
    ),
)
def an_escape_may_be_in_a_name(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "_CONTROL", re.compile(r"[\0-\x08\x0a-\x1a\x1c-\x1f\x7f]"))


# -- heads ---------------------------------------------------------------------------------------


def break_off(patch: pytest.MonkeyPatch, is_bad: Callable[[bytes], bool]) -> None:
    """Give up an answer whose head is bad."""
    take = Link._take

    def checked(self: Link, piece: bytes) -> None:
        if piece.startswith(b"HTTP/1.1 200") and is_bad(piece.partition(b"\r\n\r\n")[0]):
            self.failure = PeerError("answer", "the head of the answer is not HTTP")
            self._transport.abort()
        elif self.failure is None:
            take(self, piece)

    patch.setattr(link.Link, "_take", checked)


alike(
    break_off,
    "HTTP-05",
    killed_by=case(
        test_answers_framing.test_an_answer_is_read_in_every_form_of_http,
        wire=test_answers_framing.FORMS["long-head"],
    ),
    a_head_has_each_name_once=lambda it: it.count(b"Set-Cookie") > 1,
    a_head_has_fifty_lines=lambda it: it.count(b"\r\n") > 50,
    a_head_is_ascii=lambda it: not it.isascii(),
    a_line_of_a_head_has_two_kibibytes=lambda it: max(map(len, it.split(b"\r\n"))) > 2_048,
)


@mutant(
    "EARLY-10",
    killed_by=case(
        test_answers_framing.test_interim_answers_are_skipped, interim=(100, 100, 103, 150, 199)
    ),
)
def an_interim_answer_without_a_name_is_final(patch: pytest.MonkeyPatch) -> None:
    take = Link._take

    def checked(self: Link, piece: bytes) -> None:
        if b"HTTP/1.1 150" in piece or b"HTTP/1.1 199" in piece:
            self.failure = PeerError("answer", "HTTP 199")
            self._transport.abort()
        elif self.failure is None:
            take(self, piece)

    patch.setattr(link.Link, "_take", checked)


@mutant(
    "HTTP-05",
    killed_by=case(
        test_answers_framing.test_an_answer_is_read_in_every_form_of_http,
        wire=test_answers_framing.FORMS["extension-of-the-last-chunk"],
    ),
)
def the_last_chunk_has_no_extension(patch: pytest.MonkeyPatch) -> None:
    take = Link._take

    def checked(self: Link, piece: bytes) -> None:
        if b"\r\n0;" in piece:
            self.failure = PeerError("answer", "a chunk has an extension")
            self._transport.abort()
        elif self.failure is None:
            take(self, piece)

    patch.setattr(link.Link, "_take", checked)

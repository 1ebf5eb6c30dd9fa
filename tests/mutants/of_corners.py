"""Mutants that an independent set of relays had, and that no case failed: a corner of each rule."""

from __future__ import annotations

import html
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from deploy_relay_kit.relay import answer, fanout, peer, replication, urls
from deploy_relay_kit.relay.errors import AttemptError, PeerError
from deploy_relay_kit.relay.events import EventParser
from deploy_relay_kit.relay.fanout import FanOut
from deploy_relay_kit.relay.link import Link, Reply
from deploy_relay_kit.relay.node import LocalSettings, Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Record, Report
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.upload import _Sending
from deploy_relay_kit.relay.urls import Endpoint
from tests.conformance import (
    test_answers,
    test_answers_framing,
    test_events_grammar,
    test_floods,
    test_names,
    test_plain,
    test_reading,
    test_retry_after,
    test_sockets_grammar,
    test_sockets_trust,
    test_url,
)
from tests.mutants.mutant import alike, case, mutant

# -- answers -------------------------------------------------------------------------------------


@mutant("RES-03", killed_by=case(test_reading.test_a_text_of_a_success_is_its_message))
def the_words_of_json_may_have_capitals(patch: pytest.MonkeyPatch) -> None:
    parse = answer.parse_json

    def lenient(text: str) -> Any:
        word = text.lower()
        return parse(word if word in {"true", "false", "null"} else text)

    patch.setattr(answer, "parse_json", lenient)


@mutant("RES-03", killed_by=case(test_reading.test_a_text_of_a_success_is_its_message))
def a_number_may_begin_with_zeros(patch: pytest.MonkeyPatch) -> None:
    parse = answer.parse_json
    patch.setattr(answer, "parse_json", lambda text: parse(re.sub(r"^(-?)0+(?=\d)", r"\1", text)))


@mutant(
    "HTTP-05",
    killed_by=case(
        test_answers_framing.test_an_answer_is_read_in_every_form_of_http,
        wire=test_answers_framing.FORMS["http-1.0"],
    ),
)
def a_tab_after_the_name_of_a_header_is_no_http(patch: pytest.MonkeyPatch) -> None:
    received = Link.data_received

    def strict(self: Link, data: bytes) -> None:
        head = data.partition(b"\r\n\r\n")[0]
        is_head = data.startswith(b"HTTP/") and self.failure is None
        if is_head and re.search(rb"^[A-Za-z-]+:\t", head, re.MULTILINE):
            self.failure = PeerError("answer", "the answer is not HTTP")
            self._transport.abort()
        else:
            received(self, data)

    patch.setattr(Link, "data_received", strict)


def without(value: Any, is_empty: Callable[[Any], bool]) -> Any:
    """A JSON value whose objects lack such members, as serializers of some languages write it."""
    if isinstance(value, dict):
        return {name: without(it, is_empty) for name, it in value.items() if not is_empty(it)}
    return [without(it, is_empty) for it in value] if isinstance(value, list) else value


def members(patch: pytest.MonkeyPatch, is_empty: Callable[[Any], bool]) -> None:
    of_answer = answer._members

    def fewer(value: object, text: str) -> dict[str, object]:
        found = of_answer(value, text)
        return {name: without(it, is_empty) for name, it in found.items()}

    patch.setattr(answer, "_members", fewer)


alike(
    members,
    "RES-01",
    killed_by=case(test_answers.test_a_success_holds_the_members_of_the_answer),
    nested_nulls_are_left_out=lambda it: it is None,
    nested_empty_values_are_left_out=lambda it: it in ("", [], {}),
)


def end_early(patch: pytest.MonkeyPatch, is_whole: Callable[[Reply, bytes], bool]) -> None:
    """Take a success that breaks off for whole if this is true of its head and its body."""
    following, read = Reply.__anext__, dict[int, bytes]()

    async def lenient(self: Reply) -> bytes:
        try:
            block = await following(self)
        except (aiohttp.ClientError, PeerError):
            if self.status == 200 and is_whole(self, read.get(id(self), b"")):
                raise StopAsyncIteration from None
            raise
        read[id(self)] = read.get(id(self), b"") + block
        return block

    patch.setattr(Reply, "__anext__", lenient)


alike(
    end_early,
    "RES-12",
    killed_by=case(test_answers_framing.test_an_answer_that_breaks_off_is_a_failed_record),
    a_success_without_its_body_is_whole=lambda _, body: not body,
    whole_json_of_a_length_is_a_whole_answer=lambda reply, body: (
        "Content-Length" in reply.headers and answer.parse_json(body.decode()) != answer._UNPARSABLE
    ),
    whole_json_in_chunks_is_a_whole_answer=lambda reply, body: (
        "Content-Length" not in reply.headers and body.endswith(b"}")
    ),
)


@mutant(
    "HTTP-05",
    killed_by=case(
        test_answers_framing.test_an_answer_is_read_in_every_form_of_http,
        wire=test_answers_framing.FORMS["length-in-small-letters"],
    ),
)
def the_length_of_a_chunk_has_8_digits_at_most(patch: pytest.MonkeyPatch) -> None:
    received = Link.data_received

    def strict(self: Link, data: bytes) -> None:
        if self.failure is None and re.search(rb"\r\n[0-9A-Fa-f]{9,}\r\n", data):
            self.failure = PeerError("answer", "the answer is not HTTP")
            self._transport.abort()
        else:
            received(self, data)

    patch.setattr(Link, "data_received", strict)


# -- events --------------------------------------------------------------------------------------


@mutant("SSE-04", killed_by=case(test_events_grammar.test_the_event_done_is_read_in_every_form))
def a_line_of_data_without_a_colon_is_skipped(patch: pytest.MonkeyPatch) -> None:
    take = EventParser._take
    patch.setattr(
        EventParser, "_take", lambda self, line: () if line == "data" else take(self, line)
    )


def status_codes(patch: pytest.MonkeyPatch, codes: range) -> None:
    patch.setattr(answer, "_HTTP_CODES", codes)


alike(
    status_codes,
    "RES-02",
    killed_by=case(test_events_grammar.test_only_a_number_of_http_is_the_status_of_an_error_event),
    the_code_600_of_an_event_is_a_status=range(100, 601),
    the_code_99_of_an_event_is_a_status=range(99, 600),
)

# -- the replication socket ----------------------------------------------------------------------

DOUBLE = b"\xcb" + struct.pack("!d", 137)


@mutant(
    "WS-09", killed_by=case(test_sockets_grammar.test_an_answer_is_read_in_every_form_of_msgpack)
)
def a_code_of_double_precision_is_none(patch: pytest.MonkeyPatch) -> None:
    response = replication.operation_response

    def strict(frame: object) -> dict[str, object] | None:
        is_double = isinstance(frame, bytes) and DOUBLE in frame[:16]
        return None if is_double else response(frame)

    patch.setattr(replication, "operation_response", strict)


# -- time ----------------------------------------------------------------------------------------


@mutant(
    "KIT-04",
    killed_by=case(test_retry_after.test_the_relay_waits_for_seconds_and_for_dates_in_every_form),
)
def no_pause_is_longer_than_2_seconds(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay

    def shorter(self: Retry, *how: Any) -> float | None:
        seconds = delay(self, *how)
        return None if seconds is None else min(seconds, 2.0)

    patch.setattr(Retry, "delay", shorter)


@mutant(
    "KIT-10",
    killed_by=case(test_floods.test_an_answer_that_drips_is_given_up_in_time),
    also={"HTTP-03": "an answer that never ends has no limit while it drips"},
)
def each_block_of_an_answer_restarts_its_limit(patch: pytest.MonkeyPatch) -> None:
    members, following = _Sending._members, Reply.__anext__
    sendings: dict[int, _Sending] = {}

    async def noted(self: _Sending, reply: Reply) -> dict[str, object]:
        sendings[id(reply)] = self
        return await members(self, reply)

    async def restarting(self: Reply) -> bytes:
        block = await following(self)
        if (sending := sendings.get(id(self))) is not None:
            sending._deadline.start(sending.peer.limits.answer)
        return block

    patch.setattr(_Sending, "_members", noted)
    patch.setattr(Reply, "__anext__", restarting)


# -- nodes ---------------------------------------------------------------------------------------


def change_records(patch: pytest.MonkeyPatch, change: Callable[[Record], Record]) -> None:
    run = FanOut.run

    async def changed(self: FanOut, *how: Any) -> Report:
        return Report([change(record) for record in (await run(self, *how)).records])

    patch.setattr(FanOut, "run", changed)


alike(
    change_records,
    "AGG-01",
    "AGG-03",
    killed_by=case(test_names.test_every_node_has_its_own_upload_and_record_whatever_its_name),
    names_are_escaped_as_in_html=lambda it: {**it, "node": html.escape(it["node"])},
    names_are_unescaped_as_in_html=lambda it: {**it, "node": html.unescape(it["node"])},
)


@mutant("TLS-06", killed_by=case(test_sockets_trust.test_plain_ws_to_another_machine_is_refused))
def plain_ws_is_refused_to_the_first_node_alone(patch: pytest.MonkeyPatch) -> None:
    seen: list[LocalSettings] = []  # of this deploy

    def lenient(node: Node, local: LocalSettings, *, allow_http: bool) -> Endpoint:
        seen[:] = [*(it for it in seen if it is local), local]
        return urls.resolve_replication(node, local, allow_http=allow_http or len(seen) > 1)

    patch.setattr(peer, "resolve_replication", lenient)


@mutant("BUG-41", killed_by=case(test_url.test_a_password_in_a_url_stands_in_no_record))
def what_is_no_url_is_shown_with_its_password(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(urls, "without_user_info", str)


@mutant(
    "TLS-01",
    killed_by=case(
        test_plain.test_a_handshake_that_failed_is_not_followed_by_a_connection_without_tls
    ),
)
def a_port_without_tls_is_spoken_to_without(patch: pytest.MonkeyPatch) -> None:
    attempt = fanout._attempt

    async def lowered(work: Any, at: Peer) -> Any:
        outcome = await attempt(work, at)
        if isinstance(outcome, AttemptError) and "plain http" in outcome.reason:
            return await attempt(work, replace(at, api=replace(at.api, scheme="http")))
        return outcome

    patch.setattr(fanout, "_attempt", lowered)


@mutant("TLS-06", killed_by=case(test_plain.test_plain_http_to_another_machine_is_refused))
def plain_http_is_refused_to_the_first_node_alone(patch: pytest.MonkeyPatch) -> None:
    seen: list[LocalSettings] = []  # of this deploy

    def lenient(node: Node, local: LocalSettings, *, allow_http: bool) -> Endpoint:
        seen[:] = [*(it for it in seen if it is local), local]
        return urls.resolve(node, local, allow_http=allow_http or len(seen) > 1)

    patch.setattr(fanout, "resolve", lenient)

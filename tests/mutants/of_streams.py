"""Mutants of requesting, reading and judging an event stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploy_relay_kit.relay import answer, peer, upload
from deploy_relay_kit.relay.answer import StreamedAnswer
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.events import EventParser
from deploy_relay_kit.relay.states import Exchange, Step
from tests.conformance import test_early_success, test_events, test_events_forms
from tests.mutants.mutant import case, mutant
from tests.mutants.of_wire import change_headers

SPLIT = test_events_forms.test_a_stream_is_read_the_same_way_however_it_is_split
FAILED = test_events.test_an_error_event_is_a_failure_with_its_message
ANY_ERROR = test_events_forms.test_an_error_event_of_any_form_is_a_failure_with_a_reason
LONG_LINE = test_events_forms.test_a_long_line_of_a_stream_is_read_whole
DONE = case(test_events.test_the_result_of_done_makes_the_success)


def fail_at(patch: pytest.MonkeyPatch, is_bad: Callable[[str, str], bool]) -> None:
    """Fail at certain events, selected by name and data."""
    take = StreamedAnswer._take

    def strict(self: StreamedAnswer, name: str, text: str) -> Any:
        if is_bad(name, text):
            raise PeerError("answer", f"cannot read the event {name!r}")
        return take(self, name, text)

    patch.setattr(StreamedAnswer, "_take", strict)


def change_error(patch: pytest.MonkeyPatch, change: Callable[[PeerError, Any], None]) -> None:
    """Change the failure of an error event; `change` also gets its data."""
    take = StreamedAnswer._take

    def changed(self: StreamedAnswer, name: str, text: str) -> Any:
        try:
            return take(self, name, text)
        except PeerError as error:
            change(error, answer.parse_json(text))
            raise

    patch.setattr(StreamedAnswer, "_take", changed)


def change_line(patch: pytest.MonkeyPatch, change: Callable[[EventParser, str], str]) -> None:
    take = EventParser._take
    patch.setattr(EventParser, "_take", lambda self, line: take(self, change(self, line)))


@mutant("SSE-01", killed_by=case(test_events.test_a_stream_is_requested_by_its_media_type))
def no_stream_is_requested(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda headers: {n: v for n, v in headers.items() if n != "Accept"})


@mutant(
    "SSE-02",
    "SSE-16",
    "RES-13",
    killed_by=(
        case(test_events.test_an_error_event_is_a_failure_with_its_message),
        case(test_events.test_an_error_event_without_a_request_for_events_is_a_failure),
        case(test_events.test_a_stream_that_ends_without_done_or_error_is_a_failure),
        case(test_events.test_a_real_peer_fails_inside_its_stream),
    ),
    also={"SSE-09": "the event done is not read"},
)
def a_stream_is_plain_text(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(upload, "is_event_stream", lambda *_: False)


@mutant(
    "SSE-03",
    killed_by=case(test_events.test_a_comment_in_a_stream_changes_nothing),
)
def a_comment_is_no_event(patch: pytest.MonkeyPatch) -> None:
    feed = EventParser.feed

    def strict(self: EventParser, block: bytes) -> Any:
        if b"\n:" in b"\n" + self._line + block:
            raise PeerError("answer", "not an event stream")
        return feed(self, block)

    patch.setattr(EventParser, "feed", strict)


@mutant("SSE-04", killed_by=case(test_events_forms.test_data_of_several_lines_is_joined))
def the_last_line_of_data_counts(patch: pytest.MonkeyPatch) -> None:
    def last(parser: EventParser, line: str) -> str:
        if line.startswith("data:"):
            parser._data.clear()
        return line

    change_line(patch, last)


@mutant("SSE-06", killed_by=case(test_events.test_an_event_before_the_last_one_changes_nothing))
def an_unknown_event_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    known = {"phase", "install", "peer", "done", "error", "message", "_recorder_finished"}
    fail_at(patch, lambda name, _: name not in known)


@mutant("SSE-20", killed_by=case(test_events.test_an_event_with_empty_data_changes_nothing))
def an_event_without_data_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    fail_at(patch, lambda _, text: not text)


@mutant("SSE-09", killed_by=DONE)
def done_has_no_result(patch: pytest.MonkeyPatch) -> None:
    end = StreamedAnswer.end
    patch.setattr(StreamedAnswer, "end", lambda self: end(self) and {})


@mutant(
    "SSE-09",
    killed_by=case(test_events_forms.test_a_done_event_of_any_form_is_a_success),
)
def done_needs_a_result(patch: pytest.MonkeyPatch) -> None:
    fail_at(patch, lambda name, text: name == "done" and '"result":{' not in text)


@mutant("RES-13", killed_by=case(ANY_ERROR, data="no JSON"))
def an_error_that_is_no_json_is_ignored(patch: pytest.MonkeyPatch) -> None:
    take = StreamedAnswer._take

    def lenient(self: StreamedAnswer, name: str, text: str) -> Any:
        if name == "error" and not isinstance(answer.parse_json(text), dict):
            return None
        return take(self, name, text)

    patch.setattr(StreamedAnswer, "_take", lenient)


@mutant("KIT-07", killed_by=case(ANY_ERROR, data={"code": 500}))
def an_error_without_a_message_has_no_reason(patch: pytest.MonkeyPatch) -> None:
    def only_message(error: PeerError, data: Any) -> None:
        error.reason = error.reason if isinstance(data, dict) and data.get("message") else ""

    change_error(patch, only_message)


@mutant("RES-08", killed_by=case(test_events_forms.test_a_message_that_is_an_object_is_readable))
def a_message_is_shown_as_javascript_does(patch: pytest.MonkeyPatch) -> None:
    def shown(error: PeerError, data: Any) -> None:
        if isinstance(data["message"], dict):
            error.reason = "[object Object]"

    change_error(patch, shown)


@mutant("RES-02", killed_by=case(FAILED))
def a_failed_stream_has_the_status_of_its_head(patch: pytest.MonkeyPatch) -> None:
    change_error(patch, lambda error, _: setattr(error, "status_code", 200))


@mutant("RES-02", killed_by=case(FAILED))
def every_code_is_a_status(patch: pytest.MonkeyPatch) -> None:
    change_error(patch, lambda error, data: setattr(error, "status_code", data.get("code")))


@mutant(
    "SSE-10",
    killed_by=case(test_events.test_the_end_of_the_recorder_does_not_make_a_failure),
)
def the_recorder_event_decides(patch: pytest.MonkeyPatch) -> None:
    fail_at(patch, lambda name, text: name == "_recorder_finished" and "failed" in text)


@mutant("SSE-10", killed_by=case(test_events.test_the_end_of_the_recorder_does_not_make_a_success))
def the_recorder_takes_back_an_error(patch: pytest.MonkeyPatch) -> None:
    take, end = StreamedAnswer._take, StreamedAnswer.end

    def lenient(self: StreamedAnswer, name: str, text: str) -> Any:
        if name == "_recorder_finished" and "success" in text and vars(self).pop("failure", None):
            self._result = {}
        try:
            return take(self, name, text)
        except PeerError as error:
            vars(self)["failure"] = error
            return None

    def ended(self: StreamedAnswer) -> dict[str, object]:
        if failure := vars(self).get("failure"):
            raise failure
        return end(self)

    patch.setattr(StreamedAnswer, "_take", lenient)
    patch.setattr(StreamedAnswer, "end", ended)


@mutant(
    "SSE-14",
    killed_by=case(test_events.test_a_stream_may_be_silent_for_longer_than_an_upload_may_stall),
)
def the_limit_of_a_stall_applies_to_streams(patch: pytest.MonkeyPatch) -> None:
    advance = Exchange.advance

    def impatient(self: Exchange, step: Step) -> float | None:
        seconds = advance(self, step)
        if seconds is None or not self.asks_for_events:
            return seconds
        return min(seconds, self.limits.stall)

    patch.setattr(Exchange, "advance", impatient)


@mutant(
    "SSE-16",
    killed_by=case(test_events.test_a_stream_that_ends_without_done_or_error_is_a_failure),
)
def a_stream_that_just_ends_is_a_success(patch: pytest.MonkeyPatch) -> None:
    end = StreamedAnswer.end

    def lenient(self: StreamedAnswer) -> dict[str, object]:
        try:
            return end(self)
        except PeerError:
            return {}

    patch.setattr(StreamedAnswer, "end", lenient)


@mutant("HTTP-05", killed_by=case(SPLIT))
def every_byte_is_decoded_on_its_own(patch: pytest.MonkeyPatch) -> None:
    feed = EventParser.feed
    patch.setattr(
        EventParser,
        "feed",
        lambda self, block: feed(self, block.decode("ascii", "replace").encode()),
    )


@mutant("SSE-17", killed_by=case(SPLIT))
def lines_of_a_stream_end_with_lf_alone(patch: pytest.MonkeyPatch) -> None:
    def feed(self: EventParser, block: bytes) -> Any:
        self._line += block
        while b"\n" in self._line:
            line, _, self._line = self._line.partition(b"\n")
            yield from self._take(line.decode())

    patch.setattr(EventParser, "feed", feed)


@mutant(
    "SSE-17", killed_by=case(test_events_forms.test_the_last_event_needs_no_blank_line_after_it)
)
def an_event_ends_with_a_blank_line(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EventParser, "end", lambda _: iter(()))


@mutant("SSE-09", killed_by=case(LONG_LINE))
def a_line_has_64_kib(patch: pytest.MonkeyPatch) -> None:
    def short(_: EventParser, line: str) -> str:
        if len(line) > 1 << 16:
            raise PeerError("answer", "a line is too long")
        return line

    change_line(patch, short)


@mutant("RES-13", killed_by=case(test_events_forms.test_a_stream_has_any_status_of_a_success))
def a_stream_has_200(patch: pytest.MonkeyPatch) -> None:
    known = answer.is_event_stream
    patch.setattr(upload, "is_event_stream", lambda status, of: status == 200 and known(status, of))


@mutant("SSE-18", killed_by=case(test_events.test_a_real_peer_sends_its_refusal_as_an_event))
def a_framed_refusal_is_a_raw_body(patch: pytest.MonkeyPatch) -> None:
    reason = answer.failure_reason

    def unread(given: answer.Answer) -> str:
        framed = given.text.startswith(("data:", "event:", ":"))
        return given.text if framed else reason(given)

    patch.setattr(answer, "failure_reason", unread)


@mutant(
    "FLD-08",
    killed_by=case(test_early_success.test_a_payload_behind_caddy_arrives_whole_with_events),
)
def no_proxy_spoils_an_upload(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(peer, "proxy_without_early_answers", lambda _: None)

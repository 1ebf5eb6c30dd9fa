"""Mutants that read events and reasons of lawful answers wrongly, in rare forms and statuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploy_relay_kit.relay import answer, upload
from deploy_relay_kit.relay.answer import Answer, StreamedAnswer
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.events import EventParser
from deploy_relay_kit.relay.link import Reply
from deploy_relay_kit.relay.states import BodyState
from deploy_relay_kit.relay.upload import _Sending
from tests.conformance import (
    test_early_success,
    test_events,
    test_events_forms,
    test_events_grammar,
    test_reading,
    test_statuses,
    test_texts,
    test_wire,
)
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_streams import change_error, change_line, fail_at
from tests.mutants.of_wire import change_headers

# -- reasons -------------------------------------------------------------------------------------


def change_reason(patch: pytest.MonkeyPatch, change: Callable[[Answer, str], str]) -> None:
    reason = answer.failure_reason
    patch.setattr(answer, "failure_reason", lambda it: change(it, reason(it)))


def words(patch: pytest.MonkeyPatch, texts: dict[int, str]) -> None:
    """Some statuses have words of the relay as their reason."""
    change_reason(patch, lambda it, reason: texts.get(it.status, reason))


alike(
    words,
    "RES-06",
    killed_by=case(test_statuses.test_the_reason_of_a_refusal_does_not_depend_on_its_status),
    also={"a_404_has_words_of_the_relay": {"SEQ-06": "a mint that is refused has them, too"}},
    a_404_has_words_of_the_relay={404: "the node has no operations API"},
    a_413_has_words_of_the_relay={413: "the payload is too large"},
    a_415_has_words_of_the_relay={415: "the node is too old"},
    a_429_has_words_of_the_relay={429: "too many requests"},
    a_503_has_words_of_the_relay={503: "the node is not available"},
    a_redirect_has_words_of_the_relay={302: "a redirect is not followed"},
)


@mutant(
    "RES-06",
    killed_by=case(test_statuses.test_the_reason_of_a_refusal_does_not_depend_on_its_status),
)
def an_empty_refusal_of_a_conflict_has_a_word(patch: pytest.MonkeyPatch) -> None:
    change_reason(
        patch, lambda it, reason: reason if it.body or it.status != 409 else "HTTP 409 Conflict"
    )


def framed_if(patch: pytest.MonkeyPatch, is_read: Callable[[Answer], object]) -> None:
    """Read a refusal as an event only if this is true of it."""
    reason = answer.failure_reason

    def changed(given: Answer) -> str:
        is_raw = given.text.startswith("data:") and not is_read(given)
        return given.text if is_raw else reason(given)

    patch.setattr(answer, "failure_reason", changed)


alike(
    framed_if,
    "SSE-18",
    killed_by=case(test_events_forms.test_a_refusal_as_an_event_is_read_in_every_form),
    only_401_is_read_as_an_event=lambda it: it.status == 401,
    no_error_of_the_peer_is_read_as_an_event=lambda it: it.status < 500,
    only_an_error_is_read_in_a_refusal_as_an_event=lambda it: '"error"' in it.text,
)

# -- events --------------------------------------------------------------------------------------


@mutant("SSE-01", killed_by=case(test_events.test_a_stream_is_requested_by_its_media_type))
def a_stream_is_requested_in_capitals(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda it: {n: v.title() if n == "Accept" else v for n, v in it.items()})


@mutant("HTTP-06", killed_by=case(test_wire.test_an_accept_header_admits_json))
def a_mint_requests_a_stream(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda it: {**it, "Accept": "text/event-stream"}, of_mints=True)


@mutant(
    *("SSE-16", "SSE-06"),
    killed_by=(
        case(test_events_grammar.test_what_only_resembles_the_event_done_is_no_success),
        case(test_events_grammar.test_what_is_no_event_of_a_result_changes_nothing),
    ),
)
def an_empty_name_does_not_count(patch: pytest.MonkeyPatch) -> None:
    change_line(patch, lambda _, line: ":" if line in ("event:", "event: ", "event") else line)


@mutant(
    "SSE-06",
    killed_by=case(test_events_grammar.test_what_is_no_event_of_a_result_changes_nothing),
)
def an_id_with_a_nul_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    take = EventParser._take

    def strict(self: EventParser, line: str) -> Any:
        if line.startswith("id:") and "\0" in line:
            raise PeerError("answer", "an id has a NUL")
        return take(self, line)

    patch.setattr(EventParser, "_take", strict)


alike(
    fail_at,
    "SSE-06",
    killed_by=case(test_events_grammar.test_what_is_no_event_of_a_result_changes_nothing),
    a_failure_is_an_error=lambda name, _: name in {"failure", "failed", "exception"},
    a_warning_is_an_error=lambda name, _: name in {"warning", "fatal", "abort"},
)


def shorten_reason(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    def shorter(error: PeerError, _: Any) -> None:
        error.reason = change(error.reason)

    change_error(patch, shorter)


alike(
    shorten_reason,
    "SSE-09",
    killed_by=case(test_texts.test_a_text_of_an_error_event_is_its_reason),
    an_error_event_has_one_line=lambda it: it.partition("\n")[0],
    an_error_event_is_trimmed=str.strip,
    an_error_event_ends_at_a_nul=lambda it: it.partition("\0")[0],
)


@mutant("RES-07", killed_by=case(test_events_forms.test_a_long_line_of_a_stream_is_read_whole))
def an_error_event_has_a_thousand_characters(patch: pytest.MonkeyPatch) -> None:
    shorten_reason(patch, lambda it: it[:1_000])


def status_of(patch: pytest.MonkeyPatch, name: str) -> None:
    def coded(error: PeerError, data: Any) -> None:
        if isinstance(data, dict) and name in data:
            error.status_code = data[name]

    change_error(patch, coded)


alike(
    status_of,
    "RES-02",
    killed_by=case(test_texts.test_a_text_of_an_error_event_is_its_reason),
    the_status_of_an_error_event_is_the_code="status",
    the_status_code_of_an_error_event_is_the_code="statusCode",
)


@mutant(
    *("RES-13", "SSE-09"),
    killed_by=case(test_events_forms.test_a_stream_has_any_status_of_a_success),
)
def a_stream_has_a_usual_status(patch: pytest.MonkeyPatch) -> None:
    is_stream = answer.is_event_stream
    patch.setattr(
        upload, "is_event_stream", lambda status, of: status < 203 and is_stream(status, of)
    )


def drop(patch: pytest.MonkeyPatch, is_dropped: Callable[[object], object]) -> None:
    """Leave members with such values out of the result of `done`."""
    end = StreamedAnswer.end
    patch.setattr(
        StreamedAnswer,
        "end",
        lambda self: {name: it for name, it in end(self).items() if not is_dropped(it)},
    )


alike(
    drop,
    "SSE-09",
    killed_by=case(test_reading.test_an_object_of_a_success_is_kept_whatever_it_says, events=True),
    nulls_of_a_result_are_lost=lambda it: it is None,
    empty_values_of_a_result_are_lost=lambda it: it in ("", [], {}),
    large_numbers_of_a_result_are_lost=lambda it: type(it) is int and it > 1 << 53,
)

# -- early answers -------------------------------------------------------------------------------


def early(patch: pytest.MonkeyPatch, is_enough: Callable[[Reply, dict[str, Any]], object]) -> None:
    """Take an early success of some kind for one of the whole upload."""
    members = _Sending._members

    async def lenient(self: _Sending, reply: Reply) -> dict[str, object]:
        found = await members(self, reply)
        if is_enough(reply, found):
            self._exchange.body = BodyState.SENT
        return found

    patch.setattr(_Sending, "_members", lenient)


alike(
    early,
    "RES-02",
    killed_by=case(
        test_early_success.test_no_early_success_of_any_form_is_one_without_the_whole_payload
    ),
    an_early_202_is_a_success=lambda reply, _: reply.status == 202,
    an_early_id_of_a_deployment_is_a_success=lambda _, found: "deployment_id" in found,
    an_early_success_of_a_rare_status_is_one=lambda reply, _: reply.status > 204,
)

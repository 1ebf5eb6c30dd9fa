"""Mutants of the reader of event streams: one production of the format each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from deploy_relay_kit.relay import answer, upload
from deploy_relay_kit.relay.answer import StreamedAnswer
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.events import EventParser
from tests.conformance import test_events_forms
from tests.conformance import test_events_grammar as events
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_streams import change_error, change_line, fail_at

SKIPPED = case(events.test_what_is_no_event_of_a_result_changes_nothing)
FORMS = case(events.test_the_event_done_is_read_in_every_form)
NOT_DONE = case(events.test_what_only_resembles_the_event_done_is_no_success)
CODES = case(events.test_only_a_number_of_http_is_the_status_of_an_error_event)
TYPES = case(events.test_a_stream_is_known_by_its_media_type_alone)

# -- the lines of an event stream ----------------------------------------------------------------


def change_lines(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    change_line(patch, lambda _, line: change(line))


def in_lower_case(line: str) -> str:
    name, colon, value = line.partition(":")
    return f"{name.lower()}{colon}{value}"


def without_blanks_before_the_colon(line: str) -> str:
    name, colon, value = line.partition(":")
    return f"{name.rstrip()}{colon}{value}"


alike(
    change_lines,
    *("SSE-06", "SSE-16"),
    killed_by=(SKIPPED, NOT_DONE),
    fields_ignore_case=in_lower_case,
    blanks_before_a_field_are_removed=lambda line: line.lstrip(" ") or line,
    blanks_after_a_field_are_removed=without_blanks_before_the_colon,
    every_blank_after_the_name_of_an_event_is_removed=lambda line: re.sub(
        r"^event:\s+", "event: ", line
    ),
    names_of_events_ignore_case=lambda line: line.lower() if line.startswith("event:") else line,
    fields_with_longer_names_count=lambda line: re.sub("^(event|data)s:", r"\1:", line),
)


@mutant("SSE-03", "SSE-16", killed_by=(SKIPPED, NOT_DONE))
def the_colon_of_a_comment_is_removed(patch: pytest.MonkeyPatch) -> None:
    feed = EventParser.feed

    def bare(self: EventParser, block: bytes) -> Any:
        return feed(self, block.removeprefix(b":").replace(b"\n:", b"\n"))

    patch.setattr(EventParser, "feed", bare)


alike(
    change_lines,
    "SSE-17",
    killed_by=FORMS,
    every_blank_after_a_colon_is_removed=lambda line: re.sub(r"^data:\s+", "data: ", line),
    blanks_at_the_end_of_a_line_are_removed=lambda line: line.rstrip() if line.strip() else line,
    a_line_of_blanks_ends_an_event=lambda line: line if line.strip() else "",
    a_field_ends_at_its_second_colon=lambda line: (
        ":".join(line.split(":")[:2]) if line.startswith("data:a:") else line
    ),
    controls_are_removed=lambda line: re.sub("[\x0b\x0c\x1c-\x1f]", "", line),
    byte_order_marks_are_removed_everywhere=lambda line: line.replace("\ufeff", ""),
)


@mutant("SSE-17", killed_by=FORMS)
def lines_end_at_every_separator(patch: pytest.MonkeyPatch) -> None:
    take = EventParser._take

    def split(self: EventParser, line: str) -> Any:
        for part in line.splitlines() or [""]:
            yield from take(self, part)

    patch.setattr(EventParser, "_take", split)


@mutant("SSE-17", "SSE-04", "SSE-06", killed_by=FORMS)
def every_line_has_a_colon(patch: pytest.MonkeyPatch) -> None:
    change_lines(patch, lambda line: line if ":" in line else "")


def join_with(patch: pytest.MonkeyPatch, join: Callable[[list[str]], str]) -> None:
    """Join the lines of data in another way."""
    take = EventParser._take

    def joined(self: EventParser, line: str) -> Any:
        if not line and self._data:
            self._data = [join(self._data)]
        return take(self, line)

    patch.setattr(EventParser, "_take", joined)


alike(
    join_with,
    "SSE-04",
    killed_by=FORMS,
    lines_of_data_are_joined_with_nothing="".join,
    lines_of_data_are_joined_with_a_blank=" ".join,
    lines_of_data_are_joined_with_crlf="\r\n".join,
    empty_lines_of_data_are_dropped=lambda data: "\n".join(filter(None, data)),
)
alike(
    join_with,
    *("SSE-04", "SSE-17"),
    killed_by=FORMS,
    the_first_line_of_data_counts=lambda data: data[0],
    each_line_of_data_keeps_its_end=lambda data: "".join(f"{it}\n" for it in data),
)


# -- events --------------------------------------------------------------------------------------


def change_taken(patch: pytest.MonkeyPatch, change: Callable[[str, str], tuple[str, str]]) -> None:
    """Change the name and the data of each event."""
    take = StreamedAnswer._take
    patch.setattr(StreamedAnswer, "_take", lambda self, *it: take(self, *change(*it)))


alike(
    change_taken,
    "SSE-16",
    killed_by=NOT_DONE,
    an_event_that_begins_with_done_is_done=lambda name, text: (
        "done" if name.startswith("done") else name,
        text,
    ),
    a_result_without_a_name_is_done=lambda name, text: (
        "done" if name == "message" and '"result"' in text else name,
        text,
    ),
    an_event_about_done_is_done=lambda name, text: ("done" if "done" in text else name, text),
)


@mutant("SSE-06", killed_by=SKIPPED)
def an_event_that_contains_error_is_one(patch: pytest.MonkeyPatch) -> None:
    change_taken(patch, lambda name, text: ("error" if "error" in name else name, text))


@mutant("SSE-06", killed_by=SKIPPED)
def a_stream_has_a_thousand_events(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(answer, "_MOST_EVENTS", 1_000)


@mutant("SSE-06", killed_by=SKIPPED)
def a_stream_must_be_utf_8(patch: pytest.MonkeyPatch) -> None:
    fail_at(patch, lambda _, text: "\ufffd" in text)


@mutant("SSE-06", killed_by=SKIPPED)
def a_nul_ends_a_stream(patch: pytest.MonkeyPatch) -> None:
    fail_at(patch, lambda _, text: "\0" in text)


@mutant("SSE-06", killed_by=SKIPPED)
def an_event_has_a_thousand_lines(patch: pytest.MonkeyPatch) -> None:
    fail_at(patch, lambda _, text: text.count("\n") > 1_000)


@mutant("SSE-06", killed_by=SKIPPED)
def the_id_of_an_event_is_its_name(patch: pytest.MonkeyPatch) -> None:
    change_lines(patch, lambda line: re.sub("^id:", "event:", line))


def status_from(patch: pytest.MonkeyPatch, status: Callable[[Any], int | None]) -> None:
    """Read the status code of an error event in another way."""

    def coded(error: PeerError, data: Any) -> None:
        error.status_code = status(data.get("code") if isinstance(data, dict) else None)

    change_error(patch, coded)


def _number(code: Any, below: int = 600, above: int = 99) -> int | None:
    is_number = type(code) is int and above < code < below
    return code if is_number else None


alike(
    status_from,
    "RES-02",
    killed_by=CODES,
    a_code_may_be_a_text=lambda code: int(code) if str(code).strip() == "500" else _number(code),
    a_code_ends_at_999=lambda code: _number(code, 1_000),
    a_code_of_600_is_a_status=lambda code: _number(code, 601),
    a_code_begins_at_99=lambda code: _number(code, above=98),
    every_positive_code_is_a_status=lambda code: _number(code, 1_000, 0),
    a_code_that_is_none_is_500=lambda code: _number(code) or 500,
    a_code_of_true_is_one=lambda code: code if code is True else _number(code),
    a_code_in_a_list_is_a_status=lambda code: code[0] if isinstance(code, list) else _number(code),
)


@mutant("SSE-09", killed_by=CODES)
def an_error_event_with_a_code_of_success_is_one(patch: pytest.MonkeyPatch) -> None:
    take = StreamedAnswer._take

    def changed(self: StreamedAnswer, name: str, text: str) -> Any:
        try:
            return take(self, name, text)
        except PeerError as error:
            if error.status_code not in answer.SUCCESS:
                raise
            self._result = {"message": error.reason}
            return None

    patch.setattr(StreamedAnswer, "_take", changed)


def known_by(patch: pytest.MonkeyPatch, is_one: Callable[[str], bool]) -> None:
    """Recognise a stream in another way by its media type."""
    patch.setattr(upload, "is_event_stream", lambda status, of: status < 300 and is_one(of))


alike(
    known_by,
    *("RES-13", "RES-01"),
    killed_by=TYPES,
    a_media_type_that_begins_like_that_of_streams=lambda of: of.lower().startswith("text/event-s"),
    a_media_type_that_contains_that_of_streams=lambda of: "text/event-stream" in of.lower(),
    a_media_type_has_no_capitals=lambda of: of.partition(";")[0].strip() == "text/event-stream",
    a_media_type_has_no_blank_at_its_end=lambda of: of.lower().split(";")[0] == "text/event-stream",
    a_media_type_of_text_is_a_stream=lambda of: of.lower().startswith("text/ev"),
)


@mutant("SSE-06", killed_by=SKIPPED)
def an_event_with_an_error_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    fail_at(patch, lambda name, text: name != "done" and '"error":"' in text)


@mutant("RES-04", killed_by=case(test_events_forms.test_a_done_event_of_any_form_is_a_success))
def a_result_that_is_false_is_left_out(patch: pytest.MonkeyPatch) -> None:
    end = StreamedAnswer.end

    def changed(self: StreamedAnswer) -> dict[str, object]:
        return {name: it for name, it in end(self).items() if it or name != "result"}

    patch.setattr(StreamedAnswer, "end", changed)

"""Mutants that change texts or names on their way."""

from __future__ import annotations

import ast
import contextlib
import json
import re
import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from deploy_relay_kit.relay import answer, formdata
from deploy_relay_kit.relay.answer import parse_json
from deploy_relay_kit.relay.events import EventParser
from tests.conformance import test_answers, test_events_forms, test_texts
from tests.mutants.mutant import case, mutant

ANSWER = case(test_texts.test_texts_and_names_of_an_answer_are_kept)
RESULT = case(test_texts.test_texts_and_names_of_a_result_are_kept)
REASON = test_texts.test_a_text_of_a_refusal_is_its_reason
NESTED = case(test_texts.test_texts_in_nested_json_of_a_request_are_kept)
FORM = test_events_forms.test_an_event_is_read_in_every_form_of_a_stream


def each_text(change: Callable[[str], str], value: Any) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {name: each_text(change, it) for name, it in value.items()}
        case list():
            return [each_text(change, it) for it in value]
        case _:
            return value


def change_answers(patch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    patch.setattr(answer, "parse_json", lambda text: change(parse_json(text)))


@mutant(
    *("RES-01", "SSE-09", "RES-06"),
    killed_by=(ANSWER, RESULT, case(REASON)),
)
def answers_are_composed(patch: pytest.MonkeyPatch) -> None:
    change_answers(patch, partial(each_text, partial(unicodedata.normalize, "NFC")))


@mutant("RES-01", "SSE-09", killed_by=(ANSWER, RESULT))
def texts_of_answers_are_trimmed(patch: pytest.MonkeyPatch) -> None:
    change_answers(patch, partial(each_text, str.strip))


@mutant("RES-01", "SSE-09", killed_by=(ANSWER, RESULT))
def names_of_prototypes_are_lost(patch: pytest.MonkeyPatch) -> None:
    def without(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: without(it) for name, it in value.items() if name != "__proto__"}

    change_answers(patch, without)


@mutant("RES-01", killed_by=case(test_texts.test_escaped_texts_of_an_answer_are_kept))
def pairs_of_escapes_are_not_joined(patch: pytest.MonkeyPatch) -> None:
    def halves(text: str) -> Any:
        return parse_json(re.sub(r"\\ud[89ab]..\\ud[c-f]..", r"\\ufffd\\ufffd", text))

    patch.setattr(answer, "parse_json", halves)


@mutant(
    "RES-06",
    killed_by=(case(REASON),),
)
def reasons_are_printable_and_trimmed(patch: pytest.MonkeyPatch) -> None:
    reason = answer._reason

    def printable(*at: Any) -> str:
        return "".join(it for it in reason(*at) if it.isprintable()).strip()

    patch.setattr(answer, "_reason", printable)


NOT_JSON = test_answers.test_a_success_that_is_not_json_has_the_body_as_its_message


@mutant(
    "RES-03",
    killed_by=(case(NOT_JSON, body='{"n":NaN}'), case(NOT_JSON, body='{"n":[Infinity,-Infinity]}')),
)
def numbers_that_are_none_are_json(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(answer, "_finite", float)


@mutant("RES-03", killed_by=case(NOT_JSON, body='{"n":"a\tb"}'))
def controls_in_texts_are_json(patch: pytest.MonkeyPatch) -> None:
    def lenient(text: str) -> Any:
        with contextlib.suppress(ValueError):
            return json.loads(text, strict=False)
        return parse_json(text)

    patch.setattr(answer, "parse_json", lenient)


@mutant(
    "RES-03",
    killed_by=(
        case(NOT_JSON, body='{"n":1} {"n":2}'),
        case(NOT_JSON, body='{"n":1}/**/'),
    ),
)
def json_ends_at_its_first_value(patch: pytest.MonkeyPatch) -> None:
    def first(text: str) -> Any:
        with contextlib.suppress(ValueError):
            return json.JSONDecoder().raw_decode(text)[0]
        return parse_json(text)

    patch.setattr(answer, "parse_json", first)


@mutant(
    "RES-03",
    killed_by=(case(NOT_JSON, body='{"n":1,}'), case(NOT_JSON, body="{'n':1}")),
)
def literals_of_python_are_json(patch: pytest.MonkeyPatch) -> None:
    def literal(text: str) -> Any:
        with contextlib.suppress(ValueError, SyntaxError):
            return ast.literal_eval(text)
        return parse_json(text)

    patch.setattr(answer, "parse_json", literal)


@mutant("FLD-04", killed_by=NESTED)
def nested_texts_are_trimmed(patch: pytest.MonkeyPatch) -> None:
    change_json(patch, partial(each_text, str.strip))


@mutant("FLD-04", killed_by=NESTED)
def nested_texts_are_composed(patch: pytest.MonkeyPatch) -> None:
    change_json(patch, partial(each_text, partial(unicodedata.normalize, "NFC")))


class _Json:
    def __init__(self, change: Callable[[Any], Any]) -> None:
        self.change = change

    def dumps(self, value: Any, **how: Any) -> str:
        return json.dumps(self.change(value), **how)


def change_json(patch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    patch.setattr(formdata, "json", _Json(change))


def change_lines(patch: pytest.MonkeyPatch, change: Callable[[EventParser, str], str]) -> None:
    """Change each line of an event stream before it is read."""
    take = EventParser._take
    patch.setattr(EventParser, "_take", lambda self, line: take(self, change(self, line)))


@mutant(
    "SSE-09",
    killed_by=case(FORM, form="event: phase\nevent: done\ndata: {data}\n\n"),
)
def the_first_name_of_an_event_counts(patch: pytest.MonkeyPatch) -> None:
    def first(parser: EventParser, line: str) -> str:
        return ":" if line.startswith("event") and parser._name is not None else line

    change_lines(patch, first)


@mutant(
    "SSE-09",
    killed_by=case(FORM, form="other: 1\nother\n:\nevent: done\ndata: {data}\ndata-of: 1\n\n"),
)
def a_line_that_begins_with_data_is_data(patch: pytest.MonkeyPatch) -> None:
    change_lines(patch, lambda _, line: re.sub("^data-of", "data", line))


@mutant("SSE-09", killed_by=case(FORM, form="event: done\r\ndata: {data}\r\n\r\n"))
def only_lf_ends_a_line(patch: pytest.MonkeyPatch) -> None:
    def feed(self: EventParser, block: bytes) -> Any:
        self._line += block
        *lines, rest = bytes(self._line).split(b"\n")
        self._line = bytearray(rest)
        for line in lines:
            yield from self._take(line.decode("utf-8", "replace"))

    patch.setattr(EventParser, "feed", feed)

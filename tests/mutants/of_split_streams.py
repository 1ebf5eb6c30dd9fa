"""Mutants that read a stream in its usual form only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deploy_relay_kit.relay import answer
from deploy_relay_kit.relay.answer import StreamedAnswer, parse_json
from deploy_relay_kit.relay.events import EventParser
from deploy_relay_kit.relay.link import Reply
from tests.conformance import test_events_forms, test_events_grammar
from tests.mutants.mutant import alike, case, mutant

REFUSED = case(test_events_forms.test_a_refusal_as_an_event_is_read_in_every_form)


@mutant("SSE-17", killed_by=case(test_events_forms.test_a_character_may_arrive_in_parts))
def each_block_of_a_stream_is_decoded_alone(patch: pytest.MonkeyPatch) -> None:
    feed = EventParser.feed

    def decoded(self: EventParser, block: bytes) -> Iterator[tuple[str, str]]:
        return feed(self, block.decode("utf-8", "replace").encode())

    patch.setattr(EventParser, "feed", decoded)


@mutant(
    "HTTP-05",
    "SSE-17",
    killed_by=case(test_events_forms.test_a_character_may_arrive_in_parts),
)
def each_block_of_an_answer_is_decoded_alone(patch: pytest.MonkeyPatch) -> None:
    following = Reply.__anext__

    async def decoded(self: Reply) -> bytes:
        block = await following(self)
        return block.decode("utf-8", "replace").encode()

    patch.setattr(Reply, "__anext__", decoded)


@mutant(
    "RES-13",
    killed_by=case(
        test_events_forms.test_an_error_event_of_any_form_is_a_failure_with_a_reason, data="null"
    ),
)
def an_error_event_needs_an_object(patch: pytest.MonkeyPatch) -> None:
    take = StreamedAnswer._take

    def lenient(self: StreamedAnswer, name: str, text: str) -> Any:
        value = parse_json(text)
        is_none = name == "error" and value is not answer._UNPARSABLE and type(value) is not dict
        return None if is_none else take(self, name, text)

    patch.setattr(StreamedAnswer, "_take", lenient)


@mutant("SSE-06", killed_by=case(test_events_grammar.test_the_event_done_is_read_in_every_form))
def the_name_of_an_event_stays_for_the_next(patch: pytest.MonkeyPatch) -> None:
    take = EventParser._take

    def kept(self: EventParser, line: str) -> Any:
        found = list(take(self, line))
        last = vars(self).setdefault("last", "message")
        if found:
            name, data = found[0]
            vars(self)["last"] = last if name == "message" else name
            found = [(last if name == "message" else name, data)]
        return found

    patch.setattr(EventParser, "_take", kept)


def change_refusals(patch: pytest.MonkeyPatch, begin: str) -> None:
    """Take a refusal for an event only if it begins so, and take its first line of data."""
    reason = answer.failure_reason

    def changed(refusal: answer.Answer) -> str:
        text = refusal.text
        if not text.startswith(begin):
            return str(answer._reason(parse_json(text), text) or f"HTTP {refusal.status}")
        return reason(refusal)

    patch.setattr(answer, "failure_reason", changed)


alike(
    change_refusals,
    "SSE-18",
    killed_by=REFUSED,
    a_refusal_as_an_event_has_a_space_after_its_colon="data: ",
)

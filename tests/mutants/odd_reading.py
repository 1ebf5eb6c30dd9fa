"""Odd but correct relays: how they read answers, make records and try again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deploy_relay_kit.relay import answer, peer, retry, token, upload
from deploy_relay_kit.relay.answer import Answer
from deploy_relay_kit.relay.errors import AttemptError, PeerError
from deploy_relay_kit.relay.events import EventParser
from deploy_relay_kit.relay.link import Link
from deploy_relay_kit.relay.report import Record
from deploy_relay_kit.relay.retry import Retry, seconds_until
from deploy_relay_kit.relay.states import Exchange
from tests.mutants.odd import odd
from tests.mutants.of_answers import change_limits
from tests.mutants.of_records import change_report

_BOM = b"\xef\xbb\xbf"

# -- answers -------------------------------------------------------------------------------------


@odd()
def byte_order_marks_are_removed(patch: pytest.MonkeyPatch) -> None:
    def text(self: Answer) -> str:
        return self.body.decode("utf-8-sig", "replace")

    feed = EventParser.feed

    def fed(self: EventParser, block: bytes) -> Any:
        if not vars(self).get("begun"):
            vars(self)["begun"] = True
            block = block.removeprefix(_BOM)
        return feed(self, block)

    patch.setattr(Answer, "text", property(text))
    patch.setattr(EventParser, "feed", fed)


@odd()
def an_answer_may_end_without_the_end_of_tls(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Link, "cuts", lambda *_: False)


@odd()
def numbers_beyond_a_double_are_the_largest_one(patch: pytest.MonkeyPatch) -> None:
    largest = 1.7976931348623157e308

    def clamped(text: str) -> float:
        if "n" in text.lower():  # NaN and Infinity are no JSON
            raise ValueError(text)
        return max(-largest, min(largest, float(text)))

    patch.setattr(answer, "_finite", clamped)


@odd()
def a_success_with_a_long_answer_is_one(patch: pytest.MonkeyPatch) -> None:
    members = answer.success_members

    def lenient(given: Answer) -> dict[str, object]:
        if given.status in answer.SUCCESS and given.cut:
            return {"message": "the answer is too long"}
        return members(given)

    patch.setattr(upload, "success_members", lenient)


@odd("limit")
def a_limit_of_answers_of_eight_mebibytes(patch: pytest.MonkeyPatch) -> None:
    change_limits(patch, lambda limits: replace(limits, answer_bytes=8 << 20))


@odd("limit")
def a_limit_of_answers_of_a_quarter_of_a_mebibyte(patch: pytest.MonkeyPatch) -> None:
    change_limits(patch, lambda limits: replace(limits, answer_bytes=1 << 18))


@odd()
def a_page_is_its_own_reason(patch: pytest.MonkeyPatch) -> None:
    """An HTML page is a raw body like any other."""
    patch.setattr(answer, "_PAGE", re.compile("(?!)"))


@odd()
def raw_bodies_are_cut_after_two_hundred_code_points(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(answer, "_first_units", lambda text: text[:200])


@odd()
def a_truncated_refusal_has_no_status_code(patch: pytest.MonkeyPatch) -> None:
    failure = Exchange.failure

    def without(self: Exchange, error: Any) -> AttemptError | None:
        found = failure(self, error)
        if (
            isinstance(found, PeerError)
            and found.reason.startswith("HTTP ")
            and ", but " in (found.reason)
        ):
            found.status_code = None
        return found

    patch.setattr(Exchange, "failure", without)


# -- records -------------------------------------------------------------------------------------


def change_failures(patch: pytest.MonkeyPatch, change: Callable[[Record], Record]) -> None:
    """Change every failed record."""
    change_report(
        patch, lambda records: [change(it) if it["status"] == "failed" else it for it in records]
    )


@odd("optional members")
def records_without_what_is_optional(patch: pytest.MonkeyPatch) -> None:
    optional = {"hint", "stage", "uncertain"}
    change_failures(
        patch, lambda it: {name: value for name, value in it.items() if name not in optional}
    )


@odd("optional members")
def records_with_everything_that_is_optional(patch: pytest.MonkeyPatch) -> None:
    def full(record: Record) -> Record:
        hint = record.get("hint", "look into the log of the node")
        return {"uncertain": False, "attempts": 1, **record, "hint": hint}

    change_failures(patch, full)


@odd("optional members")
def every_record_has_its_number_of_attempts(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, lambda records: [{"attempts": 1, **record} for record in records])


@odd()
def records_with_times_and_versions(patch: pytest.MonkeyPatch) -> None:
    more = {"startedAt": "2026-11-29T12:00:00Z", "relayVersion": [1, 2], "bytes": 0, "url": None}
    change_report(patch, lambda records: [{**record, **more} for record in records])


# -- attempts ------------------------------------------------------------------------------------


@odd()
def an_expired_token_is_final(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retry, "_token_expired", lambda _: False)


def change_retries(patch: pytest.MonkeyPatch, is_optional: Callable[[AttemptError], bool]) -> None:
    """Retry also after these failures, as the page leaves open."""
    delay = Retry.delay

    def more(self: Retry, failures: Any, random: Any) -> float | None:
        failures[-1].retryable |= is_optional(failures[-1])
        return delay(self, failures, random)

    patch.setattr(Retry, "delay", more)


@odd("retries")
def a_truncated_503_is_retried(patch: pytest.MonkeyPatch) -> None:
    change_retries(patch, lambda it: it.status_code in {502, 503, 504} and not it.in_stream)


@odd("retries")
def a_mint_without_an_answer_is_retried(patch: pytest.MonkeyPatch) -> None:
    change_retries(patch, lambda it: "token mint failed: no answer in" in it.reason)


@odd("retries")
def a_peer_that_takes_nothing_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    change_retries(patch, lambda it: "took no data" in it.reason)


@odd("pauses")
def pauses_are_as_long_as_allowed(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay
    patch.setattr(Retry, "delay", lambda self, failures, _: delay(self, failures, lambda: 1.0))


@odd("pauses")
def pauses_are_longer_than_a_peer_asks_for(patch: pytest.MonkeyPatch) -> None:
    def later(*at: Any) -> float | None:
        seconds = seconds_until(*at)
        return None if seconds is None else seconds + 0.4

    patch.setattr(peer, "seconds_until", later)


@odd()
def a_token_is_looked_for_inside_results_first(patch: pytest.MonkeyPatch) -> None:
    holders = token._holders
    patch.setattr(token, "_holders", lambda given: list(reversed(holders(given))))

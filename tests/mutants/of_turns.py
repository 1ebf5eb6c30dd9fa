"""Mutants of attempts and pauses after a second failure, after a body, in a form, or by turns."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from deploy_relay_kit.relay import fanout, peer
from deploy_relay_kit.relay.errors import AttemptError
from deploy_relay_kit.relay.fanout import FanOut
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Report, failed_record
from deploy_relay_kit.relay.retry import Retry, seconds_until
from tests.conformance import (
    test_attempts,
    test_attempts_counted,
    test_events_forms,
    test_names,
    test_retry,
    test_retry_after,
    test_streaming,
)
from tests.mutants.moments import count_attempts
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_records import change_report

Failures = Sequence[AttemptError]
ALL = test_attempts_counted.test_every_temporary_failure_gets_all_allowed_attempts_and_no_more
NO_TIMES = case(test_retry_after.test_what_is_no_time_in_retry_after_delays_no_retry)
WAITS = case(test_retry.test_the_relay_waits_as_long_as_retry_after_says)
TOO_LONG = case(test_retry_after.test_no_attempt_comes_before_a_long_time_in_retry_after)
FORMS = case(test_retry_after.test_the_relay_waits_for_seconds_and_for_dates_in_every_form)
SHORT = case(test_retry.test_a_pause_is_no_longer_than_the_deploy_names)


def give_up(patch: pytest.MonkeyPatch, when: Callable[[Failures], bool]) -> None:
    """Make no other attempt after some failures."""
    delay = Retry.delay

    def changed(self: Retry, failures: Failures, random: Callable[[], float]) -> float | None:
        return None if when(failures) else delay(self, failures, random)

    patch.setattr(Retry, "delay", changed)


alike(
    give_up,
    "RTY-04",
    killed_by=case(ALL),
    a_503_with_a_page_is_final=lambda failures: "HTML page" in failures[-1].reason,
    a_503_with_a_text_is_final=lambda failures: (
        failures[-1].reason == "busy" and not failures[-1].members
    ),
    a_503_with_an_error_is_final=lambda failures: "error" in failures[-1].members,
)
alike(
    give_up,
    "RTY-04",
    killed_by=case(ALL, attempts=test_attempts_counted.MANY),
    another_kind_of_failure_is_final=lambda failures: (
        len(failures) > 1 and failures[-2].status_code != failures[-1].status_code
    ),
)


@mutant(
    "RTY-04",
    killed_by=case(test_attempts.test_the_record_of_a_failure_is_that_of_the_last_attempt),
)
def a_record_names_the_allowed_attempts(patch: pytest.MonkeyPatch) -> None:
    run = FanOut.run

    async def counted(self: FanOut, work: Any, retry: Retry = fanout.ONCE) -> Report:
        def failed(node: str, failures: Failures) -> dict[str, Any]:
            record = failed_record(node, failures)
            return {**record, "attempts": retry.attempts} if "attempts" in record else record

        patch.setattr(fanout, "failed_record", failed)
        return await run(self, work, retry)

    patch.setattr(FanOut, "run", counted)


@mutant(
    "AGG-04",
    killed_by=case(test_attempts.test_a_pause_before_another_attempt_delays_no_other_peer),
)
def attempts_come_in_rounds(patch: pytest.MonkeyPatch) -> None:
    """No second attempt begins before all first ones have ended."""
    attempt, begun = fanout._attempt, set[Any]()

    async def noted(work: Any, of: Peer) -> Any:
        begun.add(of.node.name)
        try:
            return await attempt(work, of)
        finally:
            begun.discard(of.node.name)

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        while begun:  # noqa: ASYNC110 - the bug
            await asyncio.sleep(0.01)

    patch.setattr(fanout, "_attempt", noted)
    patch.setattr(fanout, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))


# -- Retry-After ---------------------------------------------------------------------------------


def change_delay(
    patch: pytest.MonkeyPatch, change: Callable[[float, Failures], float | None]
) -> None:
    """Change the pauses."""
    delay = Retry.delay

    def changed(self: Retry, failures: Failures, random: Callable[[], float]) -> float | None:
        seconds = delay(self, failures, random)
        return None if seconds is None else change(seconds, failures)

    patch.setattr(Retry, "delay", changed)


alike(
    change_delay,
    "KIT-04",
    killed_by=WAITS,
    the_first_time_in_retry_after_counts=lambda seconds, failures: (
        failures[0].retry_after
        if None not in (failures[0].retry_after, failures[-1].retry_after)
        else seconds
    ),
    a_refusal_with_members_names_no_time=lambda seconds, failures: (
        0.0 if failures[-1].members else seconds
    ),
)
alike(
    change_delay,
    "RTY-02",
    killed_by=SHORT,
    a_pause_without_an_answer_takes_a_second=lambda seconds, failures: (
        1.0 if failures[-1].stage == "answer" and failures[-1].status_code is None else seconds
    ),
    a_pause_after_a_504_takes_a_second=lambda seconds, failures: (
        1.0 if failures[-1].status_code == 504 else seconds
    ),
)


def read(patch: pytest.MonkeyPatch, change: Callable[[str, float | None], float | None]) -> None:
    """Read some values of Retry-After in another way."""

    def changed(value: str | None, now: datetime) -> float | None:
        seconds = seconds_until(value, now)
        return seconds if value is None else change(value, seconds)

    patch.setattr(peer, "seconds_until", changed)


FOR_EVER = 1e9
alike(
    read,
    "RTY-02",
    killed_by=NO_TIMES,
    a_time_of_nothing_is_none_to_wait_for=lambda value, seconds: (
        FOR_EVER if value.isdigit() and not int(value) else seconds
    ),
)
alike(
    read,
    "KIT-04",
    killed_by=TOO_LONG,
    a_day_of_one_digit_is_no_day=lambda value, seconds: (
        None if re.search(r"  \d|, 0\d", value) else seconds
    ),
)


@mutant("KIT-04", killed_by=FORMS)
def a_date_at_a_mint_is_no_time(patch: pytest.MonkeyPatch) -> None:
    answer = Peer.read

    async def changed(self: Peer, reply: Any) -> Any:
        found = await answer(self, reply)
        is_date = not reply.headers.get("Retry-After", "0").strip().isdigit()
        is_mint = "Authorization" not in reply._response.request_info.headers
        return replace(found, retry_after=None) if is_date and is_mint else found

    patch.setattr(Peer, "read", changed)


# -- turns of nodes ------------------------------------------------------------------------------


def take_turns(patch: pytest.MonkeyPatch, key: Callable[[Peer], object], count: int) -> None:
    """Serve no more than so many nodes with an equal key at once."""
    send = vars(fanout)["send"]
    places = dict[Any, asyncio.Semaphore]()

    async def sent(upload: Any, of: Peer) -> Any:
        place = (key(of), asyncio.get_running_loop())
        async with places.setdefault(place, asyncio.Semaphore(count)):
            return await send(upload, of)

    patch.setattr(fanout, "send", sent)


@mutant(
    "SEQ-03",
    killed_by=case(test_names.test_every_node_at_one_url_has_its_own_mint_upload_and_record),
)
def one_node_of_a_url_at_a_time(patch: pytest.MonkeyPatch) -> None:
    take_turns(patch, lambda it: it.api.url, 1)


@mutant(
    "SEQ-03",
    killed_by=case(test_streaming.test_all_peers_are_served_at_the_same_time, count=101),
)
def six_nodes_of_a_host_at_a_time(patch: pytest.MonkeyPatch) -> None:
    take_turns(patch, lambda it: it.api.host, 6)


@mutant(
    "AGG-01",
    killed_by=case(test_names.test_every_node_has_its_own_upload_and_record_whatever_its_name),
    also={"RES-02": "the node of a record is not the name of its node"},
)
def a_name_loses_a_line_end_at_its_end(patch: pytest.MonkeyPatch) -> None:
    change_report(
        patch,
        lambda records: [{**it, "node": str(it["node"]).removesuffix("\n")} for it in records],
    )


@mutant("SSE-01", killed_by=case(test_events_forms.test_every_attempt_requests_a_stream))
def events_are_requested_once(patch: pytest.MonkeyPatch) -> None:
    moment, post = count_attempts(patch), Peer.post

    def posted(self: Peer, headers: dict[str, str], body: Any, *rest: Any) -> Any:
        if moment(self, "upload").is_again:
            headers = {name: value for name, value in headers.items() if name != "Accept"}
        return post(self, headers, body, *rest)

    patch.setattr(Peer, "post", posted)

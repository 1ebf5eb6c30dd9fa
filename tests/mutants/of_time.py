"""Mutants of attempts and pauses: how many after which failure, and whom a pause delays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from deploy_relay_kit.relay import fanout
from deploy_relay_kit.relay.errors import AttemptError, PeerError
from deploy_relay_kit.relay.peer import Peer, mint_failure
from deploy_relay_kit.relay.report import Record, failed_record, success_record
from deploy_relay_kit.relay.retry import Retry
from tests.conformance import test_attempts, test_attempts_counted, test_retry
from tests.mutants.moments import count_attempts
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_attempts import again_if, final_if, repeat_without_retry_if

Failures = Sequence[AttemptError]
COUNTED = test_attempts_counted.test_every_temporary_failure_gets_all_allowed_attempts_and_no_more
TWICE = case(COUNTED)
MANY_TIMES = case(COUNTED, attempts=test_attempts_counted.MANY)
FINAL = case(test_attempts_counted.test_every_other_failure_is_final)
OF_A_MINT = case(test_attempts_counted.test_every_other_status_of_a_mint_is_final)
OF_A_STREAM = case(test_attempts_counted.test_every_error_of_a_stream_is_final)
OF_A_SOCKET = case(test_attempts_counted.test_a_socket_is_opened_again_only_if_it_was_lost)
UNASKED = case(test_attempts_counted.test_nothing_is_retried_unless_the_deploy_allows_it)
LIMITS = case(test_attempts_counted.test_every_limit_holds_in_the_second_attempt)
PAUSE = case(test_attempts.test_a_pause_before_another_attempt_delays_no_other_peer)
RETRY_AFTER = case(test_retry.test_the_relay_waits_as_long_as_retry_after_says)

# -- how many --------------------------------------------------------------------------------------


def change_attempts(patch: pytest.MonkeyPatch, change: Callable[[int, Failures], int]) -> None:
    """Allow another number of attempts, where the deploy allows several."""
    delay = Retry.delay

    def changed(self: Retry, failures: Failures, *how: Any) -> float | None:
        allowed = change(self.attempts, failures) if self.attempts > 1 else 1
        return delay(replace(self, attempts=max(1, allowed)), failures, *how)

    patch.setattr(Retry, "delay", changed)


def _is_mint(failure: AttemptError) -> bool:
    return failure.stage == "mint"


def _is_lost(failure: AttemptError) -> bool:
    return failure.status_code is None


def _is_of_connecting(failure: AttemptError) -> bool:
    return failure.reason.startswith("token mint failed") and _is_lost(failure)


alike(
    change_attempts,
    "RTY-04",
    killed_by=TWICE,
    also={"one_attempt_less_after_a_lost_connection": {"RTY-02": "of two attempts none is left"}},
    one_attempt_more_after_a_mint_503=lambda n, them: n + (_is_mint(them[-1])),
    one_attempt_more_after_a_lost_answer=lambda n, them: n + (them[-1].stage == "answer"),
    mints_are_not_counted=lambda n, them: n + any(map(_is_mint, them)),
    connections_are_not_counted=lambda n, them: n + any(map(_is_of_connecting, them)),
    one_attempt_less_after_a_lost_connection=lambda n, them: n - _is_lost(them[-1]),
    at_least_three_attempts=lambda n, _: max(n, 3),
)
alike(
    change_attempts,
    "RTY-04",
    killed_by=MANY_TIMES,
    at_most_three_attempts=lambda n, _: min(n, 3),
    at_most_ten_attempts=lambda n, _: min(n, 10),
    at_most_two_mints_in_a_row=lambda n, them: n if sum(map(_is_mint, them)) < 2 else 1,
)


def count(patch: pytest.MonkeyPatch, attempts: Callable[[int, Failures], int | None]) -> None:
    """Write another number of attempts into failed records; None leaves it out."""

    def counted(node: str, failures: Failures) -> Record:
        record = failed_record(node, failures)
        number = record.pop("attempts", None) and attempts(len(failures), failures)
        return {**record, "attempts": number} if number else record

    patch.setattr(fanout, "failed_record", counted)


alike(
    count,
    "RTY-04",
    killed_by=TWICE,
    failures_have_no_count=lambda *_: None,
    retries_are_counted=lambda n, _: n - 1,
    failed_mints_are_not_in_the_count=lambda n, them: n - sum(map(_is_mint, them)),
    lost_connections_are_not_in_the_count=lambda n, them: n - sum(map(_is_of_connecting, them)),
)

# -- which failures --------------------------------------------------------------------------------


def _has(*codes: int) -> Callable[[AttemptError], bool]:
    return lambda failure: failure.status_code in codes and not failure.in_stream


def _of_a_mint(*codes: int) -> Callable[[AttemptError], bool]:
    return lambda failure: _is_mint(failure) and failure.status_code in codes


alike(
    again_if,
    "RTY-04",
    killed_by=FINAL,
    an_invalid_token_is_tried_again=lambda it: it.reason == "invalid token",
    an_expired_token_has_any_status=lambda it: it.reason == "token expired",
    an_early_429_is_tried_again=_has(429),
    an_early_500_is_tried_again=lambda it: _has(500)(it) and it.reason == "HTTP 500",
    a_cut_success_is_tried_again=lambda it: "cut short" in it.reason,
)
alike(
    again_if,
    "RTY-04",
    killed_by=OF_A_MINT,
    a_mint_408_is_tried_again=_of_a_mint(408),
    a_mint_404_is_tried_again=_of_a_mint(404),
    a_mint_425_is_tried_again=_of_a_mint(425),
    a_mint_501_is_tried_again=_of_a_mint(501),
    any_other_mint_5xx_is_tried_again=_of_a_mint(*range(505, 600)),
)
alike(
    again_if,
    "RTY-04",
    killed_by=OF_A_STREAM,
    a_stream_with_429_is_tried_again=lambda it: it.in_stream and it.status_code == 429,
    a_stream_with_502_is_tried_again=lambda it: it.in_stream and it.status_code == 502,
    a_stream_with_504_is_tried_again=lambda it: it.in_stream and it.status_code == 504,
    a_stream_error_without_a_code_is_tried_again=lambda it: it.in_stream and _is_lost(it),
)
alike(
    again_if,
    "RTY-04",
    killed_by=OF_A_SOCKET,
    a_socket_closed_with_1008_is_tried_again=lambda it: "1008" in it.reason,
    a_socket_without_a_token_is_tried_again=lambda it: "did not return" in it.reason,
)
alike(
    final_if,
    "RTY-02",
    killed_by=OF_A_SOCKET,
    a_lost_socket_is_final=lambda it: "Connection closed" in it.reason,
)
alike(
    repeat_without_retry_if,
    "RTY-01",
    killed_by=UNASKED,
    a_lost_connection_is_repeated_at_once=lambda it: _is_of_connecting(it) and it.retryable,
    a_mint_503_is_repeated_at_once=_of_a_mint(503),
    a_mint_408_is_repeated_at_once=_of_a_mint(408),
    an_invalid_token_is_replaced_at_once=lambda it: it.reason == "invalid token",
    an_upload_408_is_repeated_at_once=lambda it: _has(408)(it) and not _is_mint(it),
)

# -- when ------------------------------------------------------------------------------------------


def ignore_retry_after(patch: pytest.MonkeyPatch, of: Callable[[Failures], bool]) -> None:
    """Ignore the Retry-After of some answers."""
    delay = Retry.delay

    def changed(self: Retry, failures: Failures, *how: Any) -> float | None:
        if of(failures):
            failures[-1].retry_after = None
        return delay(self, failures, *how)

    patch.setattr(Retry, "delay", changed)


alike(
    ignore_retry_after,
    "KIT-04",
    killed_by=RETRY_AFTER,
    only_the_first_retry_after_counts=lambda them: len(them) > 1,
    retry_after_of_a_mint_502_is_ignored=lambda them: _of_a_mint(502)(them[-1]),
    retry_after_of_a_mint_504_is_ignored=lambda them: _of_a_mint(504)(them[-1]),
)


def change_pauses(patch: pytest.MonkeyPatch, change: Callable[[Retry, float], float]) -> None:
    delay = Retry.delay

    def changed(self: Retry, failures: Failures, *how: Any) -> float | None:
        seconds = delay(self, failures, *how)
        return None if seconds is None else change(self, seconds)

    patch.setattr(Retry, "delay", changed)


alike(
    change_pauses,
    "KIT-04",
    killed_by=RETRY_AFTER,
    retry_after_is_in_milliseconds=lambda _, seconds: seconds / 1000,
    retry_after_is_cut_to_the_longest_pause=lambda retry, seconds: min(seconds, retry.first_delay),
)


@mutant("AGG-04", killed_by=PAUSE)
def a_pause_blocks_the_others(patch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - the bug

    patch.setattr(fanout, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))


@mutant("HTTP-03", killed_by=LIMITS)
def a_second_mint_has_no_limit(patch: pytest.MonkeyPatch) -> None:
    moment, token = count_attempts(patch), Peer.token

    async def patient(self: Peer) -> str:
        if not moment(self, "mint").is_again:
            return await token(self)
        try:
            return await self.mint.mint(self)
        except PeerError as error:
            raise mint_failure(str(error), error) from error

    patch.setattr(Peer, "token", patient)


@mutant("RTY-04", killed_by=case(test_retry.test_a_temporary_failure_is_retried))
def successes_have_no_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fanout, "success_record", lambda node, members, _: success_record(node, members))

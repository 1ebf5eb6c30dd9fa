"""Mutants that wait too long, or try again after a refusal of their socket."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from deploy_relay_kit.harness.replication.faults import UpgradeRefused
from deploy_relay_kit.relay import failures, peer, replication
from deploy_relay_kit.relay.errors import AttemptError, PeerError
from deploy_relay_kit.relay.retry import Retry, seconds_until
from tests.conformance import (
    test_attempts_counted,
    test_retry,
    test_retry_after,
    test_sockets,
    test_sockets_ends,
    test_sockets_grammar,
)
from tests.mutants.mutant import alike, case, mutant

WAITS = case(test_retry.test_the_relay_waits_as_long_as_retry_after_says)
REFUSED = case(
    test_sockets.test_a_socket_that_does_not_open_or_ends_early_fails_the_mint,
    fault=UpgradeRefused(503),
)
LOST = case(test_attempts_counted.test_a_socket_is_opened_again_only_if_it_was_lost)
NO_TIMES = case(test_retry_after.test_what_is_no_time_in_retry_after_delays_no_retry)


def change_pause(patch: pytest.MonkeyPatch, change: Callable[[float], float]) -> None:
    """Change each pause that takes time."""
    delay = Retry.delay

    def changed(
        self: Retry, failures: Sequence[AttemptError], random: Callable[[], float]
    ) -> float | None:
        seconds = delay(self, failures, random)
        return seconds and change(seconds)

    patch.setattr(Retry, "delay", changed)


@mutant("RTY-02", killed_by=case(test_retry.test_a_pause_is_no_longer_than_the_deploy_names))
def each_pause_takes_a_second(patch: pytest.MonkeyPatch) -> None:
    change_pause(patch, lambda seconds: max(seconds, 1.0))


@mutant(
    "KIT-04",
    killed_by=case(test_retry_after.test_the_relay_waits_for_seconds_and_for_dates_in_every_form),
)
def no_pause_takes_more_than_two_seconds(patch: pytest.MonkeyPatch) -> None:
    change_pause(patch, lambda seconds: min(seconds, 2.0))


@mutant("RTY-02", killed_by=NO_TIMES)
def a_decimal_in_retry_after_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    def lenient(value: str | None, now: datetime) -> float | None:
        if value and re.fullmatch(r"\+?[0-9]+(\.[0-9]+)?", value):
            return float(value)
        return seconds_until(value, now)

    patch.setattr(peer, "seconds_until", lenient)


@mutant(
    "RTY-04",
    killed_by=case(
        test_sockets_ends.test_a_close_before_the_answer_is_retried_unless_it_refuses_the_relay,
        code=1008,
        reason="",
    ),
)
def a_refusal_without_a_reason_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    answer = replication._answer

    async def lenient(*what: Any) -> Any:
        try:
            return await answer(*what)
        except PeerError as failure:
            failure.retryable |= failure.reason == "Connection closed 1008"
            raise

    patch.setattr(replication, "_answer", lenient)


@mutant(
    "WS-09", killed_by=case(test_sockets_grammar.test_an_answer_is_read_in_every_form_of_msgpack)
)
def an_error_of_nothing_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    read = replication.operation_response

    def strict(frame: Any) -> Any:
        found = read(frame)
        return {**found, "error": "null"} if found and "error" in found else found

    patch.setattr(replication, "operation_response", strict)


def change_refused_upgrades(
    patch: pytest.MonkeyPatch, change: Callable[[AttemptError], object]
) -> None:
    """Change the failure of an upgrade that is answered with another status than 101."""
    failure = failures._failure

    def changed(address: str, error: Exception, *of_tls: Any, sent: bool) -> AttemptError:
        found = failure(address, error, *of_tls, sent=sent)
        if isinstance(error, aiohttp.WSServerHandshakeError):
            change(found)
        return found

    patch.setattr(failures, "_failure", changed)


@mutant("RTY-02", killed_by=WAITS)
def a_refused_upgrade_is_final(patch: pytest.MonkeyPatch) -> None:
    change_refused_upgrades(patch, lambda failure: setattr(failure, "retryable", False))


@mutant("KIT-04", killed_by=WAITS)
def the_time_in_a_refused_upgrade_is_ignored(patch: pytest.MonkeyPatch) -> None:
    change_refused_upgrades(patch, lambda failure: setattr(failure, "retry_after", None))


@mutant("RES-05", killed_by=REFUSED)
def a_refused_upgrade_has_no_status(patch: pytest.MonkeyPatch) -> None:
    change_refused_upgrades(patch, lambda failure: setattr(failure, "status_code", None))


@mutant("RTY-02", killed_by=WAITS)
def an_earlier_retry_after_counts_again(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay

    def changed(self: Retry, failed: Sequence[AttemptError], random: Any) -> float | None:
        named = [it.retry_after for it in failed if it.retry_after is not None]
        seconds = delay(self, failed, random)
        return named[-1] if named and seconds is not None else seconds

    patch.setattr(Retry, "delay", changed)


@mutant("RTY-04", killed_by=LOST)
def a_refused_upgrade_is_never_final(patch: pytest.MonkeyPatch) -> None:
    change_refused_upgrades(patch, lambda failure: setattr(failure, "retryable", True))


@mutant("RTY-04", killed_by=LOST)
def an_error_of_a_socket_is_retried(patch: pytest.MonkeyPatch) -> None:
    wait = replication._answer

    async def lenient(*of_a_socket: Any) -> dict[str, object]:
        try:
            return await wait(*of_a_socket)
        except PeerError as failure:
            failure.retryable |= not failure.reason.startswith("Connection closed")
            raise

    patch.setattr(replication, "_answer", lenient)


TOO_LONG = case(test_retry_after.test_no_attempt_comes_before_a_long_time_in_retry_after)


def change_long_pause(patch: pytest.MonkeyPatch, change: Callable[[float], float | None]) -> None:
    """Change what is read of a Retry-After; None is no time to wait for."""

    def changed(retry_after: str | None, now: datetime) -> float | None:
        seconds = seconds_until(retry_after, now)
        return None if seconds is None else change(seconds)

    patch.setattr(peer, "seconds_until", changed)


alike(
    change_long_pause,
    "KIT-04",
    killed_by=TOO_LONG,
    a_pause_of_too_many_milliseconds_is_none=lambda it: it if it * 1_000 < 1 << 31 else 0.0,
    a_pause_of_too_many_nanoseconds_is_none=lambda it: it if it * 1e9 < 1 << 63 else 0.0,
    a_pause_is_an_integer_of_32_bits=lambda it: max(0.0, (it + 2**31) % 2**32 - 2**31),
    a_pause_of_more_than_a_minute_is_the_usual_one=lambda it: it if it <= 60 else None,
)


@mutant("RTY-02", killed_by=case(test_retry.test_a_pause_is_no_longer_than_the_deploy_names))
def a_pause_after_a_mint_takes_a_second(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay

    def changed(self: Retry, failures: Sequence[AttemptError], random: Any) -> float | None:
        seconds = delay(self, failures, random)
        return 1.0 if seconds and failures[-1].stage == "mint" else seconds

    patch.setattr(Retry, "delay", changed)

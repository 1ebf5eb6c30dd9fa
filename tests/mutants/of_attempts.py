"""Mutants of retries: after which failures, how often, and in the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.kinds import MintAnswer, mint_refused, mint_without_token
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.relay import fanout, peer, retry
from deploy_relay_kit.relay.errors import AttemptError, OriginError, PeerError
from deploy_relay_kit.relay.report import Record, failed_record, success_record
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.states import Exchange
from deploy_relay_kit.relay.upload import _Sending
from tests.conformance import (
    test_attempts,
    test_attempts_counted,
    test_final,
    test_retry,
    test_retry_after,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_sending import change_members

LAST = test_attempts.test_the_record_of_a_failure_is_that_of_the_last_attempt
CONNECTING = test_retry.test_a_connection_that_fails_is_retried
ON_THE_WAY = test_retry.test_a_refusal_during_the_upload_is_retried_like_any_other
OF_A_MINT = test_final.test_an_answer_of_any_other_kind_to_a_mint_is_final
UNASKED = test_attempts_counted.test_nothing_is_retried_unless_the_deploy_allows_it


def final_if(patch: pytest.MonkeyPatch, is_final: Callable[[AttemptError], bool]) -> None:
    delay = Retry.delay

    def changed(self: Retry, failures: Sequence[AttemptError], *how: Any) -> float | None:
        return None if is_final(failures[-1]) else delay(self, failures, *how)

    patch.setattr(Retry, "delay", changed)


def again_if(patch: pytest.MonkeyPatch, is_worth_it: Callable[[AttemptError], bool]) -> None:
    delay = Retry.delay

    def changed(self: Retry, failures: Sequence[AttemptError], *how: Any) -> float | None:
        if is_worth_it(failures[-1]):
            return 0.0 if len(failures) < self.attempts else None
        return delay(self, failures, *how)

    patch.setattr(Retry, "delay", changed)


def repeat_without_retry_if(
    patch: pytest.MonkeyPatch, is_worth_it: Callable[[AttemptError], bool]
) -> None:
    """Make a second attempt where the deploy allows one only."""
    delay = Retry.delay

    def changed(self: Retry, failures: Sequence[AttemptError], *how: Any) -> float | None:
        if self.attempts == len(failures) == 1 and is_worth_it(failures[-1]):
            return 0.0
        return delay(self, failures, *how)

    patch.setattr(Retry, "delay", changed)


def change_mint_failure(patch: pytest.MonkeyPatch, change: Callable[[PeerError], None]) -> None:
    failure = peer.mint_failure

    def changed(*at: Any) -> PeerError:
        failed = failure(*at)
        change(failed)
        return failed

    patch.setattr(peer, "mint_failure", changed)


# -- the record ----------------------------------------------------------------------------------


@mutant(
    "RES-05",
    killed_by=case(LAST, code=400),
    also={"RES-10": "a lost connection is reported with the status of an attempt before it"},
)
def the_first_failure_is_reported(patch: pytest.MonkeyPatch) -> None:
    def first(node: str, failures: Sequence[AttemptError]) -> Record:
        return {**failed_record(node, failures), **failed_record(node, failures[:1])}

    patch.setattr(fanout, "failed_record", first)


@mutant("RES-10", killed_by=case(LAST, code=None))
def members_of_an_earlier_failure_stay(patch: pytest.MonkeyPatch) -> None:
    def filled(node: str, failures: Sequence[AttemptError]) -> Record:
        return {**failed_record(node, failures[:1]), **failed_record(node, failures)}

    patch.setattr(fanout, "failed_record", filled)


@mutant("RES-02", killed_by=case(test_retry.test_a_temporary_failure_is_retried))
def a_success_keeps_the_reason_of_its_failures(patch: pytest.MonkeyPatch) -> None:
    def explained(node: str, members: Any, attempts: int) -> Record:
        why = {"reason": "busy", "statusCode": 503} if attempts > 1 else {}
        return {**success_record(node, members, attempts), **why}

    patch.setattr(fanout, "success_record", explained)


@mutant(
    "AGG-04",
    killed_by=case(test_attempts.test_a_pause_before_another_attempt_delays_no_other_peer),
    also={"KIT-01": "a cancelled deploy ends after the pause"},
)
def a_pause_holds_the_whole_relay(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay

    def blocking(self: Retry, *at: Any) -> float | None:
        seconds = delay(self, *at)
        time.sleep(seconds or 0)
        return None if seconds is None else 0.0

    patch.setattr(Retry, "delay", blocking)


# -- failures that are tried again ---------------------------------------------------------------


@mutant("RTY-02", killed_by=case(CONNECTING))
def a_connection_that_breaks_before_its_request_is_final(patch: pytest.MonkeyPatch) -> None:
    final_if(patch, lambda failure: "no connection in" not in failure.reason)


@mutant("RTY-02", killed_by=case(test_retry.test_a_connection_that_hangs_is_retried))
def a_connection_that_takes_too_long_is_final(patch: pytest.MonkeyPatch) -> None:
    final_if(patch, lambda failure: "no connection in" in failure.reason)


@mutant("RTY-02", killed_by=case(test_retry.test_an_unknown_host_is_retried))
def a_host_that_is_not_found_is_final(patch: pytest.MonkeyPatch) -> None:
    final_if(patch, lambda failure: "cannot find its host" in failure.reason)


@mutant("RTY-02", killed_by=case(ON_THE_WAY, status=503))
def a_refusal_on_the_way_is_final(patch: pytest.MonkeyPatch) -> None:
    judge_on_the_way(patch, is_worth_it=False)


@mutant("RTY-04", killed_by=case(ON_THE_WAY, status=403))
def a_refusal_on_the_way_is_a_lost_connection(patch: pytest.MonkeyPatch) -> None:
    judge_on_the_way(patch, is_worth_it=True)


def judge_on_the_way(patch: pytest.MonkeyPatch, *, is_worth_it: bool) -> None:
    async def judged(members: Any, sending: _Sending, response: Any) -> Any:
        try:
            return await members(sending, response)
        except PeerError as error:
            error.retryable = error.retryable if sending._exchange.is_sent else is_worth_it
            raise

    change_members(patch, judged)


@mutant("RTY-02", killed_by=case(test_retry.test_a_mint_that_fails_temporarily_is_retried))
def a_failed_mint_is_final(patch: pytest.MonkeyPatch) -> None:
    def final(failed: PeerError) -> None:
        failed.retryable = failed.stage == "connect"

    change_mint_failure(patch, final)


@mutant(
    "RTY-02",
    killed_by=case(test_retry_after.test_what_is_no_time_in_retry_after_delays_no_retry),
)
def retry_after_is_always_a_time(patch: pytest.MonkeyPatch) -> None:
    def seconds(retry_after: str | None, now: datetime) -> float | None:
        if retry_after is None or retry_after.isdigit():
            return None if retry_after is None else float(retry_after)
        wait = (parsedate_to_datetime(retry_after) - now).total_seconds()
        if wait < 0:
            raise ValueError("sleep length must be non-negative")
        return wait

    patch.setattr(peer, "seconds_until", seconds)


@mutant("KIT-04", killed_by=case(test_retry.test_the_relay_waits_as_long_as_retry_after_says))
def retry_after_of_a_mint_is_ignored(patch: pytest.MonkeyPatch) -> None:
    change_mint_failure(patch, lambda failed: setattr(failed, "retry_after", None))


@mutant("RTY-04", killed_by=case(test_final.test_a_success_that_is_early_or_long_is_final))
def an_early_success_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    failure = Exchange.failure

    def temporary(self: Exchange, error: Any) -> AttemptError | None:
        failed = failure(self, error)
        if failed is not None and "success before" in failed.reason:
            failed.retryable = True
        return failed

    patch.setattr(Exchange, "failure", temporary)


@mutant("KIT-04", killed_by=case(test_retry.test_the_relay_waits_as_long_as_retry_after_says))
def retry_after_counts_with_503_alone(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay

    def only_503(self: Retry, failures: Sequence[AttemptError], *how: Any) -> float | None:
        if failures[-1].status_code != 503:
            failures[-1].retry_after = None
        return delay(self, failures, *how)

    patch.setattr(Retry, "delay", only_503)


# -- failures that are final ---------------------------------------------------------------------


@mutant("RTY-01", killed_by=case(UNASKED))
def a_lost_upload_is_repeated_without_retry(patch: pytest.MonkeyPatch) -> None:
    repeat_without_retry_if(patch, lambda error: error.retryable and error.status_code is None)


@mutant("RTY-01", killed_by=case(UNASKED))
def a_refused_upload_is_repeated_without_retry(patch: pytest.MonkeyPatch) -> None:
    repeat_without_retry_if(patch, lambda error: error.retryable and error.status_code is not None)


@mutant(
    "RTY-04",
    killed_by=(
        case(OF_A_MINT, fault=mint_refused(status=500)),
        case(OF_A_MINT, fault=MintAnswer(Answer.redirect("/elsewhere"))),
    ),
)
def a_refused_mint_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    again_if(patch, lambda failure: failure.stage == "mint" and failure.status_code in (307, 500))


@mutant("RTY-04", killed_by=case(OF_A_MINT, fault=mint_without_token()))
def a_mint_without_a_token_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    again_if(patch, lambda failure: "did not return" in failure.reason)


@mutant("RTY-04", killed_by=case(test_final.test_an_expired_token_is_replaced_once_at_most))
def an_expired_token_is_replaced_again_and_again(patch: pytest.MonkeyPatch) -> None:
    again_if(patch, retry._token_expired)


@mutant("RTY-04", killed_by=case(test_final.test_a_payload_that_shrinks_is_not_sent_again))
def a_fault_of_the_origin_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    again_if(patch, lambda failure: isinstance(failure, OriginError))


@mutant("AGG-04", killed_by=case(test_attempts.test_each_peer_has_its_own_attempts))
def all_peers_share_the_attempts(patch: pytest.MonkeyPatch) -> None:
    failed: list[AttemptError] = []

    def is_one_too_many(failure: AttemptError) -> bool:
        failed.append(failure)
        return len(failed) >= THRICE.attempts

    final_if(patch, is_one_too_many)

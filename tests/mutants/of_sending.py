"""Mutants of an upload: the bytes of the payload, limits, early answers and retries."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay as reference
from deploy_relay_kit.relay import connection, payload, peer, sockets, upload
from deploy_relay_kit.relay.answer import SUCCESS
from deploy_relay_kit.relay.errors import AttemptError, PeerError
from deploy_relay_kit.relay.payload import StagedPayload, opened
from deploy_relay_kit.relay.retry import Retry, seconds_until
from deploy_relay_kit.relay.states import Exchange
from deploy_relay_kit.relay.upload import _Sending
from tests.conformance import (
    test_answers,
    test_attempts,
    test_cancel,
    test_early,
    test_early_success,
    test_fanout,
    test_faults,
    test_final,
    test_memory,
    test_mint_answers,
    test_mint_failures,
    test_payload,
    test_payload_changes,
    test_replication,
    test_retry,
    test_retry_after,
    test_sockets,
    test_streaming,
    test_url,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_answers import change_limits

WHOLE = case(test_fanout.test_every_peer_receives_the_staged_payload_whole)
FINAL = test_final.test_an_answer_of_any_other_kind_is_final


BLOCK = 1 << 16  # bytes


def change_blocks(
    patch: pytest.MonkeyPatch, change: Callable[[Iterator[bytes]], Iterator[bytes]]
) -> None:
    before = vars(upload)["opened"]  # perhaps changed already

    @contextlib.contextmanager
    def changed(staged: StagedPayload, most: int) -> Iterator[Iterator[bytes]]:
        with before(staged, most) as blocks:
            yield change(map(bytes, blocks))

    patch.setattr(upload, "opened", changed)


def change_members(patch: pytest.MonkeyPatch, change: Callable[..., Any]) -> None:
    """Change how an answer becomes the members of a success."""
    members = _Sending._members
    patch.setattr(_Sending, "_members", lambda self, response: change(members, self, response))


@mutant(
    "FLD-08",
    killed_by=(
        WHOLE,
        case(test_payload.test_a_payload_of_any_size_arrives_whole),
        case(test_payload.test_a_payload_that_looks_like_its_own_end_arrives_whole),
        case(test_url.test_a_node_behind_nginx_is_reached),
    ),
)
def the_first_byte_of_a_block_is_lost(patch: pytest.MonkeyPatch) -> None:
    change_blocks(patch, lambda blocks: (block[1:] for block in blocks))


def without_the_last_full_block(blocks: Iterator[bytes]) -> Iterator[bytes]:
    sent = 0
    held = b""
    for block in blocks:
        if held:
            yield held
            sent += len(held)
        held = block
    if (sent + len(held)) % 1_048_576:
        yield held


@mutant(
    "FLD-08",
    killed_by=(
        case(test_payload.test_a_payload_of_any_size_arrives_whole, size=1_048_576),
        case(test_payload.test_a_payload_of_any_size_arrives_whole, size=4_194_304),
    ),
)
def a_payload_of_whole_mebibytes_loses_its_last_block(patch: pytest.MonkeyPatch) -> None:
    change_blocks(patch, without_the_last_full_block)


@mutant(
    "BUG-20",
    killed_by=(
        case(test_streaming.test_the_first_bytes_leave_before_the_end_of_the_payload_is_read),
        case(test_memory.test_memory_does_not_grow_with_the_payload),
    ),
    also={"BUG-14": "the payload is read before it changes"},
)
def the_payload_is_read_whole(patch: pytest.MonkeyPatch) -> None:
    def whole(blocks: Iterator[bytes]) -> Iterator[bytes]:
        content = b"".join(blocks)
        return (content[at : at + BLOCK] for at in range(0, len(content), BLOCK))

    change_blocks(patch, whole)


@mutant(
    "EARLY-11",
    killed_by=(
        case(test_streaming.test_the_payload_is_closed_on_every_path),
        case(test_streaming.test_the_payload_is_closed_after_a_cancelled_deploy),
    ),
)
def the_payload_stays_open(patch: pytest.MonkeyPatch) -> None:
    def leaky(staged: StagedPayload, most: int) -> Any:
        os.open(staged.path, os.O_RDONLY)  # closed when this process ends
        return opened(staged, most)

    patch.setattr(upload, "opened", leaky)


@mutant(
    "RES-11",
    "BUG-14",
    killed_by=(
        case(test_payload_changes.test_a_payload_that_shrinks_fails_the_records_and_ends_no_body),
        case(test_payload_changes.test_a_payload_that_grows_fails_the_record),
    ),
    also={"FLD-08": "a file that replaces the payload is sent like the payload"},
)
def missing_bytes_of_a_payload_are_zeros(patch: pytest.MonkeyPatch) -> None:
    def blocks(file: Any, staged: StagedPayload, _most: int) -> Iterator[bytes]:
        left = staged.size
        while left:
            block = file.read(min(left, 1 << 18)) or bytes(min(left, 1 << 18))
            left -= len(block)
            yield block

    patch.setattr(payload, "_blocks", blocks)


@mutant(
    "FLD-08",
    killed_by=case(
        test_payload_changes.test_a_payload_that_is_replaced_is_not_sent_as_the_first_one
    ),
)
def a_payload_is_known_by_its_size(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(payload, "_state", lambda status: (status.st_size,))


@mutant(
    "FLD-08", killed_by=case(test_payload.test_another_payload_under_the_same_name_is_read_anew)
)
def a_payload_is_cached_by_its_name(patch: pytest.MonkeyPatch) -> None:
    kept: dict[Path, list[bytes]] = {}
    read = payload._blocks

    def blocks(file: Any, staged: StagedPayload, most: int) -> Iterator[bytes]:
        known = kept.get(staged.path, [])
        if sum(map(len, known)) == staged.size:
            yield from known
            return
        fresh = []
        for block in map(bytes, read(file, staged, most)):
            fresh.append(block)
            yield block
        kept[staged.path] = fresh

    patch.setattr(payload, "_blocks", blocks)


@mutant("SEQ-09", killed_by=case(test_payload.test_the_staged_payload_is_left_as_it_was))
def the_payload_is_deleted(patch: pytest.MonkeyPatch) -> None:
    deploy = reference.deploy

    async def tidy(*, payload: Any, **how: Any) -> Any:
        report = await deploy(payload=payload, **how)
        payload.unlink()
        return report

    patch.setattr(reference, "deploy", tidy)


@mutant(
    "HTTP-03",
    killed_by=(
        case(test_faults.test_a_peer_that_does_not_connect_is_given_up_in_time),
        case(test_faults.test_a_peer_that_takes_no_more_bytes_is_given_up_in_time),
        case(test_faults.test_a_peer_that_does_not_answer_an_upload_is_given_up_in_time),
        case(test_answers.test_an_answer_without_an_end_is_given_up_in_time),
        case(test_sockets.test_a_socket_without_an_answer_is_given_up_in_time),
        case(test_mint_failures.test_a_mint_without_an_answer_is_given_up_in_time),
        case(test_mint_answers.test_a_mint_whose_answer_does_not_end_is_given_up_in_time),
    ),
)
def limits_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    change_limits(patch, lambda _: reference.Limits())


# -- early answers -------------------------------------------------------------------------------


@mutant(
    "EARLY-01",
    killed_by=case(
        test_early.test_a_refusal_during_the_upload_is_a_record_with_its_reason_and_status
    ),
)
def a_broken_upload_hides_the_answer(patch: pytest.MonkeyPatch) -> None:
    async def hidden(members: Any, sending: _Sending, response: Any) -> Any:
        try:
            return await members(sending, response)
        except PeerError as error:
            if sending._exchange.is_sent:
                raise
            raise PeerError("upload", "broken pipe") from error

    change_members(patch, hidden)


@mutant(
    "EARLY-04",
    "EARLY-07",
    killed_by=(
        case(test_early.test_a_refusal_after_which_the_peer_stops_reading_is_its_record),
        case(test_early.test_a_peer_that_never_reads_again_after_its_refusal_delays_no_peer),
        case(test_early.test_a_real_peer_refuses_a_project_at_the_file_and_stops_reading),
        case(test_early_success.test_a_refusal_in_a_stream_that_began_early_has_its_reason),
    ),
    also={
        "EARLY-01": "a refusal by a peer that reads slowly is read too late",
        "EARLY-02": "a refusal is not read after the peer closed",
        "EARLY-08": "a reset hides the answer before it",
    },
)
def no_answer_is_read_before_the_upload_finished(patch: pytest.MonkeyPatch) -> None:
    async def later(members: Any, sending: _Sending, response: Any) -> Any:
        while not sending._exchange.is_sent:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
        return await members(sending, response)

    change_members(patch, later)


@mutant(
    "EARLY-04",
    killed_by=case(
        test_early.test_an_answer_cut_short_by_a_peer_that_reads_no_more_ends_the_upload
    ),
)
def hang_ups_go_unnoticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(connection, "_LENDING_LOOPS", ())
    patch.setattr(sockets.PatientSocket, "has_hung_up", lambda _: False)


@mutant(
    "BUG-34",
    killed_by=case(test_early_success.test_the_head_of_a_success_during_the_upload_does_not_end_it),
)
def an_answer_ends_the_upload(patch: pytest.MonkeyPatch) -> None:
    async def hasty(members: Any, sending: _Sending, response: Any) -> Any:
        if not sending._exchange.is_sent and response.status in SUCCESS:
            raise PeerError("answer", "answered before the upload had ended")
        return await members(sending, response)

    change_members(patch, hasty)


@mutant(
    "KIT-01",
    killed_by=(
        case(test_cancel.test_no_peer_sees_a_complete_body_of_a_cancelled_deploy),
        case(test_cancel.test_a_cancelled_deploy_closes_its_connections_at_every_stage),
        case(test_sockets.test_a_cancelled_deploy_closes_its_sockets),
    ),
)
def a_cancelled_deploy_goes_on(patch: pytest.MonkeyPatch) -> None:
    deploy = reference.deploy

    async def stubborn(**how: Any) -> Any:
        going = asyncio.ensure_future(deploy(**how))
        try:
            return await asyncio.shield(going)
        except asyncio.CancelledError:
            await going
            raise

    patch.setattr(reference, "deploy", stubborn)


# -- retries -------------------------------------------------------------------------------------


@mutant(
    "RTY-04",
    killed_by=(
        case(FINAL),
        case(test_final.test_an_answer_of_any_other_kind_to_a_mint_is_final),
        case(test_final.test_a_bad_certificate_is_final),
        case(test_final.test_an_answer_that_has_begun_is_final),
        case(test_final.test_a_whole_upload_without_an_answer_is_not_sent_again),
    ),
)
def everything_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay

    def anyway(self: Retry, failures: Sequence[AttemptError], *how: Any) -> float | None:
        is_last = len(failures) >= self.attempts
        return None if is_last else delay(self, failures, *how) or 0.0

    patch.setattr(Retry, "delay", anyway)


@mutant(
    "RTY-04",
    killed_by=(
        case(test_attempts.test_all_allowed_attempts_are_made_and_no_more, attempts=2),
        case(test_replication.test_another_attempt_opens_another_socket),
        case(test_retry.test_a_refused_connection_is_retried),
    ),
    also={"RTY-01": "one attempt more than one is a retry that the deploy did not allow"},
)
def there_is_an_extra_attempt(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay
    patch.setattr(
        Retry, "delay", lambda retry, *at: delay(replace(retry, attempts=retry.attempts + 1), *at)
    )


@mutant(
    "RTY-04",
    killed_by=case(test_final.test_a_whole_upload_without_an_answer_is_not_sent_again),
)
def a_reached_limit_is_a_lost_connection(patch: pytest.MonkeyPatch) -> None:
    failure = Exchange.failure

    def passing(self: Exchange, error: PeerError | TimeoutError | None) -> AttemptError | None:
        failed = failure(self, error)
        if failed is not None and isinstance(error, TimeoutError):
            failed.retryable = True
        return failed

    patch.setattr(Exchange, "failure", passing)


@mutant("RTY-02", killed_by=case(test_retry.test_a_temporary_failure_is_retried))
def nothing_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Retry, "delay", lambda *_: None)


@mutant("KIT-04", killed_by=case(test_retry.test_the_relay_waits_as_long_as_retry_after_says))
def retry_after_is_ignored(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay

    def at_once(self: Retry, *at: Any) -> float | None:
        return None if delay(self, *at) is None else 0.0

    patch.setattr(Retry, "delay", at_once)


@mutant(
    "KIT-04",
    killed_by=case(test_retry_after.test_the_relay_waits_for_seconds_and_for_dates_in_every_form),
)
def a_date_in_retry_after_is_ignored(patch: pytest.MonkeyPatch) -> None:
    def seconds(retry_after: str | None, now: datetime) -> float | None:
        return seconds_until(retry_after, now) if (retry_after or "").isdigit() else None

    patch.setattr(peer, "seconds_until", seconds)

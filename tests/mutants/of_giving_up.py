"""Mutants of patience: what is waited for too long, or not long enough, and what is left open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

import relay as reference
from harness.faults.answers import Answer
from harness.faults.kinds import AnswerEarly, mint_refused
from relay import fanout, upload
from relay.connection import Connections, Peer
from relay.errors import AttemptError
from relay.payload import StagedPayload, opened
from relay.report import Report
from relay.token import mint_failure
from relay.upload import _Sending
from tests.conformance import (
    test_answers,
    test_cancel,
    test_early,
    test_faults,
    test_mint_answers,
    test_streaming,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_answers import change_limits
from tests.mutants.of_sending import change_members

SLOW = case(test_faults.test_a_peer_that_is_slow_and_goes_on_is_not_given_up)
NO_END = test_answers.test_an_answer_without_an_end_is_given_up_in_time
CLOSED = test_streaming.test_the_payload_is_closed_wherever_an_attempt_ends
GIVEN_UP = test_cancel.test_a_deploy_given_up_closes_its_connections_at_every_stage


# -- too long, and not long enough ---------------------------------------------------------------


@mutant("HTTP-03", killed_by=SLOW)
def an_upload_may_stall_so_long_in_all(patch: pytest.MonkeyPatch) -> None:
    begin_with_an_upload(patch, "stall")


@mutant("HTTP-03", killed_by=SLOW)
def an_answer_is_waited_for_from_the_first_byte(patch: pytest.MonkeyPatch) -> None:
    begin_with_an_upload(patch, "answer")


def begin_with_an_upload(patch: pytest.MonkeyPatch, limit: str) -> None:
    """Let a limit begin where an upload does, and not begin again."""
    allow = _Sending._allow

    def in_all(self: _Sending, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        end = vars(self).setdefault("end", now + getattr(self._limits, limit))
        allow(self, min(seconds, end - now))

    patch.setattr(_Sending, "_allow", in_all)


@mutant("HTTP-03", killed_by=case(NO_END, fault=test_answers.Endless(chunk_size=1)))
def an_answer_may_come_for_ever(patch: pytest.MonkeyPatch) -> None:
    read = aiohttp.StreamReader.readany

    async def patient(members: Any, sending: _Sending, response: Any) -> Any:
        async def again(self: aiohttp.StreamReader) -> bytes:
            block = await read(self)
            sending._allow(sending._limits.answer)
            return block

        patch.setattr(aiohttp.StreamReader, "readany", again)
        return await members(sending, response)

    change_members(patch, patient)


@mutant(
    "HTTP-03",
    killed_by=case(test_faults.test_a_refusal_on_the_way_that_does_not_end_is_given_up_in_time),
)
def a_refusal_is_read_to_its_end(patch: pytest.MonkeyPatch) -> None:
    async def patient(members: Any, sending: _Sending, response: Any) -> Any:
        if response.status >= 300:
            sending._deadline.reschedule(None)
            patch.setattr(_Sending, "_allow", lambda *_: None)
        return await members(sending, response)

    change_members(patch, patient)


@mutant(
    "HTTP-03",
    killed_by=case(test_faults.test_an_upload_that_does_not_connect_is_given_up_in_time),
)
def an_upload_may_connect_for_ever(patch: pytest.MonkeyPatch) -> None:
    post = aiohttp.ClientSession.post

    def patient(*at: Any, **how: Any) -> Any:
        if not isinstance(how["data"], bytes):
            how["timeout"] = aiohttp.ClientTimeout(None)
        return post(*at, **how)

    patch.setattr(aiohttp.ClientSession, "post", patient)


# -- what goes on --------------------------------------------------------------------------------


@mutant(
    "HTTP-03",
    "RES-11",
    killed_by=(
        case(test_cancel.test_an_upload_that_is_given_up_never_ends_well),
        case(test_cancel.test_the_connection_of_a_peer_that_is_given_up_is_closed),
    ),
)
def what_takes_too_long_goes_on_unseen(patch: pytest.MonkeyPatch) -> None:
    """As whatever loses a race against a timer."""
    deploy = reference.deploy

    async def raced(*, limits: reference.Limits, **how: Any) -> Report:
        reports: list[Report] = []
        going = threading.Thread(target=lambda: reports.append(asyncio.run(deploy(**how))))
        going.daemon = True
        going.start()
        await asyncio.to_thread(going.join, min(limits.stall, limits.mint))
        failed = {"status": "failed", "reason": "not in time"}
        return (
            reports[0] if reports else Report([{"node": it.name, **failed} for it in how["nodes"]])
        )

    patch.setattr(reference, "deploy", raced)


@mutant(
    "HTTP-03",
    "SEQ-06",
    killed_by=case(test_mint_answers.test_a_mint_that_was_given_up_is_followed_by_no_upload),
)
def a_mint_that_comes_late_is_used(patch: pytest.MonkeyPatch) -> None:
    attempt, leave = fanout._attempt, Connections.__aexit__
    late: list[asyncio.Task[Any]] = []

    async def raced(*what: Any) -> Any:
        going = asyncio.create_task(attempt(*what))
        late.append(going)
        done, _ = await asyncio.wait([going], timeout=0.1)
        return going.result() if done else mint_failure("no answer in time")

    async def waiting(self: Connections, *error: object) -> None:
        await asyncio.wait(late)
        await leave(self, *error)

    change_limits(patch, lambda limits: replace(limits, mint=5.0))
    patch.setattr(fanout, "_attempt", raced)
    patch.setattr(Connections, "__aexit__", waiting)


@mutant("KIT-01", killed_by=case(GIVEN_UP, fault=test_cancel.NO_ANSWER))
def the_answer_of_a_deploy_that_is_given_up_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    outcome = _Sending.outcome

    async def waiting(self: _Sending) -> dict[str, object]:
        going = asyncio.ensure_future(outcome(self))
        try:
            return await asyncio.shield(going)
        except asyncio.CancelledError:
            if not self._is_sent:
                going.cancel()
            with contextlib.suppress(AttemptError, TimeoutError):
                await asyncio.wait_for(going, timeout=1)
            raise

    patch.setattr(_Sending, "outcome", waiting)


@mutant(
    "KIT-01", killed_by=case(test_cancel.test_nothing_is_tried_again_after_a_deploy_was_given_up)
)
def the_end_of_a_pause_is_the_next_attempt(patch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(seconds)

    patch.setattr(fanout, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))


# -- what stays open -----------------------------------------------------------------------------


@mutant(
    "EARLY-11",
    killed_by=(
        case(test_streaming.test_the_payload_is_closed_on_every_path),
        case(CLOSED, fault=mint_refused()),
    ),
)
def a_payload_is_opened_for_whom_it_cannot_reach(patch: pytest.MonkeyPatch) -> None:
    send = upload.send

    async def early(what: upload.Upload, peer: Peer) -> dict[str, object]:
        descriptor = os.open(what.payload.path, os.O_RDONLY)
        try:
            members = await send(what, peer)
        except AttemptError as error:
            if error.stage not in {"connect", "tls", "mint"}:
                os.close(descriptor)
            raise
        os.close(descriptor)
        return members

    patch.setattr(fanout, "send", early)


@mutant("EARLY-11", killed_by=case(CLOSED, fault=AnswerEarly(Answer(403), then="stop")))
def a_payload_is_closed_where_it_ends(patch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def to_its_end(staged: StagedPayload) -> Iterator[Iterator[bytes]]:
        def blocks() -> Iterator[bytes]:
            yield from read
            os.close(descriptor)

        with opened(staged) as read:
            descriptor = os.open(staged.path, os.O_RDONLY)
            yield blocks()

    patch.setattr(upload, "opened", to_its_end)


# -- refusals during an upload ---------------------------------------------------------------------


@mutant("EARLY-08", killed_by=case(test_early.test_a_reset_after_a_refusal_does_not_hide_it))
def a_refusal_is_read_late(patch: pytest.MonkeyPatch) -> None:
    received, drain = ResponseHandler.data_received, ResponseHandler._drain_helper
    waiting: set[ResponseHandler] = set()

    def later(self: ResponseHandler, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 403"):
            waiting.add(self)
            asyncio.get_running_loop().call_later(1.3, deliver, self, data)
        else:
            received(self, data)

    def deliver(self: ResponseHandler, data: bytes) -> None:
        waiting.discard(self)
        if self.transport is not None:
            received(self, data)

    async def drained(self: ResponseHandler) -> None:
        while self in waiting:  # noqa: ASYNC110 - it sends nothing meanwhile
            await asyncio.sleep(0.01)
        await drain(self)

    patch.setattr(ResponseHandler, "data_received", later)
    patch.setattr(ResponseHandler, "_drain_helper", drained)


@mutant(
    "EARLY-02",
    killed_by=case(
        test_early.test_a_refusal_after_which_the_peer_closes_is_a_failed_record_at_once, at="head"
    ),
)
def a_peer_that_closes_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    async def patient(members: Any, sending: _Sending, response: Any) -> Any:
        if response.headers.get("Connection") == "close" and not sending._is_sent:
            sending._refusal = response.status  # nothing more is sent
            await asyncio.sleep(60)
        return await members(sending, response)

    change_members(patch, patient)

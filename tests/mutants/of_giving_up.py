"""Mutants of limits: too long, too short, and connections and files that stay open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from deploy_relay_kit import relay as reference
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.kinds import AnswerEarly, mint_refused
from deploy_relay_kit.harness.targets.reference import ReferenceTarget
from deploy_relay_kit.relay import connection, fanout, replication, upload
from deploy_relay_kit.relay import peer as peers
from deploy_relay_kit.relay.answer import StreamedAnswer
from deploy_relay_kit.relay.connection import Connections
from deploy_relay_kit.relay.deadline import Deadline
from deploy_relay_kit.relay.errors import AttemptError
from deploy_relay_kit.relay.link import Link
from deploy_relay_kit.relay.payload import StagedPayload, opened
from deploy_relay_kit.relay.peer import Peer, mint_failure
from deploy_relay_kit.relay.report import Report
from deploy_relay_kit.relay.states import BodyState, Exchange, Step
from deploy_relay_kit.relay.upload import _Sending
from tests.conformance import (
    test_answers,
    test_cancel,
    test_early,
    test_faults,
    test_floods,
    test_mint_answers,
    test_patience,
    test_sockets,
    test_streaming,
)
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_answers import change_limits
from tests.mutants.of_sending import change_members

SLOW = case(test_faults.test_a_slow_peer_is_not_given_up)
NO_END = test_answers.test_an_answer_without_an_end_is_given_up_in_time
CLOSED = test_streaming.test_the_payload_is_closed_wherever_an_attempt_ends
RETRIED = test_cancel.test_nothing_is_retried_after_a_deploy_was_cancelled
GIVEN_UP = test_cancel.test_a_cancelled_deploy_closes_its_connections_at_every_stage


# -- limits --------------------------------------------------------------------------------------


@mutant("HTTP-03", killed_by=SLOW)
def the_limit_of_a_stall_never_restarts(patch: pytest.MonkeyPatch) -> None:
    start_with_an_upload(patch, "stall")


@mutant("HTTP-03", killed_by=SLOW)
def the_limit_of_an_answer_begins_with_the_upload(patch: pytest.MonkeyPatch) -> None:
    start_with_an_upload(patch, "answer")


def start_with_an_upload(patch: pytest.MonkeyPatch, limit: str) -> None:
    """Start a limit when an upload begins, and never restart it."""
    advance = Exchange.advance

    def in_all(self: Exchange, step: Step) -> float | None:
        now = asyncio.get_running_loop().time()
        end = vars(self).setdefault("end", now + getattr(self.limits, limit))
        seconds = advance(self, step)
        return None if seconds is None else min(seconds, end - now)

    patch.setattr(Exchange, "advance", in_all)


def restart_with_each_block(patch: pytest.MonkeyPatch, of: Callable[[int], bool]) -> None:
    """Restart the limit of an answer with each block of those with such a status."""
    read = aiohttp.StreamReader.readany
    sendings: dict[aiohttp.StreamReader, _Sending] = {}

    async def again(self: aiohttp.StreamReader) -> bytes:
        block = await read(self)
        if sending := sendings.get(self):
            sending._deadline.start(sending._exchange.limits.answer)
        return block

    async def patient(members: Any, sending: _Sending, response: Any) -> Any:
        if of(response.status):
            sendings[response._response.content] = sending
        return await members(sending, response)

    patch.setattr(aiohttp.StreamReader, "readany", again)
    change_members(patch, patient)


alike(
    restart_with_each_block,
    "HTTP-03",
    killed_by=case(NO_END, fault=test_answers.Endless(chunk_size=1)),
    every_block_of_an_answer_restarts_its_limit=lambda status: status < 300,
    every_block_of_a_refusal_restarts_its_limit=lambda status: status >= 300,
)


@mutant(
    "HTTP-03",
    killed_by=case(test_faults.test_a_refusal_that_does_not_end_is_given_up_in_time),
)
def a_refusal_is_read_to_its_end(patch: pytest.MonkeyPatch) -> None:
    advance = Exchange.advance

    async def patient(members: Any, sending: _Sending, response: Any) -> Any:
        if response.status >= 300:
            sending._deadline.start(3_600)
            patch.setattr(Exchange, "advance", lambda self, step: advance(self, step) and None)
        return await members(sending, response)

    change_members(patch, patient)


@mutant(
    "HTTP-03",
    killed_by=case(test_faults.test_an_upload_that_does_not_connect_is_given_up_in_time),
)
def an_upload_has_no_limit_of_connecting(patch: pytest.MonkeyPatch) -> None:
    post = aiohttp.ClientSession.post

    def patient(*at: Any, **how: Any) -> Any:
        if not isinstance(how["data"], bytes):
            how["timeout"] = aiohttp.ClientTimeout(None)
        return post(*at, **how)

    patch.setattr(aiohttp.ClientSession, "post", patient)


@mutant(
    "HTTP-03",
    killed_by=case(test_patience.test_a_relay_with_its_own_limits_gives_up_peers_that_do_nothing),
)
def a_relay_without_limits_waits_for_ever(patch: pytest.MonkeyPatch) -> None:
    with_its_own_limits(patch, reference.Limits(connect=60))


def with_its_own_limits(patch: pytest.MonkeyPatch, limits: reference.Limits) -> None:
    """Let the reference take no time limits from the deploy command."""
    declared = ReferenceTarget.capabilities - {"limits"}
    patch.setattr(ReferenceTarget, "capabilities", declared)
    change_limits(patch, lambda _: limits)


# -- work that is not cancelled ------------------------------------------------------------------


@mutant(
    "HTTP-03",
    "KIT-08",
    killed_by=(
        case(test_cancel.test_an_upload_that_is_given_up_is_never_completed),
        case(test_cancel.test_the_connection_to_a_peer_that_is_given_up_is_closed),
    ),
    also={
        "AGG-04": "when the time is over, the nodes that were served have failed records, too",
        "KIT-01": "what goes on in the background is not cancelled",
        "RTY-02": "the time is over before the second attempt",
        "SEQ-06": "the reason is that of the race and not that of the mint",
    },
)
def a_late_deploy_goes_on_in_the_background(patch: pytest.MonkeyPatch) -> None:
    """The deploy loses a race against a timer, and goes on."""
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
    "SEQ-06",
    killed_by=case(test_mint_answers.test_a_mint_that_is_given_up_is_not_followed_by_an_upload),
    also={"KIT-08": "the mint goes on after the records"},
)
def a_late_mint_is_used(patch: pytest.MonkeyPatch) -> None:
    attempt, leave, token = fanout._attempt, Connections.__aexit__, Peer.token
    late: list[asyncio.Task[Any]] = []
    minted: dict[int, asyncio.Event] = {}

    async def noted(self: Peer) -> str:
        try:
            return await token(self)
        finally:
            minted[id(self)].set()

    async def raced(work: Any, peer: Peer) -> Any:
        minted[id(peer)] = asyncio.Event()
        going = asyncio.create_task(attempt(work, peer))
        late.append(going)
        try:
            await asyncio.wait_for(minted[id(peer)].wait(), 0.1)
        except TimeoutError:
            return mint_failure("no answer in time")
        except asyncio.CancelledError:
            going.cancel()
            raise
        return await going

    async def waiting(self: Connections, *error: object) -> None:
        await asyncio.wait(late)
        await leave(self, *error)

    change_limits(patch, lambda limits: replace(limits, mint=5.0))
    patch.setattr(Peer, "token", noted)
    patch.setattr(fanout, "_attempt", raced)
    patch.setattr(Connections, "__aexit__", waiting)


@mutant("KIT-01", killed_by=case(GIVEN_UP, fault=test_cancel.NO_ANSWER))
def a_cancelled_deploy_waits_for_its_answer(patch: pytest.MonkeyPatch) -> None:
    outcome = _Sending.outcome

    async def waiting(self: _Sending) -> dict[str, object]:
        going = asyncio.ensure_future(outcome(self))
        try:
            return await asyncio.shield(going)
        except asyncio.CancelledError:
            if not self._exchange.is_sent:
                going.cancel()
            with contextlib.suppress(AttemptError, TimeoutError):
                await asyncio.wait_for(going, timeout=5)
            raise

    patch.setattr(_Sending, "outcome", waiting)


@mutant("KIT-01", killed_by=case(RETRIED))
def a_cancelled_pause_starts_the_next_attempt(patch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(seconds)

    patch.setattr(fanout, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))


@mutant(
    "KIT-01",
    killed_by=case(RETRIED, first=test_cancel.NO_ANSWER),
    also={"RTY-01": "that is one attempt more than is allowed"},
)
def a_cancelled_attempt_is_made_again(patch: pytest.MonkeyPatch) -> None:
    attempt = fanout._attempt

    async def again(*what: Any) -> Any:
        try:
            return await attempt(*what)
        except asyncio.CancelledError:
            return await attempt(*what)

    patch.setattr(fanout, "_attempt", again)


# -- files that stay open ------------------------------------------------------------------------


@mutant(
    "EARLY-11",
    killed_by=(
        case(test_streaming.test_the_payload_is_closed_on_every_path),
        case(CLOSED, fault=mint_refused()),
    ),
)
def a_payload_is_opened_before_the_mint(patch: pytest.MonkeyPatch) -> None:
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
def a_payload_is_closed_only_at_its_end(patch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def to_its_end(staged: StagedPayload, most: int) -> Iterator[Iterator[bytes]]:
        def blocks() -> Iterator[bytes]:
            yield from map(bytes, read)
            os.close(descriptor)

        with opened(staged, most) as read:
            descriptor = os.open(staged.path, os.O_RDONLY)
            yield blocks()

    patch.setattr(upload, "opened", to_its_end)


# -- refusals during an upload ---------------------------------------------------------------------


@mutant("EARLY-08", killed_by=case(test_early.test_a_reset_after_a_refusal_does_not_hide_it))
def a_refusal_is_read_late(patch: pytest.MonkeyPatch) -> None:
    received, drain = ResponseHandler.data_received, ResponseHandler._drain_helper
    waiting: dict[ResponseHandler, bytes] = {}

    def later(self: ResponseHandler, data: bytes) -> None:
        if self in waiting:
            waiting[self] += data
        elif data.startswith(b"HTTP/1.1 403"):
            waiting[self] = data
            asyncio.get_running_loop().call_later(1.3, deliver, self)
        else:
            received(self, data)

    def deliver(self: ResponseHandler) -> None:
        data = waiting.pop(self)
        if self.transport is not None:
            received(self, data)

    async def drained(self: ResponseHandler) -> None:
        while self in waiting:  # noqa: ASYNC110 - it sends nothing meanwhile
            await asyncio.sleep(0.01)
        await drain(self)

    patch.setattr(connection, "_LENDING_LOOPS", ())
    patch.setattr(ResponseHandler, "data_received", later)
    patch.setattr(ResponseHandler, "_drain_helper", drained)


@mutant(
    "EARLY-02",
    killed_by=case(
        test_early.test_a_refusal_after_which_the_peer_closes_is_a_failed_record_at_once, at="head"
    ),
    also={"EARLY-04": "so is a peer that closes after a slow answer and reads no more"},
)
def a_peer_that_closes_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    async def patient(members: Any, sending: _Sending, response: Any) -> Any:
        if response.headers.get("Connection") == "close" and not sending._exchange.is_sent:
            sending._exchange.status = response.status
            sending._advance(Step.REFUSAL_HEAD)  # nothing more is sent
            await asyncio.sleep(60)
        return await members(sending, response)

    change_members(patch, patient)


@mutant(
    "KIT-10",
    killed_by=tuple(
        case(test_floods.test_an_answer_without_end_costs_its_own_record_alone, of=of)
        for of in ("comments", "interim answers")
    ),
)
def a_flood_is_read_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StreamedAnswer, "_check_limits", lambda _: None)
    patch.setattr(Link, "most", 1 << 60)
    advance = Exchange.advance

    def patient(self: Exchange, step: Step) -> float | None:
        seconds = advance(self, step)
        return seconds if self.body is BodyState.SENDING else None

    patch.setattr(Exchange, "advance", patient)


# -- what restarts a limit -----------------------------------------------------------------------

OF_A_MINT: ContextVar[Deadline] = ContextVar("the limit of the mint of a task")


@mutant(
    "HTTP-03",
    "KIT-08",  # the deploy hangs with its socket
    killed_by=case(test_sockets.test_a_socket_without_an_answer_is_given_up_in_time),
)
def each_message_restarts_the_limit_of_a_mint(patch: pytest.MonkeyPatch) -> None:
    response = replication.operation_response

    class Kept(Deadline):
        async def __aenter__(self) -> Self:
            OF_A_MINT.set(self)
            return await super().__aenter__()

    def restarting(frame: object) -> dict[str, object] | None:
        deadline = OF_A_MINT.get()
        deadline.start(deadline._seconds or 0)
        return response(frame)

    patch.setattr(peers, "Deadline", Kept)
    patch.setattr(replication, "operation_response", restarting)


@mutant(
    "KIT-10",
    "KIT-08",  # the deploy hangs with its upload
    killed_by=case(test_floods.test_an_answer_that_drips_is_given_up_in_time),
)
def each_comment_restarts_the_limit_of_an_answer(patch: pytest.MonkeyPatch) -> None:
    begin = _Sending.__post_init__

    def restarting(self: _Sending) -> None:
        begin(self)
        feed = self._stream.feed

        def fed(block: bytes) -> Any:
            self._deadline.start(self.peer.limits.answer)
            return feed(block)

        self._stream.feed = fed  # type: ignore[method-assign]  # of this stream alone

    patch.setattr(_Sending, "__post_init__", restarting)

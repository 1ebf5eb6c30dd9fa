"""Mutants whose limits begin again, or end, with what a peer sends, or are whole seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import pytest

from deploy_relay_kit.relay import fanout, peer
from deploy_relay_kit.relay.connection import Connections
from deploy_relay_kit.relay.deadline import Deadline
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.fanout import FanOut
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.link import Link, Reply
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Record, failed_record
from deploy_relay_kit.relay.states import AnswerState, BodyState, Exchange, Step
from deploy_relay_kit.relay.upload import _Sending
from tests.conformance import test_faults, test_floods
from tests.mutants.mutant import alike, case, mutant

DRIPS = case(test_floods.test_an_answer_that_drips_is_given_up_in_time)
EARLY = case(test_floods.test_an_early_answer_that_does_not_end_holds_no_upload)
HALF = case(test_floods.test_a_limit_of_half_a_second_holds)
CONNECTING = case(test_faults.test_a_peer_that_does_not_connect_is_given_up_in_time)
HOURS = 10_000.0
SENDING, SENT = BodyState.SENDING, BodyState.SENT
PLAIN, STREAM = AnswerState.PLAIN, AnswerState.STREAM
REFUSED = AnswerState.REFUSED


def end(patch: pytest.MonkeyPatch, when: Callable[[Exchange, Step], bool]) -> None:
    """End the limits of an exchange at some steps."""
    advance = Exchange.advance

    def changed(self: Exchange, step: Step) -> float | None:
        seconds = advance(self, step)
        return HOURS if when(self, step) else seconds

    patch.setattr(Exchange, "advance", changed)


alike(
    end,
    "HTTP-03",
    killed_by=EARLY,
    an_early_success_ends_the_limit_of_a_stall=lambda it, _: (
        (it.body, it.answer) == (SENDING, PLAIN)
    ),
    an_early_stream_ends_the_limit_of_a_stall=lambda it, _: (
        (it.body, it.answer) == (SENDING, STREAM)
    ),
)
alike(
    end,
    "KIT-10",
    killed_by=DRIPS,
    the_first_event_ends_the_limit=lambda it, step: step is Step.EVENT and it.body is SENT,
)


def restart(patch: pytest.MonkeyPatch, when: Callable[[_Sending, bytes], bool]) -> None:
    """Start the limit again with some blocks of an answer to an upload."""
    members, go_on = _Sending._members, Reply.__anext__
    sendings = dict[int, _Sending]()

    async def noted(self: _Sending, reply: Reply) -> Any:
        sendings[id(reply)] = self
        return await members(self, reply)

    async def restarting(self: Reply) -> bytes:
        block = await go_on(self)
        sending = sendings.get(id(self))
        if sending is not None and when(sending, block):
            seconds = sending._deadline._seconds
            sending._deadline.start(sending._exchange.limits.answer if seconds is None else seconds)
        return block

    patch.setattr(_Sending, "_members", noted)
    patch.setattr(Reply, "__anext__", restarting)


def state(sending: _Sending) -> tuple[BodyState, AnswerState]:
    return sending._exchange.body, sending._exchange.answer


alike(
    restart,
    "HTTP-03",
    killed_by=EARLY,
    an_early_answer_that_goes_on_is_no_stall=lambda it, _: state(it) == (SENDING, PLAIN),
    an_early_stream_that_goes_on_is_no_stall=lambda it, _: state(it) == (SENDING, STREAM),
    an_early_event_is_no_stall=lambda it, block: (
        state(it) == (SENDING, STREAM) and not block.startswith(b":")
    ),
    an_early_refusal_that_goes_on_is_no_stall=lambda it, _: state(it) == (SENDING, REFUSED),
)
alike(
    restart,
    "KIT-10",
    killed_by=DRIPS,
    a_line_of_a_stream_restarts_the_limit=lambda it, block: (
        state(it) == (SENT, STREAM) and bool(block.strip(b":\n"))
    ),
)


def listen(patch: pytest.MonkeyPatch, when: Callable[[bytes], bool]) -> None:
    """Start the limit again with some bytes before the head of an answer to an upload."""
    outcome, begin, receive = _Sending.outcome, Link.__init__, Link.data_received
    sendings, links = dict[Any, _Sending](), dict[Link, Any]()

    async def noted(self: _Sending) -> Any:
        sendings[task := asyncio.current_task()] = self
        try:
            return await outcome(self)
        finally:
            del sendings[task]

    def begun(self: Link, *how: Any) -> None:
        begin(self, *how)
        links[self] = asyncio.current_task()

    def received(self: Link, data: bytes) -> None:
        sending = sendings.get(links.get(self))
        if sending and sending._exchange.status is None and when(data):
            sending._deadline.start(sending._deadline._seconds or HOURS)
        receive(self, data)

    patch.setattr(_Sending, "outcome", noted)
    patch.setattr(Link, "__init__", begun)
    patch.setattr(Link, "data_received", received)


alike(
    listen,
    "KIT-10",
    killed_by=DRIPS,
    also={
        it: {"HTTP-03": "interim answers hold an upload that stalls, too"}
        for it in ("an_interim_answer_restarts_the_limit", "a_byte_of_a_head_restarts_the_limit")
    },
    an_interim_answer_restarts_the_limit=lambda data: data.startswith(b"HTTP/1.1 1"),
    a_byte_of_a_head_restarts_the_limit=lambda _: True,
)


@mutant("KIT-10", killed_by=DRIPS)
def the_head_of_a_refused_mint_ends_its_limit(patch: pytest.MonkeyPatch) -> None:
    read = Peer.read
    running = dict[Any, Deadline]()

    class Noted(Deadline):
        async def __aenter__(self) -> Self:
            running[asyncio.current_task()] = self
            await super().__aenter__()
            return self

    async def patient(self: Peer, reply: Reply) -> Any:
        limit = running.pop(asyncio.current_task(), None)
        if limit is not None and reply.status >= 300:
            limit.start(HOURS)
        return await read(self, reply)

    patch.setattr(peer, "Deadline", Noted)
    patch.setattr(Peer, "read", patient)


# -- whole seconds, and the end of all -------------------------------------------------------------


def round_down(patch: pytest.MonkeyPatch, name: str) -> None:
    """Take a limit as whole seconds, of which 0 mean none."""
    begin = Connections.__init__

    def rounded(self: Connections, limits: Limits, *rest: Any) -> None:
        changed: Any = {name: float(int(getattr(limits, name))) or HOURS}
        begin(self, replace(limits, **changed), *rest)

    patch.setattr(Connections, "__init__", rounded)


alike(
    round_down,
    "HTTP-03",
    killed_by=HALF,
    the_limit_of_connecting_is_whole_seconds="connect",
    the_limit_of_a_mint_is_whole_seconds="mint",
    the_limit_of_an_answer_is_whole_seconds="answer",
)
alike(
    round_down,
    "HTTP-03",
    killed_by=EARLY,
    the_limit_of_a_stall_is_whole_seconds="stall",
)


@mutant("RES-10", killed_by=HALF)
def a_peer_that_is_late_has_the_status_504(patch: pytest.MonkeyPatch) -> None:
    def failed(node: str, failures: Any) -> Record:
        record = failed_record(node, failures)
        is_late = "no answer in" in failures[-1].reason
        return {**record, "statusCode": 504} if is_late else record

    patch.setattr(fanout, "failed_record", failed)


@mutant("AGG-04", killed_by=CONNECTING)
def a_peer_that_is_late_ends_all(patch: pytest.MonkeyPatch) -> None:
    settle = FanOut._settle
    running = dict[Any, asyncio.Task[Any]]()

    async def ended(self: FanOut, name: str, *how: Any) -> Record:
        task = running[name] = asyncio.ensure_future(settle(self, name, *how))
        try:
            record: Record = await task
        except asyncio.CancelledError:
            if (own := asyncio.current_task()) and own.cancelling():
                raise
            return failed_record(name, [PeerError("upload", "the deploy took too long")])
        if "no connection in" in record.get("reason", ""):
            for other in running.values():
                other.cancel()
        return record

    patch.setattr(FanOut, "_settle", ended)

"""Mutants that go on for a while after their deploy was cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from deploy_relay_kit.harness.peer.triggers import has_upload
from deploy_relay_kit.relay.answer import is_event_stream
from deploy_relay_kit.relay.connection import Connections
from deploy_relay_kit.relay.errors import AttemptError
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.states import AnswerState
from deploy_relay_kit.relay.upload import _Sending
from tests.conformance import test_cancel
from tests.mutants.moments import Moment, count_attempts
from tests.mutants.mutant import alike, case, mutant

AMID = test_cancel.test_a_deploy_that_is_cancelled_amid_an_answer_closes_its_connections
HALF = test_cancel.HALF_ANSWERS
SECONDS = 5


async def finished(work: Awaitable[Any]) -> Any:
    """The result of the work, which ends for a cancelled deploy, too, or is given up late."""
    going = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(going)
    except asyncio.CancelledError:
        with contextlib.suppress(AttemptError, TimeoutError):
            await asyncio.wait_for(going, SECONDS)
        raise


@mutant(
    "KIT-01",
    killed_by=(
        case(AMID, fault=HALF["half-a-mint"]),
        case(AMID, fault=HALF["half-an-answer"]),
        case(AMID, fault=HALF["half-a-refusal"]),
    ),
)
def an_answer_is_read_to_its_end_after_the_deploy_was_cancelled(patch: pytest.MonkeyPatch) -> None:
    read: Callable[..., Any] = Peer.read
    patch.setattr(Peer, "read", lambda self, reply: finished(read(self, reply)))


@mutant("KIT-01", killed_by=case(AMID, fault=HALF["half-a-stream"]))
def a_stream_is_read_to_its_end_after_the_deploy_was_cancelled(patch: pytest.MonkeyPatch) -> None:
    members: Callable[..., Any] = _Sending._members

    def changed(self: _Sending, reply: Any) -> Any:
        is_stream = is_event_stream(reply.status, reply.headers.get("Content-Type", ""))
        return (finished if is_stream else asyncio.ensure_future)(members(self, reply))

    patch.setattr(_Sending, "_members", changed)


@mutant(
    "KIT-01",
    "KIT-08",
    killed_by=case(
        test_cancel.test_a_cancelled_deploy_does_not_wait_for_a_peer_that_stopped_reading
    ),
)
def a_cancelled_deploy_waits_until_its_peers_have_taken_what_they_got(
    patch: pytest.MonkeyPatch,
) -> None:
    leave = Connections.__aexit__

    def is_blocked(self: Connections) -> bool:
        descriptors = [it.fileno() for it in self._opened if it.fileno() >= 0]
        return len(select.select([], descriptors, [], 0)[1]) < len(descriptors)

    async def patient(self: Connections, kind: Any = None, *error: object) -> None:
        try:
            for _ in range(100 * SECONDS if kind else 0):
                if not is_blocked(self):
                    break
                await asyncio.sleep(0.01)
        finally:  # the one who waits for the end may lose patience
            await leave(self, kind, *error)

    patch.setattr(Connections, "__aexit__", patient)


# -- a moment longer -----------------------------------------------------------------------------


STAGES = test_cancel.test_a_cancelled_deploy_closes_its_connections_at_every_stage
A_LITTLE = 3  # seconds


def linger_when(patch: pytest.MonkeyPatch, when: Callable[[_Sending, Moment], bool]) -> None:
    """Give an upload some seconds more when its deploy is cancelled."""
    outcome, moment = _Sending.outcome, count_attempts(patch)

    async def changed(self: _Sending) -> dict[str, object]:
        going = asyncio.ensure_future(outcome(self))
        now = moment(self.peer, "upload")
        try:
            return await asyncio.shield(going)
        except asyncio.CancelledError:
            if when(self, now):
                await asyncio.wait([going], timeout=A_LITTLE)
            going.cancel()
            raise

    patch.setattr(_Sending, "outcome", changed)


alike(
    linger_when,
    "KIT-01",
    killed_by=case(STAGES, is_far_enough=test_cancel.has_second_upload),
    a_second_attempt_goes_on_for_a_while=lambda _, it: it.is_again,
)
alike(
    linger_when,
    "KIT-01",
    killed_by=case(STAGES, is_far_enough=has_upload),
    an_upload_that_was_sent_goes_on_for_a_while=lambda it, _: it._exchange.is_sent,
)
alike(
    linger_when,
    "KIT-01",
    killed_by=case(AMID, fault=HALF["half-a-stream"]),
    a_stream_that_has_begun_goes_on_for_a_while=lambda it, _: (
        it._exchange.answer is AnswerState.STREAM
    ),
)
alike(
    linger_when,
    "KIT-01",
    killed_by=case(AMID, fault=HALF["half-a-refusal"]),
    a_refusal_that_has_begun_goes_on_for_a_while=lambda it, _: (
        it._exchange.answer is AnswerState.REFUSED
    ),
)

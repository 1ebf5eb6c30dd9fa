"""The states of an upload and of its answer: every pair, every step and every way to end."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import pytest

from deploy_relay_kit.relay.errors import AttemptError, OriginError, PeerError, SpoiledUploadError
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.states import RULES, AnswerState, BodyState, Exchange, Step

STALL, ANSWER, CLOSE, NOW = 1.0, 2.0, 5.0, 0.0
LIMITS = Limits(stall=STALL, answer=ANSWER)

Failure = tuple[str, str, int | None, bool] | None  # stage, reason, status code, uncertain

STALLED = ("upload", "the peer took no data for 1 s", None, False)
NO_ANSWER = ("answer", "no answer in 2 s", None, True)
EARLY = ("answer", "success before the upload finished", None, True)
ENDLESS = ("answer", "HTTP 507, but its answer did not end in time", 507, False)
LOST_SENDING = ("answer", "cut short", None, False)
LOST_SENT = ("answer", "cut short", None, True)
LOST_REFUSAL = ("answer", "HTTP 507, but cut short", 507, False)
READ_ERROR = ("payload", "ended early", None, False)
SUCCESS = None

SENDING, SENT, BROKEN = BodyState
NONE, PLAIN, STREAM, DONE, REFUSED = AnswerState

HEADS = {
    NONE: (),
    PLAIN: (Step.HEAD,),
    STREAM: (Step.STREAM_HEAD,),
    DONE: (Step.STREAM_HEAD, Step.DONE),
    REFUSED: (Step.REFUSAL_HEAD,),
}


class Pair(NamedTuple):
    """What is expected in a pair of states."""

    body: BodyState
    answer: AnswerState
    limit: float
    restarted_by: set[Step]
    late: Failure
    lost: Failure
    complete: Failure


PART, EVENT, REFUSAL = {Step.PART}, {Step.EVENT}, {Step.REFUSAL_HEAD}
NOTHING = set[Step]()
PAIRS = [
    Pair(SENDING, NONE, STALL, PART, STALLED, LOST_SENDING, EARLY),
    Pair(SENDING, PLAIN, STALL, PART, STALLED, LOST_SENDING, EARLY),
    Pair(SENDING, STREAM, STALL, PART, STALLED, LOST_SENDING, EARLY),
    Pair(SENDING, DONE, NOW, NOTHING, EARLY, EARLY, EARLY),
    Pair(SENDING, REFUSED, STALL, REFUSAL, ENDLESS, LOST_REFUSAL, EARLY),
    Pair(SENT, NONE, ANSWER, NOTHING, NO_ANSWER, LOST_SENT, SUCCESS),
    Pair(SENT, PLAIN, ANSWER, NOTHING, NO_ANSWER, LOST_SENT, SUCCESS),
    Pair(SENT, STREAM, ANSWER, EVENT, NO_ANSWER, LOST_SENT, SUCCESS),
    Pair(SENT, DONE, CLOSE, NOTHING, SUCCESS, SUCCESS, SUCCESS),
    Pair(SENT, REFUSED, ANSWER, REFUSAL, ENDLESS, LOST_REFUSAL, SUCCESS),
    *(Pair(BROKEN, answer, NOW, NOTHING, READ_ERROR, READ_ERROR, EARLY) for answer in AnswerState),
]
ALL_PAIRS = pytest.mark.parametrize(
    "pair", PAIRS, ids=lambda it: f"{it.body.name}-{it.answer.name}"
)


def reached(pair: Pair, *, answer_first: bool = True) -> tuple[Exchange, list[float | None]]:
    """An exchange in this pair of states, and what each step to it returned."""
    exchange = Exchange(LIMITS, status=507, read_error=OriginError("payload", "ended early"))
    ends = {SENDING: (), SENT: (Step.LAST_PART,), BROKEN: (Step.READ_ERROR,)}
    parts = HEADS[pair.answer], ends[pair.body]
    first, second = parts if answer_first else reversed(parts)
    started = [exchange.advance(step) for step in (Step.PART, *first, *second)]
    assert (exchange.body, exchange.answer) == (pair.body, pair.answer)
    return exchange, started


def shown(failure: AttemptError | None) -> Failure:
    if failure is None:
        return None
    return failure.stage, failure.reason, failure.status_code, failure.uncertain


def test_every_pair_has_a_rule_and_a_test() -> None:
    pairs = [(pair.body, pair.answer) for pair in PAIRS]
    assert set(pairs) == set(RULES) == set(product(BodyState, AnswerState))
    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("answer_first", [True, False])
@ALL_PAIRS
def test_the_limit_that_runs(pair: Pair, *, answer_first: bool) -> None:
    _, started = reached(pair, answer_first=answer_first)
    assert [seconds for seconds in started if seconds is not None][-1] == pair.limit


@ALL_PAIRS
def test_only_these_steps_start_the_limit_again(pair: Pair) -> None:
    exchange, _ = reached(pair)
    staying = {*PART, *EVENT} | ({Step.DONE} if pair.answer is DONE else set())
    staying |= REFUSAL if pair.answer is REFUSED else set()
    restarts = {step for step in staying if exchange.advance(step) is not None}
    assert restarts == pair.restarted_by
    assert (exchange.body, exchange.answer) == (pair.body, pair.answer)


@pytest.mark.parametrize(("stall", "early"), [(60.0, 5.0), (1.0, 1.0)])
@pytest.mark.parametrize("answer", [STREAM, PLAIN, NONE])
def test_an_upload_that_stands_still_after_an_early_beginning_of_events(
    answer: AnswerState, stall: float, early: float
) -> None:
    """Only if the relay asked for events: then another attempt does without them."""
    exchange = Exchange(Limits(stall=stall), asks_for_events=True, answer=answer)
    is_early = answer is STREAM
    assert exchange.advance(Step.PART) == (early if is_early else stall)
    failure = exchange.failure(TimeoutError())
    assert isinstance(failure, SpoiledUploadError) is is_early
    reason = f"the upload stood still for {early:g} s after its answer began"
    expected = reason if is_early else f"the peer took no data for {stall:g} s"
    assert shown(failure) == ("upload", expected, None, False)


@ALL_PAIRS
def test_the_meaning_of_a_limit_that_is_reached(pair: Pair) -> None:
    exchange, _ = reached(pair)
    assert shown(exchange.failure(TimeoutError())) == pair.late


@ALL_PAIRS
def test_the_meaning_of_a_lost_connection(pair: Pair) -> None:
    exchange, _ = reached(pair)
    assert shown(exchange.failure(PeerError("answer", "cut short", uncertain=True))) == pair.lost


@ALL_PAIRS
def test_the_meaning_of_a_complete_answer(pair: Pair) -> None:
    exchange, _ = reached(pair)
    assert shown(exchange.failure(None)) == pair.complete


@pytest.mark.parametrize("body", [SENDING, SENT])
@pytest.mark.parametrize("answer", [STREAM, DONE])
def test_an_error_event_is_the_failure_also_after_done(
    body: BodyState, answer: AnswerState
) -> None:
    [pair] = (pair for pair in PAIRS if (pair.body, pair.answer) == (body, answer))
    error = PeerError("answer", "npm failed", status_code=504, in_stream=True)
    assert shown(reached(pair)[0].failure(error)) == ("answer", "npm failed", 504, False)


@pytest.mark.parametrize(("status", "uncertain"), [(500, False), (502, True), (503, False)])
@pytest.mark.parametrize("body", [SENDING, SENT])
def test_a_refusal_keeps_its_text_and_a_gateway_leaves_the_node_uncertain(
    body: BodyState, status: int, *, uncertain: bool
) -> None:
    exchange = Exchange(LIMITS, body=body, answer=REFUSED, status=status)
    refusal = PeerError("answer", "no space", status_code=status)
    expected = ("answer", "no space", status, uncertain and body is SENT)
    assert shown(exchange.failure(refusal)) == expected


def test_no_limit_runs_before_the_connection_takes_a_part() -> None:
    exchange = Exchange(LIMITS)
    assert exchange.advance(Step.HEAD) is None
    assert exchange.advance(Step.PART) == STALL

"""Which failures are tried again, when, and how the record shows it."""

from __future__ import annotations

import math
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.broken_answers import UnfinishedChunks
from deploy_relay_kit.harness.faults.events import EventStream
from deploy_relay_kit.harness.faults.kinds import (
    AnswerEarly,
    CloseWithoutAnswer,
    MintAnswer,
    ResetAfter,
    TokensExpire,
    in_turn,
)
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.retry import seconds_until
from tests.relay.driving import SOON, deploy, node_of

LOST = PeerError("upload", "lost", retryable=True)
REFUSED = PeerError("answer", "no", status_code=400)
EXPIRED = PeerError("answer", "token expired", status_code=401)
BUSY = PeerError("answer", "busy", status_code=503, retryable=True, retry_after=7.0)
BUSY_LONG = PeerError("answer", "busy", status_code=503, retryable=True, retry_after=1e9)
RETRY = relay.Retry(attempts=4, first_delay=1, longest_delay=10)


@pytest.mark.parametrize(
    ("failures", "random", "delay"),
    [
        ([LOST], 1.0, 1.0),
        ([LOST], 0.0, 0.5),
        ([LOST] * 2, 1.0, 2.0),
        ([LOST] * 3, 1.0, 4.0),
        ([LOST] * 4, 1.0, None),
        ([REFUSED], 1.0, None),
        ([LOST, REFUSED], 1.0, None),
        ([BUSY], 1.0, 7.0),
        ([BUSY_LONG], 1.0, None),
        ([BUSY_LONG, BUSY], 1.0, 7.0),
        ([EXPIRED], 1.0, 0.0),
        ([EXPIRED, EXPIRED], 1.0, None),
        ([EXPIRED, LOST, EXPIRED], 1.0, None),
        ([LOST, EXPIRED], 1.0, 0.0),
    ],
)
def test_when_the_next_attempt_comes(
    failures: list[PeerError], random: float, delay: float | None
) -> None:
    assert RETRY.delay(failures, lambda: random) == delay
    assert relay.Retry(attempts=1).delay(failures, lambda: random) is None


@given(st.integers(1, 5_000), st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 1e6))
def test_no_wait_is_longer_than_the_longest(
    made: int, random: float, first: float, longest: float
) -> None:
    retry = relay.Retry(10_000, first, longest)
    delay = retry.delay([LOST] * made, lambda: random)
    assert delay is not None
    assert 0 <= delay <= longest


@pytest.mark.parametrize(
    "how",
    [
        *({"attempts": attempts} for attempts in (0, 2.5, math.nan, "3", True)),
        *({"first_delay": delay} for delay in (-1, math.nan, "1", True)),
        {"longest_delay": math.inf},
    ],
)
def test_an_invalid_retry_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(relay.InputError):
        relay.Retry(**how)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        ("9" * 5_000, math.inf),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2026 12:00:30", None),
        ("Mon Nov 23 12:00:30 2026", 30.0),
        ("23 Nov 2026 13:00:30 +0100", 30.0),
        ("Monday, 23-Nov-26 12:00:30 GMT", 30.0),
        ("soon", None),
        ("Mon, 23 Nov 2026 12:00:30 +9999", None),
        (f"Mon, 23 Nov 2026 12:00:30 +{'9' * 30}", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("٣", None),
    ],
    ids=lambda value: str(value)[:12],
)
def test_both_forms_of_retry_after(header: str | None, seconds: float | None) -> None:
    assert seconds_until(header, datetime(2026, 11, 23, 12, tzinfo=UTC)) == seconds


# -- whole deploys -------------------------------------------------------------------------------

BUSY_ANSWER = Answer.error(503, "busy", headers=(("Retry-After", "0"),))


@pytest.mark.parametrize(
    ("fault", "uncertain"),
    [
        (ResetAfter(100_000), False),
        (CloseWithoutAnswer(), True),
        (BUSY_ANSWER, False),
        (Answer.error(502, "bad"), True),  # the gateway gave up, not the peer
        (Answer.error(504, "late"), True),
        (AnswerEarly(BUSY_ANSWER, then="stop"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_another_attempt_sends_everything_again(
    cluster: FakeCluster, package: Path, fault: Any, *, uncertain: bool
) -> None:
    os.truncate(package, 16_000_000)  # more than the system takes at once
    peer = cluster.peer(fault=in_turn(fault, None))
    events: list[relay.Event] = []
    [record] = deploy(cluster, package, retry=SOON, on_event=events.append).records
    assert (record["status"], record["attempts"]) == ("success", 2)
    assert "uncertain" not in record
    [waited] = [event.data for event in events if event.name == "retry"]
    assert waited["uncertain"] is uncertain  # until the next attempt succeeds
    first, second = peer.uploads
    assert second.findings == []
    assert second.file.length == package.stat().st_size
    assert first.token != second.token
    assert first.header("content-type") != second.header("content-type")


@pytest.mark.parametrize(
    "fault",
    [
        Answer.error(400, "bad"),
        Answer.error(401, "invalid token"),
        Answer.error(429, "slowly"),
        Answer.error(500, "boom"),
        Answer.redirect("https://localhost/"),
        UnfinishedChunks(Answer(200, json={})),
        UnfinishedChunks(Answer(200, json={}), end="reset"),
        AnswerEarly(UnfinishedChunks(Answer(200, json={}), end="reset")),
        AnswerEarly(EventStream((), truncated=True, after_upload=False)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_answer_that_began_is_final(cluster: FakeCluster, package: Path, fault: Any) -> None:
    os.truncate(package, 16_000_000)
    peer = cluster.peer(fault=in_turn(fault, None))
    [record] = deploy(cluster, package, retry=SOON).records
    assert record["status"] == "failed"
    assert "attempts" not in record
    assert len(peer.uploads) == 1


def test_nothing_is_tried_again_by_default(cluster: FakeCluster, package: Path) -> None:
    peer = cluster.peer(fault=in_turn(BUSY_ANSWER, None))
    [record] = deploy(cluster, package).records
    assert record["statusCode"] == 503
    assert len(peer.uploads) == 1


def test_attempts_are_limited_and_an_uncertain_node_stays_uncertain(
    cluster: FakeCluster, package: Path
) -> None:
    peer = cluster.peer(fault=in_turn(CloseWithoutAnswer(), BUSY_ANSWER))
    [record] = deploy(cluster, package, retry=SOON).records
    assert (record["attempts"], record["statusCode"]) == (3, 503)
    assert record["uncertain"] is True
    assert len(peer.uploads) == 3


def test_an_expired_token_is_replaced_once(cluster: FakeCluster, package: Path) -> None:
    once, twice = cluster.peer(fault=TokensExpire(1)), cluster.peer(fault=TokensExpire(2))
    good, bad = deploy(cluster, package, retry=SOON).records
    assert (good["status"], good["attempts"]) == ("success", 2)
    assert (bad["reason"], bad["statusCode"]) == ("token expired", 401)
    assert (len(once.mints), len(twice.mints)) == (2, 2)


def test_a_mint_is_tried_again_too(cluster: FakeCluster, package: Path) -> None:
    peer = cluster.peer(fault=MintAnswer(BUSY_ANSWER))
    [record] = deploy(cluster, package, retry=SOON).records
    assert (record["stage"], record["attempts"]) == ("mint", 3)
    assert len(peer.mints) == 3


def test_a_refused_connection_is_tried_again(cluster: FakeCluster, package: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"https://127.0.0.1:{free.getsockname()[1]}/"
    node = relay.Node("gone", url, mint=relay.GivenToken("t"))
    [record] = deploy(cluster, package, [node], retry=SOON).records
    assert (record["stage"], record["attempts"]) == ("connect", 3)


def test_a_node_that_waits_does_not_delay_the_others(cluster: FakeCluster, package: Path) -> None:
    busy = Answer.error(503, "busy", headers=(("Retry-After", "1"),))
    cluster.peer("slow", fault=in_turn(busy, None))
    cluster.peer("quick")
    events: list[relay.Event] = []
    deploy(cluster, package, retry=relay.Retry(), on_event=events.append)
    assert [event.node for event in events if event.name == "settled"] == ["quick", "slow"]


def test_a_node_that_waits_for_its_next_attempt_frees_its_place(
    cluster: FakeCluster, package: Path
) -> None:
    busy, healthy = cluster.peer(fault=in_turn(Answer(503), None)), cluster.peer()
    events: list[str] = []
    deploy(
        cluster,
        package,
        limits=relay.Limits(concurrency=1),
        retry=relay.Retry(2, first_delay=0.5),
        on_event=lambda event: events.append(f"{event.node} {event.name}"),
    )
    assert events.index(f"{healthy.name} settled") < events.index(f"{busy.name} settled")


def test_with_a_limit_nodes_take_turns(cluster: FakeCluster, package: Path) -> None:
    for _ in range(4):
        cluster.peer()
    under_way, most = set[str](), 0

    def watch(event: relay.Event) -> None:
        nonlocal most
        if event.name == "mint":
            under_way.add(event.node)
        if event.name == "settled":
            under_way.discard(event.node)
        most = max(most, len(under_way))

    limits = relay.Limits(concurrency=2)
    assert deploy(cluster, package, limits=limits, on_event=watch).succeeded
    assert most == 2


def test_the_origin_is_left_out(cluster: FakeCluster, package: Path) -> None:
    peers = [cluster.peer("me"), cluster.peer("other")]
    report = deploy(cluster, package, [node_of(peer) for peer in peers], origin="me")
    assert [record["node"] for record in report.records] == ["other"]
    assert peers[0].connections == []

"""Rates: how many bytes of the payload are sent in a second."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_relay_kit import relay
from deploy_relay_kit.harness import FakeCluster
from deploy_relay_kit.relay.command.limits import rates_in
from deploy_relay_kit.relay.rate import Rate
from tests.relay.driving import DEPLOY, deploy, node_of
from tests.relay.rawpeers import raw_node, taking


@given(
    st.integers(1, 10**10),
    st.lists(st.tuples(st.integers(1, 1 << 20), st.floats(0, 5)), min_size=1, max_size=50),
)
def test_no_bytes_are_sent_sooner_than_the_rate_allows(
    bytes_per_second: int, blocks: list[tuple[int, float]]
) -> None:
    rate, now, sent = Rate(bytes_per_second), 100.0, 0
    for count, late in blocks:
        now = max(now, rate.take(count, now)) + late
        sent += count
        assert now - 100 >= sent / bytes_per_second * (1 - 1e-9) - 1e-9


@pytest.mark.parametrize("late", [0.0, 0.001, 0.02])
def test_late_timers_do_not_slow_it_down(late: float) -> None:
    rate, now, size = Rate(50e6), 100.0, 0
    while size < 500_000_000:
        count = rate.block(500_000)
        allowed = rate.take(count, now)
        now = allowed + late if allowed > now else now
        size += count
    assert now - 100 == pytest.approx(10, rel=0.05)


def test_a_pause_is_not_made_up_for() -> None:
    rate = Rate(1_000)
    rate.take(1_000, 0.0)
    assert rate.take(1_000, 60.0) > 60.8


def seconds_of(
    cluster: FakeCluster, package: Path, *rates: float | None, whole: float | None
) -> float:
    begin = time.monotonic()
    nodes = [node_of(peer, rate=rate) for peer, rate in zip(cluster.peers, rates, strict=True)]
    report = deploy(cluster, package, nodes, limits=relay.Limits(rate=whole))
    assert report.succeeded
    for peer in cluster.peers:
        peer.upload.check({"project": "demo"}, package)
    return time.monotonic() - begin


def test_a_rate_of_one_node(cluster: FakeCluster, package: Path) -> None:
    cluster.peer()
    cluster.peer()
    size = package.stat().st_size
    assert seconds_of(cluster, package, size / 0.5, None, whole=None) >= 0.5


def test_nodes_share_the_rate_of_the_deploy(cluster: FakeCluster, package: Path) -> None:
    for _ in range(3):
        cluster.peer()
    size = package.stat().st_size
    assert seconds_of(cluster, package, None, None, None, whole=size / 0.2) >= 3 * 0.2


def test_waiting_for_the_rate_is_no_stall(tmp_path: Path) -> None:
    record = limited_record(tmp_path, b"ab", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    assert record["status"] == "success"


def limited_record(
    directory: Path, content: bytes, answer: bytes, *, early: bool = False
) -> relay.Record:
    """A deploy at one byte per second, with a limit of half a second for stalls."""
    payload = directory / "payload"
    payload.write_bytes(content)

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bytes) -> None:
        writer.write(answer)
        await writer.drain()

    async def run() -> relay.Record:
        async with raw_node(refuse if early else taking(answer)) as node:
            limits = relay.Limits(rate=1, stall=0.5)
            return (await relay.deploy([node], DEPLOY, payload, limits=limits)).records[0]

    return asyncio.run(run())


def test_a_refusal_ends_the_wait(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n{}"
    record = limited_record(tmp_path, bytes(1_000_000), answer, early=True)
    assert record["statusCode"] == 403


@pytest.mark.parametrize("rate", [0, -1, True, float("inf"), float("nan"), "50M"])
def test_a_wrong_rate_is_refused(rate: float) -> None:
    with pytest.raises(relay.InputError, match="'rate' must be a number above 0"):
        relay.Limits(rate=rate)
    with pytest.raises(relay.InputError, match="rate of node 'n' must be a number above 0"):
        relay.Node("n", "https://127.0.0.1/", rate=rate)


def test_rates_of_the_command() -> None:
    found = rates_in(["50M", "eu=1.5k", "us=7"], ["eu", "us"])
    assert found == {None: 50e6, "eu": 1_500, "us": 7}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["fast"], "a RATE is a number of bytes"),
        (["0"], "above 0"),
        (["-5M"], "above 0"),
        (["eu="], "above 0"),
        (["50MB"], "such as 500K"),
        (["1e6"], "such as 500K"),
        (["eux=5M"], "unknown node; did you mean eu"),
        (["xyz=5M"], "unknown node; known are eu, us"),
        (["1M", "2M"], "twice for the whole deploy"),
        (["eu=1M", "eu=2M"], "twice for node 'eu'"),
    ],
)
def test_wrong_rates_of_the_command_are_named(texts: list[str], words: str) -> None:
    with pytest.raises(relay.InputError, match=words):
        rates_in(texts, ["eu", "us"])

"""Restarting nodes."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from dataclasses import replace
from typing import Any

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.kinds import Refuse, mint_refused
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.relay import restarts
from tests.relay.driving import against, node_of
from tests.relay.rawpeers import listening


@pytest.fixture(autouse=True)
def _poll_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "_POLL_SECONDS", 0.001)


def restart(cluster: FakeCluster, **how: Any) -> relay.Report:
    nodes = [node_of(peer) for peer in cluster.peers]
    tls = relay.Tls(ca_file=cluster.ca_file)
    return asyncio.run(relay.restart(nodes, tls=tls, **how))


def times_of(peer: FakePeer) -> tuple[float, float]:
    """When the first request of a peer arrived, and when its last answer ended."""
    moments = [request.times["answer"] for request in peer.requests]
    return min(moments), max(moments)


@pytest.mark.parametrize("rolling", [True, False])
def test_every_node_is_restarted(cluster: FakeCluster, *, rolling: bool) -> None:
    peers = [cluster.peer() for _ in range(3)]
    events: list[relay.Event] = []
    report = restart(cluster, rolling=rolling, on_event=events.append)
    assert report.succeeded
    assert [record["message"] for record in report.records] == ["Restarting http"] * 3
    assert [len(peer.profile.jobs.begun) for peer in peers] == [1, 1, 1]
    assert sorted(event.name for event in events) == ["restarted"] * 3 + ["restarting"] * 3
    if rolling:
        times = [times_of(peer) for peer in peers]
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(times))


def test_a_failed_job_ends_a_rolling_restart_but_an_unreachable_node_does_not(
    cluster: FakeCluster,
) -> None:
    cluster.peer("gone", fault=Refuse())
    cluster.peer("stranger", fault=mint_refused())
    cluster.peer("good")
    bad = cluster.peer("bad")
    bad.profile.jobs.outcome, bad.profile.jobs.message = "ERROR", "no memory"
    after = cluster.peer("after")
    report = restart(cluster, rolling=True)
    assert [record["status"] for record in report.records] == ["failed"] * 2 + ["success"] + [
        "failed"
    ] * 2
    assert report.records[3]["reason"] == "no memory"
    assert "restart of bad failed" in str(report.records[4]["reason"])
    assert after.connections == []


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"message": "no memory"}, "no memory"),
        ({"code": 7}, '{"code":7}'),
        ("", "the restart failed"),
        (" \n", "the restart failed"),
        (None, "the restart failed"),
    ],
)
def test_why_a_job_failed_is_readable(cluster: FakeCluster, message: Any, reason: str) -> None:
    jobs = cluster.peer().profile.jobs
    jobs.outcome, jobs.message = "ERROR", message
    assert restart(cluster).records[0]["reason"] == reason


@pytest.mark.parametrize(
    ("polls", "record"),
    [
        ([502, 503, 504, 200], {"node": "n", "status": "success", "job_id": 7}),
        ([503, 400], {"statusCode": 400}),
        ([404], {"statusCode": 404, "uncertain": True}),
        ([401, 503, 200], {"node": "n", "status": "success", "job_id": 7}),
        ([401, 503, 401], {"statusCode": 401}),
    ],
)
def test_polls_that_a_proxy_refuses_are_repeated(
    polls: list[int], record: dict[str, object]
) -> None:
    left = iter(polls)

    def answer(operation: str) -> tuple[int, bytes]:
        if operation == "restart_service":
            return 200, b'{"job_id":7}'
        return next(left), b'[{"status":"COMPLETE"}]'

    async def work(node: relay.Node) -> relay.Report:
        return await relay.restart([node])

    found = asyncio.run(against(answer, work, relay.GivenToken("a-token")))
    assert record.items() <= found.items()
    assert "hint" not in found  # it is no question of the URL
    assert next(left, None) is None


def test_at_once_a_failed_job_costs_one_record(cluster: FakeCluster) -> None:
    for name in ("a", "bad", "c"):
        cluster.peer(name).profile.jobs.outcome = "ERROR" if name == "bad" else "COMPLETE"
    statuses = [record["status"] for record in restart(cluster).records]
    assert statuses == ["success", "failed", "success"]


def test_a_job_without_an_end_stops_a_rolling_restart(cluster: FakeCluster) -> None:
    """The first node may still be away, so the second must stay."""
    cluster.peer().profile.jobs.polls = 1_000_000
    second = cluster.peer()
    report = restart(cluster, rolling=True, limits=relay.Limits(restart=0.2))
    assert [record["stage"] for record in report.records] == ["answer", "resolve"]
    assert second.profile.jobs.begun == []


@pytest.mark.parametrize(("status", "goes_on"), [(502, False), (503, True), (504, False)])
def test_a_gateway_may_have_passed_the_request_on(*, status: int, goes_on: bool) -> None:
    left = iter([(status, b""), (200, b"{}")])

    async def work(node: relay.Node) -> relay.Report:
        return await relay.restart([node, replace(node, name="b")], rolling=True)

    def answer(_: str) -> tuple[int, bytes]:
        return next(left)

    asyncio.run(against(answer, work, relay.GivenToken("a-token")))
    assert (next(left, None) is None) is goes_on


@pytest.mark.parametrize("when", ["lost", "refused"])
def test_a_node_that_may_be_restarting_stops_a_rolling_restart(when: str) -> None:
    """Its answer to the request is lost, or its job cannot be polled."""
    asked: list[str] = []

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        asked.append(json.loads(await reader.readexactly(length))["operation"])
        status, body = (200, b'{"job_id":7}') if len(asked) == 1 else (500, b"")
        if when == "refused":
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
            writer.write(body)

    async def run() -> list[relay.Record]:
        async with listening(peer) as address:
            url = f"http://{address}/"
            nodes = [relay.Node(name, url, mint=relay.GivenToken("a-token")) for name in "ab"]
            return (await relay.restart(nodes, rolling=True)).records

    first, second = asyncio.run(run())
    assert first["uncertain"] is True
    assert second["reason"] == "not restarted, because the restart of a failed"
    assert asked == ["restart_service", "get_job"][: 1 if when == "lost" else 2]


def test_a_poll_without_an_answer_is_repeated() -> None:
    asked: list[bytes] = []

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readuntil(b"}")
        if len(asked) == 2:
            await reader.read()  # it goes away, and its machine says nothing of it
        body = b'{"job_id":7}' if len(asked) == 1 else b'{"status":"COMPLETE"}'
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def run() -> relay.Report:
        async with listening(peer) as address:
            url = f"http://{address}/"
            node = relay.Node("n", url, mint=relay.GivenToken("a-token"))
            return await relay.restart([node], limits=relay.Limits(mint=0.2))

    assert asyncio.run(asyncio.wait_for(run(), 30)).succeeded
    assert len(asked) == 3


def test_a_failed_renewal_of_the_token_is_repeated() -> None:
    answers = iter([(200, b'{"job_id":7}'), (401, b""), (200, b'[{"status":"COMPLETE"}]')])
    mints = iter([200, 503, 200])

    def answer(operation: str) -> tuple[int, bytes]:
        if operation == "create_authentication_tokens":
            return next(mints), b'{"operation_token":"t"}'
        return next(answers)

    async def work(node: relay.Node) -> relay.Report:
        return await relay.restart([node])

    found = asyncio.run(against(answer, work, relay.OperationsMint("u", "p-w")))
    assert found["status"] == "success"


class Sealed:
    """A mint that returns only one token."""

    def __init__(self) -> None:
        self.asked = 0

    async def mint(self, _: object) -> str:
        self.asked += 1
        if self.asked > 1:
            raise RuntimeError("the vault is sealed")
        return "t"


def test_a_permanent_failure_to_renew_the_token_ends_the_polls() -> None:
    answers = iter([(200, b'{"job_id":7}'), (401, b"")])
    mint = Sealed()

    async def work(node: relay.Node) -> relay.Report:
        return await relay.restart([node])

    found = asyncio.run(against(lambda _: next(answers), work, mint))
    assert "its job cannot be polled" in str(found["reason"])
    assert "the vault is sealed" in str(found["reason"])
    assert found["uncertain"] is True
    assert mint.asked == 2


def test_the_limit_of_a_restart_keeps_the_last_reason() -> None:
    answers = itertools.chain([(200, b'{"job_id":7}')], itertools.repeat((503, b"upgrading")))

    async def work(node: relay.Node) -> relay.Report:
        return await relay.restart([node], limits=relay.Limits(restart=0.2))

    found = asyncio.run(against(lambda _: next(answers), work, relay.GivenToken("t")))
    assert found["reason"] == "not restarted in 0.2 s; upgrading"


def test_a_job_without_an_end_reaches_the_limit(cluster: FakeCluster) -> None:
    cluster.peer().profile.jobs.polls = 1_000_000
    [record] = restart(cluster, limits=relay.Limits(restart=0.2)).records
    assert (record["reason"], record["uncertain"]) == ("not restarted in 0.2 s", True)


def test_a_node_without_a_certificate_for_a_moment_is_polled_on(cluster: FakeCluster) -> None:
    """As a real HarperDB 4.7.29 while it restarts: it listens before it has its certificate."""
    good = cluster.authority.server_context("localhost", "127.0.0.1")
    contexts = iter([good, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), good])
    bodies = iter([b'{"job_id":7}', b'[{"status":"COMPLETE"}]'])

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(next(contexts))
        await reader.readuntil(b"}")
        body = next(bodies)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ")
        writer.write(b"%d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async def run() -> relay.Report:
        async with listening(peer) as address:
            url = f"https://{address}/"
            node = relay.Node("n", url, mint=relay.GivenToken("t"))
            return await relay.restart([node], tls=relay.Tls(cluster.ca_file))

    report = asyncio.run(run())
    assert report.succeeded, report
    assert next(contexts, None) is None

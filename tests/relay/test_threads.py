"""One deploy by several threads: the records, events and ends of one."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness import Answer, FakeCluster, HeadThenSilence
from deploy_relay_kit.harness.faults.events import Event, EventStream, success_events
from deploy_relay_kit.relay.payload import measure
from deploy_relay_kit.relay.threads import Share, shares
from deploy_relay_kit.relay.upload import Upload
from tests.relay.driving import DEPLOY, deploy, node_of

TOKEN = relay.GivenToken("t")


def workers() -> list[threading.Thread]:
    """The further threads of all deploys."""
    return [thread for thread in threading.enumerate() if thread.name == "deploy"]


def test_every_node_gets_the_package_and_records_keep_their_order(
    cluster: FakeCluster, package: Path
) -> None:
    events: list[relay.Event] = []
    for _ in range(5):
        cluster.peer()
    broken = cluster.peer(fault=Answer.error(503, "busy"))
    heard = set[threading.Thread]()

    def listen(event: relay.Event) -> None:
        heard.add(threading.current_thread())
        events.append(event)

    report = deploy(cluster, package, threads=3, on_event=listen)
    assert heard == {threading.current_thread()}
    assert [record["node"] for record in report.records] == [p.name for p in cluster.peers]
    assert [record["node"] for record in report.failed] == [broken.name]
    assert report.failed[0]["statusCode"] == 503
    for peer in cluster.peers[:5]:
        peer.upload.check({"project": "demo"}, package)
    for peer, record in zip(cluster.peers, report.records, strict=True):
        own = [event for event in events if event.node == peer.name]
        assert [event.name for event in own][:2] == ["mint", "sent"]
        assert own[-1] == relay.Event(peer.name, "settled", {"record": record})
    assert workers() == []


class OwnMint:
    """A mint that may belong to the event loop of its caller."""

    asked = 0

    async def mint(self, context: relay.MintContext) -> str:
        self.asked += 1
        answer = await context.ask(
            {"operation": "create_authentication_tokens", "username": "u", "password": "p"}
        )
        return str(answer["operation_token"])


def test_a_mint_of_ones_own_stays_in_its_event_loop(cluster: FakeCluster, package: Path) -> None:
    mint = OwnMint()
    peers = [cluster.peer(username="u", password="p") for _ in range(2)]
    nodes = [node_of(peer, mint=mint) for peer in peers]
    with pytest.raises(
        relay.InputError, match=r"threads must be 1 with a mint of your own \(OwnMint\), not 2"
    ):
        deploy(cluster, package, nodes, threads=2)
    assert mint.asked == 0
    assert deploy(cluster, package, nodes).succeeded
    assert mint.asked == 2


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2"])
def test_a_wrong_number_of_threads_is_refused(package: Path, threads: Any) -> None:
    node = relay.Node("n", "https://127.0.0.1:9/", mint=TOKEN)
    with pytest.raises(relay.InputError, match="threads must be an integer of 1 or more"):
        asyncio.run(relay.deploy([node], DEPLOY, package, threads=threads))


async def started(deploying: asyncio.Task[relay.Report], cluster: FakeCluster) -> None:
    """Wait until every node has the package, and holds its answer back."""
    deadline = time.monotonic() + 30
    while sum(x.complete for peer in cluster.peers for x in peer.live_uploads) < len(cluster):
        assert not deploying.done(), deploying
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def hanging(cluster: FakeCluster, package: Path) -> asyncio.Task[relay.Report]:
    for _ in range(2):
        cluster.peer(fault=HeadThenSilence(Answer(body=b"{}")))
    nodes = [node_of(peer) for peer in cluster.peers]
    tls = relay.Tls(ca_file=cluster.ca_file)
    deploying = asyncio.create_task(relay.deploy(nodes, DEPLOY, package, tls=tls, threads=2))
    await started(deploying, cluster)
    return deploying


def test_a_cancelled_deploy_leaves_no_thread(cluster: FakeCluster, package: Path) -> None:
    async def run() -> None:
        deploying = await hanging(cluster, package)
        assert len(workers()) == 1
        deploying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deploying
        assert workers() == []

    asyncio.run(run())


def test_without_a_thread_or_descriptor_the_caller_serves_all_nodes(
    cluster: FakeCluster, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits of a machine cannot be lowered for one thread, so this stands in for them."""
    peers = [cluster.peer() for _ in range(2)]

    def exhausted(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("deploy_relay_kit.relay.threads._Thread.start", exhausted)
        assert deploy(cluster, package, threads=2).succeeded

    run = asyncio.run

    def without_descriptor(work: Any) -> Any:
        if threading.current_thread().name != "deploy":
            return run(work)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(asyncio, "run", without_descriptor)
    assert deploy(cluster, package, threads=2).succeeded
    assert [len(peer.uploads) for peer in peers] == [2, 2]


def test_a_file_of_certificates_that_vanishes_meanwhile_fails_its_nodes(
    cluster: FakeCluster, package: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(cluster.ca_file.read_bytes())
    nodes = [node_of(cluster.peer(), ca_file=own) for _ in range(2)]

    def listen(_: relay.Event) -> None:
        """Events come when the deploy has begun."""

    async def run() -> relay.Report:
        deploying = asyncio.create_task(
            relay.deploy(nodes, DEPLOY, package, threads=2, on_event=listen)
        )
        await asyncio.sleep(0)  # all input is checked in the first step
        own.unlink()
        return await deploying

    for record in asyncio.run(run()).failed:
        assert str(own) in str(record["reason"])
        assert record["stage"] == "resolve"


def test_events_come_in_order_however_many_there_are(cluster: FakeCluster, package: Path) -> None:
    many = [Event("install", {"stream": "stdout", "line": str(n)}) for n in range(3_000)]
    for _ in range(2):
        cluster.peer(fault=EventStream((*many, *success_events()), chunk_size=65_536))
    heard: dict[str, list[str]] = {peer.name: [] for peer in cluster.peers}

    def listen(event: relay.Event) -> None:
        if event.name == "install":
            heard[event.node].append(str(event.data["line"]))

    report = deploy(cluster, package, threads=2, on_event=listen, ask_for_events=True)
    assert report.succeeded, report.records
    assert list(heard.values()) == [[str(n) for n in range(3_000)]] * 2


def split(package: Path, nodes: int, threads: int | None, **limits: Any) -> list[Share]:
    upload = Upload({}, measure(package))
    named = tuple(relay.Node(f"n{i}", "https://127.0.0.1:9/", mint=TOKEN) for i in range(nodes))
    whole = Share(named, upload, relay.Retry(1), {"limits": relay.Limits(**limits)})
    return shares(whole, threads)


@pytest.mark.parametrize(
    ("nodes", "threads", "concurrency", "expected"),
    [
        (7, 3, None, [(3, None), (2, None), (2, None)]),
        (2, 8, None, [(1, None), (1, None)]),
        (6, 2, 5, [(3, 2), (3, 2)]),
        (6, 4, 1, [(6, 1)]),
        (6, None, None, [(6, None)]),  # a small package
    ],
)
def test_shares(
    package: Path,
    nodes: int,
    threads: int | None,
    concurrency: int | None,
    expected: list[tuple[int, int | None]],
) -> None:
    found = split(package, nodes, threads, concurrency=concurrency)
    assert [(len(x.nodes), x.reach["limits"].concurrency) for x in found] == expected
    assert sorted(node.name for x in found for node in x.nodes) == [f"n{i}" for i in range(nodes)]


def test_a_rate_of_the_whole_deploy_is_kept_by_one_thread(package: Path) -> None:
    assert len(split(package, 6, 3, rate=1e6)) == 1


def test_a_large_deploy_uses_the_cores_and_a_few_threads_more(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    counted = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
    cores = len(counted(0))
    assert len(split(large, 64, None)) == min(64, max(8, cores))

"""One deploy by several processes: the records, events and ends of one."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness import Answer, FakeCluster, HeadThenSilence, StopReadingAfter
from deploy_relay_kit.relay import processes
from deploy_relay_kit.relay.children import ready
from deploy_relay_kit.relay.payload import measure
from deploy_relay_kit.relay.processes import Share, shares
from deploy_relay_kit.relay.upload import Upload
from deploy_relay_kit.relay.worker import main
from tests.relay.driving import DEPLOY, deploy, node_of

TOKEN = relay.GivenToken("t")


def workers() -> list[psutil.Process]:
    """The processes of the deploys of this one."""
    found = []
    for child in psutil.Process().children():
        try:
            if any("relay.worker" in word for word in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def test_every_node_gets_the_package_and_records_keep_their_order(
    cluster: FakeCluster, package: Path
) -> None:
    events: list[relay.Event] = []
    for _ in range(5):
        cluster.peer()
    broken = cluster.peer(fault=Answer.error(503, "busy"))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    report = deploy(cluster, package, processes=3, on_event=events.append)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask  # Ctrl-C still works
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
    """A mint that only this process has."""

    asked = 0

    async def mint(self, context: relay.MintContext) -> str:
        self.asked += 1
        answer = await context.ask(
            {"operation": "create_authentication_tokens", "username": "u", "password": "p"}
        )
        return str(answer["operation_token"])


def test_a_mint_of_ones_own_stays_in_its_process(cluster: FakeCluster, package: Path) -> None:
    mint = OwnMint()
    peers = [cluster.peer(username="u", password="p") for _ in range(2)]
    nodes = [node_of(peer, mint=mint) for peer in peers]
    with pytest.raises(relay.InputError, match="only one process can deploy: a OwnMint of"):
        deploy(cluster, package, nodes, processes=2)
    assert mint.asked == 0
    assert deploy(cluster, package, nodes).succeeded
    assert mint.asked == 2


@pytest.mark.parametrize("processes", [0, -1, True, 1.5, "2"])
def test_a_wrong_number_of_processes_is_refused(package: Path, processes: Any) -> None:
    node = relay.Node("n", "https://127.0.0.1:9/", mint=TOKEN)
    with pytest.raises(relay.InputError, match="processes must be an integer of 1 or more"):
        asyncio.run(relay.deploy([node], DEPLOY, package, processes=processes))


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
    deploying = asyncio.create_task(relay.deploy(nodes, DEPLOY, package, tls=tls, processes=2))
    await started(deploying, cluster)
    return deploying


def test_a_process_that_dies_fails_its_nodes_only(cluster: FakeCluster, package: Path) -> None:
    async def run() -> relay.Report:
        deploying = await hanging(cluster, package)
        [worker] = workers()
        worker.kill()
        cluster.peers[0].kill()
        return await deploying

    ours, theirs = asyncio.run(run()).records
    assert theirs["reason"] == "the process that served this node ended with code -9"
    assert (theirs["stage"], theirs["uncertain"]) == ("upload", True)
    assert "process" not in ours["reason"]


def test_a_node_of_a_dead_process_without_the_whole_payload_has_not_deployed(
    cluster: FakeCluster, package: Path
) -> None:
    package.write_bytes(bytes(64_000_000))
    for _ in range(2):
        cluster.peer(fault=StopReadingAfter(1))
    nodes = [node_of(peer) for peer in cluster.peers]
    tls = relay.Tls(ca_file=cluster.ca_file)

    async def run() -> relay.Report:
        deploying = asyncio.create_task(relay.deploy(nodes, DEPLOY, package, tls=tls, processes=2))
        deadline = time.monotonic() + 30
        while sum(bool(peer.live_uploads) for peer in cluster.peers) < len(cluster):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        [worker] = workers()
        worker.kill()
        cluster.peers[0].kill()
        return await deploying

    _, theirs = asyncio.run(run()).records
    assert theirs["reason"] == "the process that served this node ended with code -9"
    assert "uncertain" not in theirs


def test_a_stopped_process_does_not_hold_the_deploy_beyond_its_limit(
    cluster: FakeCluster, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.1)
    for _ in range(2):
        cluster.peer(fault=HeadThenSilence(Answer(body=b"{}")))
    nodes = [node_of(peer) for peer in cluster.peers]
    how = {"tls": relay.Tls(ca_file=cluster.ca_file), "limits": relay.Limits(total=3)}

    async def run() -> relay.Report:
        deploying = asyncio.create_task(
            relay.deploy(nodes, DEPLOY, package, processes=2, **how)  # type: ignore[arg-type]
        )
        await started(deploying, cluster)
        [worker] = workers()
        worker.suspend()
        return await deploying

    ours, theirs = asyncio.run(run()).records
    assert theirs["reason"] == ours["reason"] == "the deploy did not end in 3 s"
    assert theirs["uncertain"] is ours["uncertain"] is True
    assert workers() == []


def test_a_cancelled_deploy_leaves_no_process(cluster: FakeCluster, package: Path) -> None:
    async def run() -> None:
        deploying = await hanging(cluster, package)
        deploying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deploying
        assert workers() == []

    asyncio.run(run())


def test_processes_that_are_not_needed_end_without_a_word(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = psutil.Process().children()
    with ready(2, main):
        assert len(psutil.Process().children()) == len(before) + 2
    assert psutil.Process().children() == before
    assert capfd.readouterr() == ("", "")


def test_no_argument_or_variable_of_a_process_holds_a_secret(
    cluster: FakeCluster, package: Path
) -> None:
    async def run() -> None:
        deploying = await hanging(cluster, package)
        [worker] = workers()
        shown = " ".join([*worker.cmdline(), *worker.environ().values()])
        deploying.cancel()
        await asyncio.wait([deploying])
        assert not [peer for peer in cluster.peers if peer.password in shown]

    asyncio.run(run())


def split(package: Path, nodes: int, processes: int | None, **limits: Any) -> list[Share]:
    upload = Upload({}, measure(package))
    named = tuple(relay.Node(f"n{i}", "https://127.0.0.1:9/", mint=TOKEN) for i in range(nodes))
    whole = Share(named, upload, relay.Retry(1), {"limits": relay.Limits(**limits)})
    return shares(whole, processes)


@pytest.mark.parametrize(
    ("nodes", "processes", "concurrency", "expected"),
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
    processes: int | None,
    concurrency: int | None,
    expected: list[tuple[int, int | None]],
) -> None:
    found = split(package, nodes, processes, concurrency=concurrency)
    assert [(len(x.nodes), x.reach["limits"].concurrency) for x in found] == expected
    assert sorted(node.name for x in found for node in x.nodes) == [f"n{i}" for i in range(nodes)]


def test_a_rate_of_the_whole_deploy_is_kept_by_one_process(package: Path) -> None:
    assert len(split(package, 6, 3, rate=1e6)) == 1


def test_a_large_deploy_uses_the_cores(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    counted = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
    cores = len(counted(0))
    assert len(split(large, 64, None)) == min(64, cores)

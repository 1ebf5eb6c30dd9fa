"""A rollback of all nodes: one build on each of them, or an answer that says otherwise (BUG-42)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.relay.origin.others import Others, everywhere
from tests.origin.archives import component
from tests.origin.gates import Gate
from tests.origin.nodes import RealCluster, RealNode, real_cluster, wait_for


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("linked")) as cluster:
        for name in ("n1", "n2", "n3"):
            cluster.start(name, "replication_port = 0")
        cluster.publish()
        yield cluster


def versions(cluster: RealCluster, project: str) -> list[bytes]:
    return [it.live(project)["version"] for it in cluster.nodes]


def roll_back(node: RealNode, project: str) -> tuple[int, Any]:
    asked = {"operation": "rollback_component", "project": project, "replicated": True}
    return node.ask(asked)


def deploy(node: RealNode, project: str, version: bytes, **fields: object) -> tuple[int, Any]:
    fields = {"replicated": True, **fields}
    return node.deploy(component(version=version), project=project, **fields)


def test_a_rollback_during_a_deploy_of_another_node_says_where_it_lost(
    linked: RealCluster, project: str
) -> None:
    """n1's deploy passes n3 before n3's rollback and n2 after it; n1 ends before it hears of it."""
    one, two, three = linked.nodes
    assert [deploy(one, project, it)[0] for it in (b"1", b"2")] == [200, 200]
    gates = [Gate(two.url), Gate(str(one.replication_url))]
    nodes_file = linked.home / "nodes.toml"
    rows = nodes_file.read_text()
    try:
        with ThreadPoolExecutor(2) as pool:
            nodes_file.write_text(rows.replace(two.url, gates[0].url))
            deploying = pool.submit(deploy, one, project, b"3")
            wait_for(lambda: versions(linked, project) == [b"3", b"2", b"3"])
            nodes_file.write_text(rows.replace(str(one.replication_url), gates[1].url))
            rolling = pool.submit(roll_back, three, project)
            wait_for(lambda: versions(linked, project) == [b"3", b"1", b"2"])
            gates[0].open()
            assert deploying.result()[0] == 200, "it was the last on n1 and n2"
            gates[1].open()
            status, answer = rolling.result()
    finally:
        for gate in gates:
            gate.close()
        nodes_file.write_text(rows)
    assert versions(linked, project) == [b"2", b"3", b"2"]
    assert status == 500
    assert answer["error"] == (
        "rolled back here, but nodes may hold another build: n2 (another deploy reached it)"
    )
    assert [it["status"] for it in answer["replicated"]] == ["success", "success"]
    # The next deploy brings the nodes together.
    assert deploy(two, project, b"4")[0] == 200
    assert versions(linked, project) == [b"4"] * 3


def test_a_rollback_waits_for_the_fan_out_of_its_own_node(
    linked: RealCluster, project: str
) -> None:
    one, two, _ = linked.nodes
    assert [deploy(one, project, it)[0] for it in (b"1", b"2")] == [200, 200]
    gate = Gate(two.url)
    nodes_file = linked.home / "nodes.toml"
    rows = nodes_file.read_text()
    try:
        with ThreadPoolExecutor(2) as pool:
            nodes_file.write_text(rows.replace(two.url, gate.url))
            deploying = pool.submit(deploy, one, project, b"3")
            wait_for(lambda: versions(linked, project) == [b"3", b"2", b"3"])
            rolling = pool.submit(roll_back, one, project)
            assert one.ask({"operation": "get_components"})[0] == 200  # it has a turn meanwhile
            gate.open()
            assert deploying.result()[0] == 200
            assert rolling.result()[0] == 200
    finally:
        gate.close()
        nodes_file.write_text(rows)
    assert versions(linked, project) == [b"2"] * 3


def test_a_node_whose_previous_build_is_another_is_named(linked: RealCluster, project: str) -> None:
    one, two, _ = linked.nodes
    assert deploy(one, project, b"1")[0] == 200
    assert deploy(two, project, b"other", replicated=False)[0] == 200
    assert deploy(one, project, b"2")[0] == 200
    status, answer = roll_back(one, project)
    assert versions(linked, project) == [b"1", b"other", b"1"]
    assert status == 500
    assert answer["error"].endswith("another build: n2 (it has the build of another deploy)")


def test_a_rollback_has_a_row_on_each_node(linked: RealCluster, project: str) -> None:
    one, two, _ = linked.nodes
    assert roll_back(one, project)[0] == 404
    assert one.rows(project=project) == [], "nothing was begun"
    first = deploy(one, project, b"1")[1]
    assert deploy(one, project, b"2")[0] == 200
    status, answer = roll_back(one, project)
    assert status == 200, answer
    row = one.row(answer["deployment_id"])
    told = {it: row[it] for it in ("status", "phase", "live", "user", "error", "rollback_of")}
    assert told == {
        "status": "success",
        "phase": "replicate",
        "live": True,
        "user": "admin",
        "error": None,
        "rollback_of": first["deployment_id"],
    }
    assert row["payload_hash"] == answer["payload_hash"] == first["payload_hash"]
    assert row["peer_results"] == answer["replicated"]
    assert [it["event"] for it in row["event_log"]] == ["phase", "peer", "peer", "phase"]
    assert two.rows(project=project)[0]["rollback_of"] is not None
    lives = [one.row(it["deployment_id"])["live"] for it in one.rows(project=project)]
    assert lives == [True, False, True]
    # A node that fails makes the row a failed one.
    assert deploy(two, project, b"other", replicated=False)[0] == 200
    assert deploy(one, project, b"3", replicated=False)[0] == 200
    status, answer = roll_back(one, project)
    assert status == 500
    row = one.row(answer["deployment_id"])
    assert (row["status"], row["error"], row["live"]) == ("failed", answer["error"], True)


@pytest.mark.parametrize("verb", ["deploy", "rollback"])
def test_a_disk_that_refuses_the_swap_changes_nothing(tmp_path: Path, verb: str) -> None:
    """The place of the live build is taken by a directory, so that no link can go there."""
    with real_cluster(tmp_path, 1) as cluster:
        node = cluster.nodes[0]
        data = node.home / "data"
        for version in (b"1", b"2"):
            assert deploy(node, "demo", version)[0] == 200
        before = sorted((data / "builds" / "demo").iterdir())
        (data / "live" / "demo").rename(data / "kept")
        (data / "live" / "demo").mkdir()
        again = {
            "deploy": lambda: deploy(node, "demo", b"3"),
            "rollback": lambda: roll_back(node, "demo"),
        }
        status, answer = again[verb]()
        assert status == 500
        assert ": Is a directory" in answer["error"] or ": Invalid argument" in answer["error"]
        (data / "live" / "demo").rmdir()
        (data / "kept").rename(data / "live" / "demo")
        assert sorted((data / "builds" / "demo").iterdir()) == before
        assert node.staged() == []
        assert roll_back(node, "demo")[0] == 200
        assert node.live() == {"version": b"1"}
        assert node.stop() == 0
        assert (node.home / "stderr").read_text() == ""


def test_a_node_that_does_not_answer_in_time_fails_alone(tmp_path: Path) -> None:
    """Its rollback waits for the command of a deploy."""
    gate, began = tmp_path / "gate", tmp_path / "began"
    script = f"test -e slow || exit 0; touch {began}; while test ! -e {gate}; do sleep 0.02; done"
    with real_cluster(tmp_path / "cluster") as cluster:
        extra = f"""on_deploy = ["sh", "-c", "{script}"]\nreplication_port = 0"""
        node = cluster.start("n1", extra)
        row = '[[node]]\nname = "caller"\nurl = "https://127.0.0.1:1/"\n'
        (cluster.home / "nodes.toml").write_text(row)
        leaf = cluster.issue("caller")
        others = Others(
            [relay.Node("n1", node.url, replication_url=node.replication_url)],
            {
                "tls": relay.Tls(cluster.home / "ca.pem", leaf, leaf),
                "limits": relay.Limits(answer=0.5),
                "mint": relay.ReplicationMint(),
            },
        )
        assert node.deploy(component(version=b"1"))[0] == 200
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(node.deploy, component(version=b"2", slow=b""))
            try:
                wait_for(began.exists)
                asked = {"operation": "rollback_component", "project": "demo"}
                (record,) = asyncio.run(everywhere(others, asked))
            finally:
                gate.touch()
            assert slow.result()[0] == 200
    assert (record["status"], record["reason"]) == ("failed", "no answer in 0.5 s")
    assert record["uncertain"]

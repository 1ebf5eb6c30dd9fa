"""Fake peers of every fault among real nodes: each costs its own record, and no other one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_relay_kit.harness import Answer, FakeCluster
from deploy_relay_kit.harness.faults.text import parse_fault
from tests.origin.archives import component
from tests.origin.nodes import FILES, PASSWORD, RealCluster, basic, real_cluster
from tests.origin.test_sockets import asked, context_of, request
from tests.test_site import script

PAGE = script("faults")
FAULTS: list[str] = [text for group in PAGE.EXAMPLES.values() for text in group]
HARMLESS = {
    *("MintNested", "ReadSlowly:1000000", "EventStream", "Latency:0.1:head"),
    *("Bandwidth:1000000", "Slices:100000", "SlowClose:0.2"),
}
LIMITS = "[cluster.limits]\nconnect = 12.0\nmint = 12.0\nstall = 12.0\nanswer = 12.0\n"


@pytest.fixture(scope="module")
def fakes() -> Iterator[FakeCluster]:
    with FakeCluster() as started:
        for text in FAULTS:
            started.peer(text, fault=parse_fault(text), username="admin", password=PASSWORD)
        for fault in PAGE.OF_SOCKETS:
            started.replication(started.peer(type(fault).__name__), fault=fault)
        yield started


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, fakes: FakeCluster) -> Iterator[RealCluster]:
    """Three real nodes, whose file of nodes has the fake ones between the second and the third."""
    with real_cluster(tmp_path_factory.mktemp("mixed")) as cluster:
        authorities = cluster.home / "ca.pem"
        for name in ("n1", "n2", "n3"):
            cluster.start(name, f"replication_port = 0\n{LIMITS}")
        authorities.write_bytes(authorities.read_bytes() + fakes.ca_file.read_bytes())
        cluster.publish()
        nodes_file = cluster.home / "nodes.toml"
        first, second, third = nodes_file.read_text().split("[[node]]\n")[1:]
        sockets = {at.node.name: at.url for at in fakes.sockets}
        rows = [
            f'name = "{it.name}"\nurl = "{it.url}"\n'
            + (f'replication_url = "{sockets[it.name]}"\n' if it.name in sockets else "")
            for it in fakes
        ]
        rows = [first, second, *rows, third]
        nodes_file.write_text("".join(f"[[node]]\n{it}" for it in rows))
        yield cluster


def test_a_deploy_among_peers_of_every_fault(mixed: RealCluster, fakes: FakeCluster) -> None:
    origin = mixed.nodes[0]
    status, answer = origin.deploy(component(**FILES), replicated=True)
    assert status == 500
    records = {it["node"]: it for it in answer["replicated"]}
    assert [*records] == ["n2", *(it.name for it in fakes), "n3"], "in the order of the file"
    assert [it.live() for it in mixed.nodes] == [FILES] * 3
    failed = [name for name, it in records.items() if it["status"] != "success"]
    assert [it["node"] for it in answer["failed_peers"]] == failed
    assert all(records[it]["reason"] for it in failed)
    assert {"n2", "n3", *HARMLESS}.isdisjoint(failed)
    assert len(failed) > len(FAULTS) / 2
    assert origin.staged() == []
    assert origin.row(answer["deployment_id"])["status"] == "failed"
    assert (origin.home / "stderr").read_text() == ""


def test_a_node_that_answers_at_length_does_not_fill_the_record(tmp_path: Path) -> None:
    with FakeCluster() as fakes, real_cluster(tmp_path) as cluster:
        origin = cluster.start("n1", "[cluster.limits]\nconnect = 60.0\nmint = 60.0\n")
        long = "\ud800\0" + "long " * 150_000
        for name, fault in (
            ("error", Answer.error(500, long)),
            ("members", Answer(json={"long": long})),
        ):
            fakes.peer(name, fault=fault, username="admin", password=PASSWORD)
        cluster.ca_file.write_bytes(cluster.authority.pem + fakes.authority.pem)
        rows = [f'[[node]]\nname = "{it.name}"\nurl = "{it.url}"\n' for it in fakes]
        cluster.nodes_file.write_text("".join(rows))
        status, answer = origin.deploy(component(**FILES), replicated=True)
        assert (status, len(answer["failed_peers"][0]["error"]) > len(long) / 2) == (500, True)
        row = origin.row(answer["deployment_id"])
        assert len(json.dumps(row)) < 100_000
        assert len(row["error"]) == 4_096
        results = {it["node"]: it for it in row["peer_results"]}  # as they settled
        first, second = results["error"], results["members"]
        assert (first["status"], first["truncated"]) == ("failed", True)
        assert first["statusCode"] == 500
        assert "long long" in first["reason"]
        assert second == {"node": "members", "status": "success", "truncated": True}
        assert origin.stderr == ""


def test_a_number_of_any_length_is_told_over_a_socket(tmp_path: Path) -> None:
    """MessagePack has numbers of 64 bits; the row of a node's answer stays readable."""
    with FakeCluster() as fakes, real_cluster(tmp_path) as cluster:
        origin = cluster.start("n1", "replication_port = 0\n")
        longest = json.dumps({"n": int("9" * 4_300), "m": -(2**63), "o": 2**64}).encode()
        fakes.peer("long", fault=Answer(body=longest), username="admin", password=PASSWORD)
        cluster.ca_file.write_bytes(cluster.authority.pem + fakes.authority.pem)
        (fake,) = fakes
        cluster.nodes_file.write_text(f'[[node]]\nname = "long"\nurl = "{fake.url}"\n')
        status, answer = origin.deploy(component(**FILES), replicated=True)
        assert status == 200, answer
        found = asked(
            origin,
            context_of(cluster, None),
            request(operation="get_deployment", deployment_id=answer["deployment_id"]),
            request(operation="list_deployments"),
            headers=basic("admin"),
        )
        (result,) = found[0][1]["peer_results"]
        assert (result["n"], result["m"], result["o"]) == ("9" * 4_300, -(2**63), str(2**64))
        assert found[1][1]["deployments"][0]["peer_results"] == [result]
        assert origin.stderr == ""


def test_a_node_that_is_slow_for_ever_fails_after_the_total_time(tmp_path: Path) -> None:
    with FakeCluster() as fakes, real_cluster(tmp_path) as cluster:
        origin = cluster.start("n1", "[cluster.limits]\ntotal = 2.0\n")
        slow = parse_fault("ReadSlowly:1000")  # bytes in a second
        fake = fakes.peer("slow", fault=slow, username="admin", password=PASSWORD)
        cluster.ca_file.write_bytes(cluster.authority.pem + fakes.authority.pem)
        cluster.nodes_file.write_text(f'[[node]]\nname = "slow"\nurl = "{fake.url}"\n')
        status, answer = origin.deploy(component(blob=random.randbytes(8 << 20)), replicated=True)
        (record,) = answer["replicated"]
        assert (status, record["reason"]) == (500, "the deploy did not end in 2 s")


def test_a_rollback_among_sockets_of_every_fault(mixed: RealCluster, fakes: FakeCluster) -> None:
    origin = mixed.nodes[0]
    for version in (b"1", b"2"):
        origin.deploy(component(version=version), project="back", replicated=True)
    asked = {"operation": "rollback_component", "project": "back", "replicated": True}
    status, answer = origin.ask(asked)
    assert status == 500
    records = {it["node"]: it["status"] for it in answer["replicated"]}
    assert [*records] == ["n2", *(it.name for it in fakes), "n3"]
    assert (records["n2"], records["n3"]) == ("success", "success")
    assert [it.live("back") for it in mixed.nodes] == [{"version": b"1"}] * 3
    assert (origin.home / "stderr").read_text() == ""

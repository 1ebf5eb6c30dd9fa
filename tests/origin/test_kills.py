"""Nodes that are killed at exact points: the old build or the new one, whole, and a true record."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.origin.archives import component
from tests.origin.nodes import RealCluster, RealNode, real_cluster, wait_for
from tests.programs import LONG

PROGRAM = (sys.executable, str(Path(__file__).with_name("dying.py")))
COMMAND = 'on_deploy = ["true"]'
OLD = {"version": b"old", **{f"file-{it}": bytes([it]) * 5_000 for it in range(5)}}
NEW = {"version": b"new", **{f"file-{it}": bytes([it]) * 7_000 for it in range(9)}}

BOTH = [
    "row before 1",
    "row after 1",
    "stage after 1",
    "part after 4",
    "written after 4",
    "status after 1",
    "unpack before 1",
    "entry after 3",
    "command before 1",
    "command after 1",
    "swap before 1",
    "link before 1",
    "rename before 1",
    "rename after 1",
    "rename before 2",
    "rename after 2",
    "link after 1",
    "prune before 1",
    "swap after 1",
    "answer before 1",
    "answer after 1",
]
OF_THE_ORIGIN = ["fan-out before 1", "fan-out after 1"]
IS_NEW = {
    *("rename after 2", "link after 1", "prune before 1", "swap after 1"),
    *("answer before 1", "answer after 1", *OF_THE_ORIGIN),
}


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("mortal")) as cluster:
        for name in ("n1", "n2"):
            cluster.start(name, COMMAND, program=PROGRAM)
        cluster.publish()
        yield cluster


def killed(cluster: RealCluster, victim: RealNode, point: str) -> RealNode:
    """Wait until the victim has died at the point; start it again."""
    assert victim.process.wait(30) == -9, f"{victim.name} did not die at {point!r}"
    (victim.home / "die").unlink()
    again = cluster.start(victim.name, COMMAND, program=PROGRAM)
    cluster.publish()
    return again


def check_record(node: RealNode, project: str, point: str) -> None:
    """The node holds one build, whole, and its newest record says whether it is the new one."""
    files = node.live(project)
    assert files in (OLD, NEW)
    assert files == (NEW if point in IS_NEW else OLD)
    assert node.staged() == []
    newest = node.rows(project=project)[0]
    row = node.row(newest["deployment_id"])
    if point == "row before 1":  # it died before there was a record
        assert (row["status"], row["live"]) == ("success", True)
    else:
        assert row["status"] == "failed"
        assert row["error"].startswith("the node stopped in phase ")
        assert row["live"] == (files == NEW)


@pytest.mark.parametrize("point", [*BOTH, *OF_THE_ORIGIN][:: 1 if LONG else 2])
def test_an_origin_that_is_killed(mortal: RealCluster, project: str, point: str) -> None:
    origin, peer = mortal.nodes
    assert origin.deploy(component(**OLD), project=project, replicated=True)[0] == 200
    (origin.home / "die").write_text(point)
    with pytest.raises((OSError, http.client.HTTPException)):
        origin.deploy(component(**NEW), project=project, replicated=True)
    origin = killed(mortal, origin, point)
    check_record(origin, project, point)
    # The peer may be at work with a whole upload.
    wait_for(lambda: peer.staged() == [])
    assert peer.live(project) == (NEW if "fan-out after 1" in point or "answer" in point else OLD)
    check_next(mortal, project)


@pytest.mark.parametrize("point", BOTH[:: 1 if LONG else 3])
def test_a_peer_that_is_killed(mortal: RealCluster, project: str, point: str) -> None:
    origin, peer = mortal.nodes
    assert origin.deploy(component(**OLD), project=project, replicated=True)[0] == 200
    (peer.home / "die").write_text(point)
    status, answer = origin.deploy(component(**NEW), project=project, replicated=True)
    assert (status, [it["status"] for it in answer["replicated"]]) == (500, ["failed"])
    assert [it["node"] for it in answer["failed_peers"]] == ["n2"]
    assert origin.live(project) == NEW
    assert origin.row(answer["deployment_id"])["status"] == "failed"
    peer = killed(mortal, peer, point)
    check_record(peer, project, point)
    check_next(mortal, project)


def check_next(cluster: RealCluster, project: str) -> None:
    """A node that comes back takes the next deploy, and old builds do not pile up."""
    status, answer = cluster.nodes[0].deploy(component(**NEW), project=project, replicated=True)
    assert status == 200, answer
    for node in cluster.nodes:
        assert node.live(project) == NEW
        assert len(list((node.home / "data" / "builds" / project).iterdir())) == 2


@pytest.mark.parametrize(
    ("point", "is_back"),
    [
        *((it, False) for it in ("row before 1", "row after 1", "rename before 1")),
        *((it, True) for it in ("rename after 1", "rename after 2", "link after 1")),
    ],
)
def test_a_node_that_is_killed_in_a_rollback(
    mortal: RealCluster, project: str, point: str, *, is_back: bool
) -> None:
    origin, _ = mortal.nodes
    for files in (OLD, NEW):
        assert origin.deploy(component(**files), project=project, replicated=True)[0] == 200
    (origin.home / "die").write_text(point)
    with pytest.raises((OSError, http.client.HTTPException)):
        origin.ask({"operation": "rollback_component", "project": project})
    origin = killed(mortal, origin, point)
    assert origin.live(project) == (OLD if is_back else NEW)
    row = origin.row(origin.rows(project=project)[0]["deployment_id"])
    if point == "row before 1":
        assert (row["status"], row["rollback_of"]) == ("success", None)
    else:
        assert (row["status"], row["live"]) == ("failed", is_back)
        assert row["rollback_of"] is not None
    check_next(mortal, project)

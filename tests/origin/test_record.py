"""The record of deploys: rows, filters, the stream that replays and follows, and no secrets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.relay.origin.record import journal
from deploy_relay_kit.relay.origin.record.journal import EventLog
from deploy_relay_kit.relay.origin.record.progress import Progress
from tests.origin.archives import component
from tests.origin.nodes import (
    FILES,
    FORM,
    PASSWORD,
    RealCluster,
    RealNode,
    basic,
    events_in,
    form,
    raw,
    real_cluster,
    wait_for,
)

Deploying = Future[tuple[int, Any]]


def test_a_row_tells_a_deploy(cluster: RealCluster, project: str) -> None:
    origin, peer, _ = cluster.nodes
    _, answer = origin.deploy(component(**FILES), project=project, replicated=True)
    row = origin.row(answer["deployment_id"])
    assert row["started_at"] <= row["completed_at"]
    told = {name: row[name] for name in ("project", "status", "phase", "error", "user", "live")}
    assert told == {
        "project": project,
        "status": "success",
        "phase": "replicate",
        "error": None,
        "user": "admin",
        "live": True,
    }
    assert row["payload_hash"] == answer["payload_hash"]
    assert (row["origin_node"], row["restart_mode"]) == ("n1", "false")
    by_node = {it["node"]: it for it in row["peer_results"]}
    assert [by_node["n2"], by_node["n3"]] == answer["replicated"]
    events = [it["event"] for it in row["event_log"]]
    assert events[0] == events[-1] == "phase"
    # A node that was deployed to has a row of its own.
    [theirs] = peer.rows(project=project)
    assert peer.row(theirs["deployment_id"])["live"]


def test_a_failed_deploy_has_a_row(cluster: RealCluster, project: str) -> None:
    node = cluster.nodes[0]
    _, answer = node.deploy(b"no archive", project=project)
    row = node.row(answer["deployment_id"])
    assert (row["status"], row["phase"], row["live"]) == ("failed", "prepare", False)
    assert row["error"] == answer["error"]
    assert node.deploy(component(**FILES), project="a b")[0] == 400
    assert node.rows(project="a b") == []


def test_an_aborted_upload_has_a_row(cluster: RealCluster, project: str) -> None:
    node = cluster.nodes[0]
    whole = form({"operation": "deploy_component", "project": project}, component(**FILES))
    connection = raw(node, whole[:-100], len(whole))
    wait_for(lambda: [it["status"] for it in node.rows(project=project)] == ["pending"])
    connection.close()
    wait_for(lambda: [it["status"] for it in node.rows(project=project)] == ["failed"])
    assert node.rows(project=project)[0]["phase"] == "pending"


def test_rows_are_listed_newest_first(cluster: RealCluster, project: str) -> None:
    node = cluster.nodes[0]
    ids: list[str] = []
    for number in range(3):
        _, answer = node.deploy(component(version=b"%d" % number), project=project)
        ids.insert(0, answer["deployment_id"])
    assert [it["deployment_id"] for it in node.rows(project=project)] == ids
    some = node.rows(project=project, limit=1, offset=1)
    assert [it["deployment_id"] for it in some] == ids[1:2]
    assert node.rows(project=project, status="failed") == []
    newest = node.rows(project=project)[0]["started_at"]
    assert node.rows(project=project, since=newest + 1) == []
    assert len(node.rows(project=project, until=newest)) == 3


@pytest.mark.parametrize(
    "wrong",
    [{"limit": -1}, {"limit": 1 << 63}, {"since": "x"}, {"project": 7}, {"offset": True}],
    ids=str,
)
def test_a_wrong_filter_is_refused(cluster: RealCluster, wrong: dict[str, object]) -> None:
    assert cluster.nodes[0].ask({"operation": "list_deployments", **wrong})[0] == 400


@pytest.mark.parametrize("deployment_id", ["no-such", "", None, 7, "\ud800", "' OR 1 --"])
def test_an_unknown_deploy_is_refused(cluster: RealCluster, deployment_id: object) -> None:
    asked = {"operation": "get_deployment", "deployment_id": deployment_id}
    assert cluster.nodes[0].ask(asked)[0] == 400


@contextlib.contextmanager
def an_installing_node(directory: Path, command: str) -> Iterator[tuple[RealNode, Deploying]]:
    """A node in the middle of a deploy, whose `command` ends with the deploy."""
    with real_cluster(directory) as cluster:
        node = cluster.start("n1", f"""on_deploy = ["sh", "-c", "{command}"]""")
        with ThreadPoolExecutor(1) as pool:
            deploying = pool.submit(node.deploy, component(**FILES))
            wait_for(lambda: [it["status"] for it in node.rows()] == ["installing"])
            yield node, deploying


def test_a_stream_replays_and_follows(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    script = f"echo before; while test ! -e {gate}; do sleep 0.02; done; echo after"
    with an_installing_node(tmp_path / "cluster", script) as (node, deploying):
        [row] = node.rows()
        asked = {"operation": "get_deployment", "deployment_id": row["deployment_id"]}
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        connection = node.connect()
        connection.request("POST", "/", json.dumps(asked), {**headers, **basic("admin")})
        response = connection.getresponse()
        received = b""
        while b'"before"' not in received:  # what happened before anybody asked
            received += response.read1(65_536)
        assert b'"after"' not in received
        gate.touch()
        received += response.read()
        connection.close()
        events = events_in(received)
        lines = [data["line"] for name, data in events if name == "install"]
        assert lines == ["before", "after"]
        name, data = events[-1]
        assert (name, data["result"]["status"]) == ("done", "success")
        assert deploying.result()[1]["deployment_id"] == row["deployment_id"]
        again = replay(node, asked)
        assert [it for it in again if it[0] != "done"] == [it for it in events if it[0] != "done"]


def replay(node: RealNode, asked: dict[str, Any]) -> list[tuple[str, Any]]:
    connection = node.connect()
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    connection.request("POST", "/", json.dumps(asked), {**headers, **basic("admin")})
    events = events_in(connection.getresponse().read())
    connection.close()
    return events


def test_a_log_of_events_is_bounded() -> None:
    log = EventLog()
    for number in range(1_000):
        log.add("install", {"line": str(number)})
    entries = log.entries()
    assert len(entries) == 200
    assert [it["data"]["line"] for it in entries[:20]] == [str(it) for it in range(20)]
    assert entries[20]["event"] == "truncated"
    assert entries[20]["data"] == {"dropped": 1_000 - 199}
    assert entries[-1]["data"] == {"line": "999"}
    log.add("peer", {"message": "x" * 20_000})
    assert log.entries()[-1]["data"] == {"truncated": True}


def test_a_clock_that_jumps_back_loses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_KEPT", 2)
    record = journal.Journal(tmp_path, "n1")
    for number in range(3):
        monkeypatch.setattr(journal, "now", lambda number=number: 1_000 - number)
        record.begin({"deployment_id": str(number), "project": "demo"})
    rows: Any = record.list({})["deployments"]
    assert [it["deployment_id"] for it in rows] == ["2", "1"]


def test_a_program_that_locks_the_record_stops_no_node(tmp_path: Path) -> None:
    """Deploys wait or are refused; what has happened meanwhile is written when it can be."""
    gate = tmp_path / "gate"
    script = f"while test ! -e {gate}; do sleep 0.02; done"
    with an_installing_node(tmp_path / "cluster", script) as (node, deploying):
        path = node.home / "data" / "deployments.sqlite"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            status, answer = node.deploy(component(**FILES), project="other")
            assert (status, answer["error"]) == (
                500,
                "cannot record the deploy: database is locked",
            )
            gate.touch()
            assert deploying.result(30)[0] == 200
            before = time.monotonic()
            assert [it["status"] for it in node.rows()] == ["success"]
            assert time.monotonic() - before < 4  # SQLite would wait for 5 seconds
        _, second = node.deploy(component(**FILES))
        assert node.row(second["deployment_id"])["status"] == "success"
        statuses = [it["status"] for it in node.rows()]
        assert statuses == ["success", "success"]


def test_a_reader_that_is_far_behind_gets_every_record(tmp_path: Path) -> None:
    async def follow() -> list[str]:
        progress = Progress(journal.Journal(tmp_path, "n1"), "admin")
        events = progress.follow()
        for number in range(2_000):
            progress.emit("replicate", {"event": "install", "data": {"line": str(number)}})
        progress.emit("peer", {"node": "n2", "status": "success"})
        progress.end()
        return [name async for name, _ in events]

    names = asyncio.run(follow())
    assert (len(names), names[-1]) == (1_001, "peer")


def test_no_secret_is_kept(tmp_path: Path) -> None:
    """Not in the record, nor in what the node writes, also if a client puts it in a field."""
    with real_cluster(tmp_path, 2) as cluster:
        origin, peer = cluster.nodes
        login = {"operation": "create_authentication_tokens"}
        tokens = origin.ask(login)[1]
        bearer = {"Authorization": f"Bearer {tokens['operation_token']}"}
        secrets = {"password": "of-a-field", "token": tokens["refresh_token"], "project": "demo"}
        body = form({"operation": "deploy_component", **secrets}, component(**FILES))
        assert origin.ask(body, {**FORM, **bearer})[0] == 200
        origin.ask(body, {**FORM, "Authorization": f"Bearer {tokens['operation_token']}x"})
        for node in (origin, peer):
            node.stop()
            kept = [it for it in (node.home / "data").rglob("*") if it.is_file()]
            kept += [node.home / "stderr"]
            assert (node.home / "data" / "deployments.sqlite") in kept
            for file in kept:
                content = file.read_bytes()
                for secret in (PASSWORD, "of-a-field", *tokens.values()):
                    assert secret.encode() not in content, file

"""A disk without room, and a node that is stopped, in the middle of a deploy."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.origin.record.journal import Journal
from tests.origin.archives import archive, component, entry
from tests.origin.nodes import RealCluster, RealNode, basic, form, raw, real_cluster, wait_for
from tests.origin.test_listening import is_ended, shaken


@contextlib.contextmanager
def held(tmp_path: Path) -> Iterator[tuple[RealCluster, RealNode, Path]]:
    """A node whose command writes lines until the gate exists."""
    gate = tmp_path / "gate"
    script = f"while test ! -e {gate}; do echo waiting; sleep 0.02; done"
    with real_cluster(tmp_path / "cluster") as cluster:
        node = cluster.start("n1", f"""on_deploy = ["sh", "-c", "{script}"]""")
        try:
            yield cluster, node, gate
        finally:
            gate.touch()


@contextlib.contextmanager
def following(node: RealNode) -> Iterator[None]:
    """A client that follows a deploy, whose command has begun, as long as the block runs."""
    fields = {"operation": "deploy_component", "project": "demo", "replicated": False}
    whole = form(fields, component(version=b"1"))
    with raw(node, whole, len(whole), accept="text/event-stream") as connection:
        received = b""
        while b"waiting" not in received:
            received += connection.recv(65_536)
        yield


def is_gone(node: RealNode) -> bool:
    try:
        node.ask({"operation": "registration_info"})
    except OSError:
        return True
    return False


def test_a_stopped_node_ends_a_deploy_whose_client_has_gone(tmp_path: Path) -> None:
    with held(tmp_path) as (cluster, node, gate):
        with following(node):
            pass  # and goes
        [row] = node.rows()
        idle = node.connect()
        idle.request("GET", "/health")
        assert idle.getresponse().read() == b"The node is running."
        node.process.send_signal(signal.SIGTERM)
        wait_for(lambda: is_gone(node))
        assert is_ended(idle.sock)  # also while the deploy goes on
        idle.close()
        gate.touch()
        assert node.process.wait(30) == 0
        assert (node.home / "stderr").read_text() == ""
        again = cluster.start("n1")
        assert again.live() == {"version": b"1"}
        row = again.row(row["deployment_id"])
        assert (row["status"], row["live"]) == ("success", True)


def test_a_second_signal_cuts_a_deploy(tmp_path: Path) -> None:
    with held(tmp_path) as (cluster, node, _):
        with following(node):
            node.process.send_signal(signal.SIGTERM)
            wait_for(lambda: is_gone(node))
            begun = time.monotonic()
            node.process.send_signal(signal.SIGTERM)
            assert node.process.wait(50) == 0
        assert time.monotonic() - begun < 40, "a minute is for one signal"
        again = cluster.start("n1")
        [listed] = again.rows()
        row = again.row(listed["deployment_id"])
        assert (row["status"], row["live"], again.staged()) == ("failed", False, [])


def test_files_of_others_in_its_directory_stop_no_node(tmp_path: Path) -> None:
    with real_cluster(tmp_path, 1) as cluster:
        [node] = cluster.nodes
        assert node.deploy(component(version=b"1"))[0] == 200
        node.kill()
        data = node.home / "data"
        for place in ("builds", "builds/demo", "live", "previous", "staging"):
            (data / place / ".DS_Store").write_bytes(b"of a file manager")
        node = cluster.start("n1")
        assert node.ask({"operation": "get_components"}) == (200, {"components": ["demo"]})
        assert node.deploy(component(version=b"2"))[0] == 200
        assert (node.live(), node.staged()) == ({"version": b"2"}, [])
        assert node.stderr == ""


@pytest.mark.parametrize("kind", ["stalls", "drips", "stalls in JSON"])
def test_an_upload_that_is_not_complete_holds_up_no_stop(tmp_path: Path, kind: str) -> None:
    with real_cluster(tmp_path, 1) as cluster:
        [node] = cluster.nodes
        fields = {"operation": "deploy_component", "project": "demo", "replicated": False}
        whole = form(fields, bytes(100_000))
        if kind == "stalls in JSON":
            login = basic("admin")["Authorization"]
            connection = shaken(node)
            head = f"Host: x\r\nAuthorization: {login}\r\nContent-Type: application/json"
            connection.sendall(f"POST / HTTP/1.1\r\n{head}\r\nContent-Length: 9\r\n\r\n{{".encode())
            assert node.ask({"operation": "get_components"})[0] == 200  # by then it is read
        else:
            connection = raw(node, whole[:50_000], len(whole))
            wait_for(lambda: [it["status"] for it in node.rows()] == ["pending"])
        with connection:
            node.process.send_signal(signal.SIGTERM)
            began, left = time.monotonic(), list(range(50_000, 100_000))
            connection.settimeout(0.05 if kind == "drips" else 30)
            received = b""
            while not received:
                with contextlib.suppress(TimeoutError):
                    received = connection.recv(65_536)
                if kind == "drips" and not received:
                    connection.sendall(whole[left[0] : left.pop(0) + 1])
            assert received.startswith(b"HTTP/1.1 503 ")
            assert node.process.wait(30) == 0
        assert time.monotonic() - began < 25  # 5 on a quiet machine; idle is 60
        assert (node.stderr, node.staged()) == ("", [])
        if kind != "stalls in JSON":
            [row] = cluster.start("n1").rows()
            error = "the node stops before the upload is complete"
            assert (row["status"], row["error"]) == ("failed", error)


def test_a_reader_of_events_that_stalls_holds_up_nothing(tmp_path: Path) -> None:
    lines = "yes a-line-that-nobody-reads-because-the-client-is-busy-with-other-things"
    script = f"test -e short || {lines} | head -n 200000"
    with real_cluster(tmp_path / "cluster") as cluster:
        extra = f"""on_deploy = ["sh", "-c", "{script}"]\nlimits = {{ idle = 1.0 }}"""
        node = cluster.start("n1", extra)
        fields = {"operation": "deploy_component", "project": "demo", "replicated": False}
        whole = form(fields, component(version=b"1"))
        with raw(node, whole, len(whole), accept="text/event-stream") as connection:
            wait_for(lambda: [it["status"] for it in node.rows()] == ["success"], 60)
            assert node.deploy(component(short=b""))[0] == 200
            assert node.stop() == 0  # it would wait for a minute
            received = b""
            with contextlib.suppress(OSError):
                while block := connection.recv(1 << 20):
                    received = received[-100:] + block
            assert b"event: done" not in received
        assert (node.home / "stderr").read_text() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of another process")
def test_a_record_that_finds_no_room_is_written_later(tmp_path: Path) -> None:
    with held(tmp_path) as (cluster, node, gate), ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(node.deploy, component(version=b"1"))
        wait_for(lambda: [it["status"] for it in node.rows()] == ["installing"])
        before = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
        gate.touch()
        status, answer = deploying.result()
        assert status == 200, answer
        assert node.row(answer["deployment_id"])["status"] == "success"
        assert node.rows()[0]["status"] == "success"
        refused, problem = node.deploy(component(version=b"2"))
        assert (refused, problem["error"][:25]) == (500, "cannot record the deploy:")
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, before)
        assert node.row(answer["deployment_id"])["status"] == "success"
        assert node.live() == {"version": b"1"}
        assert node.staged() == []
        node.process.kill()
        node.process.wait()
        again = cluster.start("n1")
        row = again.row(answer["deployment_id"])
        assert (row["status"], row["live"]) == ("success", True)


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of another process")
@pytest.mark.parametrize("mode", ["w", "w:gz"], ids=["payload", "unpacked"])
def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path, mode: str) -> None:
    """It is full before the payload is staged, or before it is unpacked."""
    with real_cluster(tmp_path, 1) as cluster:
        node = cluster.nodes[0]
        assert node.deploy(component(version=b"1"))[0] == 200
        before = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (400_000, before[1]))
        status, answer = node.deploy(archive((entry("zeros"), bytes(500_000)), mode=mode))
        assert (status, answer["error"]) == (500, "cannot store the deploy: File too large")
        assert answer["phase"] == ("pending" if mode == "w" else "prepare")
        assert (node.live(), node.staged()) == ({"version": b"1"}, [])
        assert node.row(answer["deployment_id"])["status"] == "failed"
        assert node.deploy(component(version=b"2"))[0] == 200


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a file system"
)
def test_a_disk_without_inodes_leaves_nothing(tmp_path: Path) -> None:
    """As many free ones as a deploy needs, or fewer: it is whole, or leaves nothing."""
    data = tmp_path / "n1" / "data"
    data.mkdir(parents=True)
    options = ["-o", "size=8m,mode=700,nr_inodes=60"]
    mounted = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", data], check=False)
    if mounted.returncode:
        pytest.skip("mount is not allowed here")
    cluster = RealCluster(tmp_path)
    try:
        node = cluster.start("n1")
        assert node.deploy(component(version=b"0"))[0] == 200
        statuses = []
        for free in range(9):
            before, version = node.live(), str(free).encode()
            taken = [data / str(it) for it in range(os.statvfs(data).f_ffree - free)]
            for path in taken:
                path.touch()
            status, answer = node.deploy(component(version=version))
            for path in taken:
                path.unlink()
            statuses.append(status)
            assert node.live() == ({"version": version} if status == 200 else before)
            assert node.row(answer["deployment_id"])["status"] == (
                "success" if status == 200 else "failed"
            )
            assert node.staged() == []
            assert len(list((data / "builds" / "demo").iterdir())) <= 2
        assert (statuses[0], statuses[-1], {*statuses}) == (500, 200, {500, 200})
    finally:
        for it in cluster.nodes:
            it.kill()
        cluster.stop()
        subprocess.run(["umount", data], check=True)


def test_a_row_that_has_ended_does_not_change(tmp_path: Path) -> None:
    """It is terminal (BUG-32)."""
    journal = Journal(tmp_path, "n1")
    for status in ("success", "failed"):
        journal.begin({"deployment_id": status, "project": "demo"})
        journal.change(status, {"status": status})
        journal.change(status, {"status": "replicating", "error": "late"})
        assert (journal.get(status)["status"], journal.get(status)["error"]) == (status, None)


def test_a_record_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "deployments.sqlite").write_bytes(b"no database" * 1_000)
    with pytest.raises(
        InputError, match=r"cannot use .*deployments\.sqlite: file is not a database"
    ):
        Journal(tmp_path, "n1")
    (tmp_path / "deployments.sqlite").unlink()
    (tmp_path / "deployments.sqlite").mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        Journal(tmp_path, "n1")


def test_the_record_of_a_full_database_is_written_later(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "n1")
    journal.begin({"deployment_id": "id", "project": "demo"})
    journal._database.execute("PRAGMA max_page_count = 1")  # no page more than there are
    entry = {"t": 1, "event": "install", "data": {"line": "x" * 100_000}}
    journal.change("id", {"status": "success", "event_log": [entry]})
    assert journal.get("id")["status"] == "success"
    assert journal.get("id")["event_log"] == [entry]
    assert journal.list({})["deployments"][0]["status"] == "success"  # type: ignore[index]
    journal._database.execute("PRAGMA max_page_count = 100000")
    journal.get("id")
    journal._database.close()
    assert Journal(tmp_path, "n1").get("id")["event_log"] == [entry]

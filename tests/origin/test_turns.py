"""Deploys of one project at the same time, where the second may not wait."""

from __future__ import annotations

from pathlib import Path

from tests.origin.archives import component
from tests.origin.nodes import FILES, form, raw, real_cluster, wait_for

FIELDS = {"operation": "deploy_component", "project": "demo", "replicated": False}


def test_a_second_deploy_is_refused_where_the_configuration_says_so(tmp_path: Path) -> None:
    gate, began = tmp_path / "gate", tmp_path / "began"
    script = f"touch {began}; while test ! -e {gate}; do sleep 0.02; done"
    wait = f"""on_deploy = ["sh", "-c", "{script}"]"""
    with real_cluster(tmp_path / "cluster") as cluster:
        node = cluster.start("n1", f"{wait}\nwait_for_project = false")
        whole = form(FIELDS, component(version=b"1"))
        with raw(node, whole, len(whole)) as connection:
            wait_for(began.exists)
            assert node.deploy(component(version=b"2"))[0] == 409
            rollback = {"operation": "rollback_component", "project": "demo"}
            assert node.ask(rollback)[0] == 409
            assert node.deploy(component(other=b""), project="other", restart=1)[0] == 400
            gate.touch()
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert node.live() == {"version": b"1"}


def test_of_two_uploads_at_once_the_second_is_refused_before_its_payload(tmp_path: Path) -> None:
    """The first one has begun to arrive, and is not deployed yet."""
    with real_cluster(tmp_path) as cluster:
        node = cluster.start("n1", "wait_for_project = false")
        whole = form(FIELDS, component(version=b"1"))
        with raw(node, whole[:-100], len(whole)) as first:
            wait_for(node.rows)
            with raw(node, form(FIELDS, component(**FILES))[:1_000], 1 << 40) as second:
                assert second.recv(65_536).startswith(b"HTTP/1.1 409 ")
            assert node.ask({"operation": "rollback_component", "project": "demo"})[0] == 409
            first.sendall(whole[-100:])
            assert first.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert node.live() == {"version": b"1"}
        assert [it["status"] for it in node.rows()] == ["success"]
        assert node.deploy(component(version=b"2"))[0] == 200, "nothing is under way any more"

"""Nodes of an earlier and of this version of the package in one cluster."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installing import CHECKOUT, environment_of
from tests.origin.archives import component
from tests.origin.nodes import FILES, RealCluster, basic, real_cluster

SOCKET = "replication_port = 0"
FIRST = "connections: int = "
"""A part of relay/origin/config.py since the configuration is as it is today."""
NUMBER = "0.0.1"
"""What the earlier version calls itself."""


def tree_of_an_earlier_version(tree: Path) -> None:
    """Write the first commit that reads today's configuration.

    A shallow clone has one commit only, and an unpacked archive none; then the earlier version
    differs in its number.
    """
    git = ["git", "-C", str(CHECKOUT)]
    found: list[str] = []
    if shutil.which("git") and (CHECKOUT / ".git").exists():
        search = [*git, "log", "-S", FIRST, "--format=%H", "--", "relay/origin/config.py"]
        found = subprocess.run(search, check=True, capture_output=True, text=True).stdout.split()
    if found:
        tree.mkdir()
        packed = subprocess.run([*git, "archive", found[-1]], check=True, capture_output=True)
        subprocess.run(["tar", "-x", "-C", str(tree)], input=packed.stdout, check=True)
    else:
        shutil.copytree(CHECKOUT, tree, symlinks=True, ignore=shutil.ignore_patterns(".*"))
    about = tree / "pyproject.toml"
    text, count = re.subn(r'(?m)^version = "[^"]+"', f'version = "{NUMBER}"', about.read_text())
    assert count == 1
    about.write_text(text)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command `relay` of an earlier version."""
    home = tmp_path_factory.mktemp("earlier")
    tree_of_an_earlier_version(home / "tree")
    (home / "wheel").mkdir()
    return str(environment_of(home / "tree", home / "wheel") / "bin" / "relay")


@pytest.fixture(scope="module")
def mixed(earlier: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("mixed")) as cluster:
        cluster.start("old", SOCKET, program=(earlier,))
        cluster.start("new", SOCKET)
        cluster.publish()
        yield cluster


def test_the_nodes_are_of_two_versions(mixed: RealCluster) -> None:
    old, new = (it.ask({"operation": "registration_info"})[1] for it in mixed.nodes)
    assert old.get("relay_serve", old["version"]) == NUMBER != new["relay_serve"]


@pytest.mark.parametrize("origin", [0, 1], ids=["from-old-to-new", "from-new-to-old"])
def test_each_version_deploys_to_the_other(mixed: RealCluster, project: str, origin: int) -> None:
    sender, other = mixed.nodes[origin], mixed.nodes[1 - origin]
    for version in (b"1", b"2"):
        files = {**FILES, "version": version}
        events = sender.events(component(**files), project=project, replicated=True)
        name, data = events[-1]
        assert name == "done", data
        [record] = data["result"]["replicated"]
        assert (record["node"], record["status"]) == (other.name, "success")
        assert record["payload_hash"] == data["result"]["payload_hash"]
        seen = [(it["event"], it["data"]) for name, it in events if name == "replicate"]
        assert ("phase", {"phase": "success", "status": "done"}) in seen
        for node in mixed.nodes:
            assert node.live(project) == files
            assert node.rows(project=project)[0]["status"] == "success"
    rollback = {"operation": "rollback_component", "project": project, "replicated": True}
    status, answer = sender.ask(rollback)
    assert status == 200, answer
    assert [it["status"] for it in answer["replicated"]] == ["success"]
    for node in mixed.nodes:
        assert node.live(project)["version"] == b"1"


@pytest.mark.parametrize("issuer", [0, 1], ids=["of-old", "of-new"])
def test_a_token_counts_on_both_versions(mixed: RealCluster, issuer: int) -> None:
    ask = {"operation": "create_authentication_tokens"}
    _, tokens = mixed.nodes[issuer].ask(ask, basic("admin"))
    bearer = {"Authorization": f"Bearer {tokens['operation_token']}"}
    for node in mixed.nodes:
        assert node.ask({"operation": "registration_info"}, bearer)[0] == 200


def test_a_directory_of_an_earlier_version_is_used_on(tmp_path: Path, earlier: str) -> None:
    with real_cluster(tmp_path) as cluster:
        node = cluster.start("n1", SOCKET, program=(earlier,))
        _, answer = node.deploy(component(version=b"1"))
        row = node.row(answer["deployment_id"])
        assert node.stop() == 0
        node = cluster.start("n1", SOCKET)
        assert node.row(answer["deployment_id"]).items() >= row.items()
        assert node.live() == {"version": b"1"}
        assert node.deploy(component(version=b"2"))[0] == 200
        assert node.ask({"operation": "rollback_component", "project": "demo"})[0] == 200
        assert node.live() == {"version": b"1"}

"""The fixture `real_cluster`, also as a project uses it that has the kit installed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from deploy_relay_kit import extras
from deploy_relay_kit.harness import RealCluster
from deploy_relay_kit.harness.nodes import cluster as module

pytest_plugins = ["pytester"]
PAGE = Path(__file__).parents[2] / "docs" / "testing.md"

PROJECT = '''
import asyncio, tarfile
from pathlib import Path
from deploy_relay_kit import relay

def deploy(urls, ca_file, username, password):
    """What the user wrote: here, with the library of the kit."""
    Path("config.yaml").write_text("static: true")
    with tarfile.open("package.tar.gz", mode="w:gz") as tar:
        tar.add("config.yaml", "package/config.yaml")
    nodes = [relay.Node(url, url) for url in urls]
    fields = {"operation": "deploy_component", "project": "my-component", "replicated": False}
    how = {"tls": relay.Tls(ca_file), "mint": relay.OperationsMint(username, password)}
    report = asyncio.run(relay.deploy(nodes, fields, "package.tar.gz", **how))
    return [it["status"] for it in report.records]
'''

FAILING = """
from deploy_relay_kit.harness import RealCluster

def test_fails(real_cluster):
    cluster = real_cluster(1)
    (cluster.nodes[0].home / "stderr").open("a").write("what the node wrote")
    assert not cluster.nodes

def test_fails_without_the_fixture():
    with RealCluster(1) as cluster:
        (cluster.nodes[0].home / "stderr").open("a").write("what another node wrote")
    assert cluster.home.exists()
"""


def test_the_example_of_the_page_works(pytester: pytest.Pytester) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = [it for it in blocks if "real_cluster" in it]
    pytester.makepyfile(my_project=PROJECT, test_page=example, test_failing=FAILING)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.re_match_lines_random(
        [r"<RealNode node-1 https://127.*>", "what the node wrote", "what another node wrote"]
    )


def test_a_node_ends_and_comes_back_in_its_place(tmp_path: Path) -> None:
    with RealCluster(1, directory=tmp_path) as cluster:
        node = cluster["node-1"]
        other = cluster.start("other", "replication_port = 0")
        assert other.replication_url is not None
        assert other.replication_url in cluster.nodes_file.read_text()
        assert repr(cluster) == (
            f"<RealCluster of node-1 {node.url}, other {other.url} in {tmp_path}>"
        )
        assert node.stop() == 0
        assert repr(node) == f"<RealNode node-1 {node.url} in {node.home}, ended with 0>"
        again = cluster.start("node-1")
        assert (again.url, [*cluster]) == (node.url, [again, other])
        assert again.ask({"operation": "get_components"}) == (200, {"components": []})
        again.kill()
        assert not again.is_running
        assert node.password not in repr([*cluster])
    assert not other.is_running


def test_a_temporary_directory_is_removed() -> None:
    with RealCluster() as cluster:
        assert cluster.home.is_dir()
        assert repr(cluster) == f"<RealCluster of no nodes in {cluster.home}>"
    assert not cluster.home.exists()


def test_a_node_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"node 'node-1' did not start: .*unknown member 'nope'"):
        RealCluster(2, settings="nope = 1", directory=tmp_path)
    with RealCluster(directory=tmp_path) as cluster:
        with pytest.raises(RuntimeError, match="node 'node-1' did not start:"):
            cluster.start(program=(sys.executable, "-c", "print('no line', end='')"))
        with pytest.raises(ValueError, match=r"letters, digits and dashes, not '\.\./up'"):
            cluster.start("../up")
        with pytest.raises(KeyError, match="no node is named 'none'"):
            cluster["none"]


def test_a_missing_extra_has_a_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "jwt" else name)
    remedy = re.escape(extras.remedy("node"))
    with pytest.raises(ImportError, match=f"a real node needs jwt; {remedy}"):
        RealCluster(1, directory=tmp_path / "none")
    assert not (tmp_path / "none").exists()

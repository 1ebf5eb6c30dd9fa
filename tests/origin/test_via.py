"""A deploy by way of an origin, and the record of a node in a terminal."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.peer.addresses import loopback_address
from deploy_relay_kit.relay.command.cli import main
from deploy_relay_kit.relay.command.deployments import event_line
from deploy_relay_kit.relay.report import Record
from deploy_relay_kit.relay.via import deploy_via, record_of
from tests.origin.archives import component
from tests.origin.nodes import FILES, RELAY, RealCluster, RealNode, real_cluster, wait_for
from tests.relay.driving import DEPLOY, against

HOST = loopback_address(1)


def reached(node: RealNode) -> list[str]:
    home = node.home.parent
    return [
        f"--via={node.url}",
        "--user=admin",
        f"--password-file={home / 'password'}",
        f"--ca={home / 'ca.pem'}",
    ]


def deploy(node: RealNode, tmp_path: Path, project: str, *more: str) -> int:
    for name, content in FILES.items():
        file = tmp_path / "component" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    path = str(tmp_path / "component")
    return main(["deploy", path, f"--project={project}", *reached(node), *more])


@pytest.fixture
def broken(cluster: RealCluster) -> Iterator[RealCluster]:
    """A cluster whose second node is at a port where nobody listens."""
    file = cluster.home / "nodes.toml"
    file.write_text(file.read_text().replace(cluster.nodes[1].url, "https://127.0.0.1:1/"))
    yield cluster
    cluster.publish()


def test_one_upload_reaches_every_node(
    cluster: RealCluster, project: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(cluster.nodes[0], tmp_path, project) == 0
    assert [node.live(project) for node in cluster.nodes] == [FILES] * 3
    shown = capsys.readouterr()
    rows = [line.split("\t") for line in shown.out.splitlines()]
    message = f"Successfully deployed: {project}"
    assert rows == [[it, "success", message] for it in (HOST, "n2", "n3")]
    # The progress of the other nodes is shown as that of a direct deploy.
    for text in ("sending", "waiting for the answer", "phase prepare: start", "success"):
        assert f"n2: {text}" in shown.err
    assert "3 of 3 done" in shown.err


def test_a_node_that_is_probed_takes_forms(
    cluster: RealCluster, project: str, tmp_path: Path
) -> None:
    node = cluster.nodes[0]
    _, *how = reached(node)
    (tmp_path / "index.html").write_bytes(b"<p>")
    given = [str(tmp_path), f"--project={project}", f"--node=n1={node.url}", "--probe", *how]
    assert main(["deploy", *given]) == 0
    assert node.live(project) == {"index.html": b"<p>"}


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_the_report_has_every_record(
    broken: RealCluster,
    project: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    quiet: Sequence[str],
) -> None:
    assert deploy(broken.nodes[0], tmp_path, project, "--json", *quiet) == 1
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert document["succeeded"] is False
    found = [(it["node"], it["status"]) for it in document["records"]]
    assert found == [(HOST, "success"), ("n2", "failed"), ("n3", "success")]
    origin, second, _ = document["records"]
    assert origin["message"].startswith("deployed here, but 1 of 2 nodes failed: n2 (")
    assert second["stage"] == "connect"
    assert ("to repeat it: " in shown.err) == (not quiet)


def test_ignored_failures_are_failures_of_the_command(
    broken: RealCluster, project: str, tmp_path: Path
) -> None:
    ignoring = ("--field", "ignore_replication_errors=true")
    assert deploy(broken.nodes[0], tmp_path, project, *ignoring) == 1


def test_events_are_those_of_a_direct_deploy(
    cluster: RealCluster, project: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(cluster.nodes[0], tmp_path, project, "--events") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for node in ("n2", "n3"):
        names = [it["event"] for it in events if it["node"] == node]
        assert names[0] == "mint"
        assert {"sent", "phase"} < set(names)
        assert names.count("settled") == 1
    assert (events[-1]["node"], events[-1]["event"]) == (HOST, "settled")


def test_an_origin_that_refuses_is_one_record(
    cluster: RealCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(cluster.nodes[0], tmp_path, "x", "--field=package=y", "--json") == 1
    (record,) = json.loads(capsys.readouterr().out)["records"]
    assert (record["node"], record["status"], record["statusCode"]) == (HOST, "failed", 400)
    assert "'package' is not supported" in record["reason"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--via=https://h/", "--node=a=https://a/"], "leave out --node"),
        (["--via=https://h/", "--legacy"], "leave out --legacy"),
        (["--via=http://user:secret@h/"], "holds a user name or password"),
        (["--via=nonsense"], "--via 'nonsense'"),
    ],
)
def test_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], text: str
) -> None:
    assert main(["deploy", str(tmp_path), "--project=x", "--user=u", *options]) == 2
    shown = capsys.readouterr().err
    assert text in shown
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("found", "record"),
    [
        ({"node": "a"}, {"node": "a", "status": "success"}),
        ({"name": "a", "status": "failed", "reason": "r"}, {"status": "failed", "reason": "r"}),
        ({"hostname": "a", "error": {"message": "m"}}, {"status": "failed", "reason": "m"}),
        ({"node": "a", "status": "success", "error": "e"}, {"status": "failed", "reason": "e"}),
        ({"node": "a", "status": "failed"}, {"reason": "the origin did not say how it ended"}),
        ({"node": "a", "status": None}, {"status": "success"}),
        (
            {"node": "a", "status": "FAILED"},
            {"status": "failed", "reason": "the origin reports the status 'FAILED'"},
        ),
        ({"node": "a", "status": "odd", "reason": "r"}, {"status": "failed", "reason": "r"}),
        ({"node": 7}, None),
        ("text", None),
    ],
)
def test_a_record_of_any_origin(found: object, record: Record | None) -> None:
    actual = record_of(found)
    assert actual is record is None or (record or {}).items() <= (actual or {}).items()


@pytest.mark.parametrize(
    ("failed", "replicated", "records"),
    [
        (["a"], None, [("n", "success"), ("a", "failed")]),
        ([{"node": "a", "error": "e"}], [], [("n", "success"), ("a", "failed")]),
        (
            ["a"],
            [{"node": "a"}, {"node": "b"}],
            [("n", "success"), ("b", "success"), ("a", "failed")],
        ),
        (None, [{"node": "a", "status": "failed"}], [("n", "failed"), ("a", "failed")]),
        (["n"], [{"node": "a"}], [("n", "failed"), ("a", "success")]),
        (True, None, [("n", "failed")]),
    ],
)
def test_an_origin_that_failed_is_a_success_only_if_it_names_the_nodes_that_failed(
    tmp_path: Path, failed: object, replicated: object, records: list[tuple[str, str]]
) -> None:
    answer = {"error": "not everywhere", "failed_peers": failed, "replicated": replicated}
    package = tmp_path / "package.tar.gz"
    package.write_bytes(b"\x1f\x8b")

    reports: list[relay.Report] = []

    async def work(node: relay.Node) -> relay.Report:
        reports.append(await deploy_via(node, DEPLOY, package))
        return reports[0]

    body = json.dumps(answer).encode()
    asyncio.run(against(lambda _: (500, body), work, relay.GivenToken("t")))
    assert sorted((it["node"], it["status"]) for it in reports[0].records) == sorted(records)
    assert not reports[0].succeeded


def test_an_origin_whose_restart_never_ends_is_not_awaited_for_ever(tmp_path: Path) -> None:
    """Such as one that was restarted, and has forgotten the job."""
    package = tmp_path / "package.tar.gz"
    package.write_bytes(b"\x1f\x8b")

    async def work(node: relay.Node) -> relay.Report:
        return await deploy_via(node, DEPLOY, package, limits=relay.Limits(restart=0.2))

    def answer(operation: str) -> tuple[int, bytes]:
        if operation == "get_job":
            return 200, b"[]"
        return 200, json.dumps({"replicated": [{"node": "a"}], "restartJobId": "j"}).encode()

    record = asyncio.run(against(answer, work, relay.GivenToken("t")))
    assert (record["reason"], record["uncertain"]) == ("not restarted in 0.4 s", True)


# -- the record --------------------------------------------------------------------------------


def test_the_record_is_shown(
    cluster: RealCluster, project: str, capsys: pytest.CaptureFixture[str]
) -> None:
    node = cluster.nodes[0]
    _, answer = node.deploy(component(**FILES), project=project)
    node.deploy(b"no archive", project=project)
    mine = [*reached(node), f"--project={project}"]
    assert main(["deployments", *mine]) == 0
    newest, oldest = (it.split("\t") for it in capsys.readouterr().out.splitlines())
    assert (newest[2], oldest[2], oldest[0]) == ("failed", "success", answer["deployment_id"])
    assert main(["deployments", *mine, "--status=faild"]) == 0
    assert "no deploys match" in capsys.readouterr().err
    assert main(["deployments", *mine, "--status=failed", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["deployments"]
    assert main(["deployment", row["deployment_id"], *reached(node)]) == 1
    shown = capsys.readouterr().out
    assert "status\tfailed\n" in shown
    assert "event\tphase prepare: start\n" in shown
    assert main(["deployment", answer["deployment_id"], *reached(node)]) == 0


def test_a_deployment_is_followed_to_its_end(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    command = f"echo begun; until test -e {gate}; do sleep 0.05; done"
    with real_cluster(tmp_path / "cluster") as cluster:
        node = cluster.start("n1", f'on_deploy = ["sh", "-c", "{command}"]')
        deploying = threading.Thread(target=node.deploy, args=[component(**FILES)])
        deploying.start()
        wait_for(lambda: [it for it in node.rows() if it["status"] == "installing"])
        (row,) = node.rows()
        asked = ["deployment", row["deployment_id"], "--follow", *reached(node)]
        with subprocess.Popen([RELAY, *asked], stdout=subprocess.PIPE, text=True) as following:
            assert following.stdout is not None
            assert "| begun\n" in iter(following.stdout.readline, "")
            gate.touch()
            assert "status\tsuccess\n" in following.stdout.read()
        deploying.join(30)
        assert following.returncode == 0


def test_an_unknown_deployment_is_named(
    cluster: RealCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    for follow in ([], ["--follow"]):
        assert main(["deployment", "none", *follow, *reached(cluster.nodes[0])]) == 1
        assert "No deployment found with id 'none'" in capsys.readouterr().err
    assert main(["deployments", "--via=nonsense", "--user=u"]) == 2


def test_the_line_of_an_event_holds_no_control_characters() -> None:
    inner = {"node": "n2", "event": "install", "data": {"line": "a\x1b[2Jb"}}
    assert event_line("replicate", inner) == "n2: | a [2Jb"
    assert event_line("peer", {"node": "b", "status": "failed", "reason": "r"}) == "b: failed: r"

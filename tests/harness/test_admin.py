"""The admin endpoint and the file of nodes of `relay-harness serve`, as programs use them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy_relay_kit.harness.cli.admin import BODY_LIMIT, admin
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.judge.shipped_paths import sample_component
from tests.programs import skip_without
from tests.rawclient import RawClient, mint

ROOT = Path(__file__).parents[2]
SERVE = [sys.executable, "-m", "deploy_relay_kit.harness", "serve"]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")


@contextlib.contextmanager
def served(*arguments: str) -> Iterator[dict[str, Any]]:
    """The JSON of a cluster that another process serves."""
    with subprocess.Popen(
        [*SERVE, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline())


class Client:
    """Requests to an admin endpoint."""

    def __init__(self, described: dict[str, str]) -> None:
        self.at = urlsplit(described["url"])
        self.headers = {"Authorization": f"Bearer {described['token']}"}

    def ask(self, method: str, path: str, body: bytes | str | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.at.hostname or "", self.at.port, timeout=10)
        connection.request(method, path, body, self.headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        connection.close()
        return answer.status, content

    def set(self, name: str, *faults: str) -> tuple[int, Any]:
        return self.ask("PUT", f"/nodes/{name}", json.dumps({"faults": faults}))


@pytest.fixture
def client(cluster: FakeCluster) -> Iterator[Client]:
    cluster.peer()
    with admin(cluster) as described:
        yield Client(described)


def test_faults_change_while_the_cluster_runs(cluster: FakeCluster, client: Client) -> None:
    """Also those that are read at the start: the node is back on its port with its tokens."""
    [peer] = cluster
    assert client.set("node-1", "MintAnswer:503")[0] == 200
    with RawClient(peer.url, ca_file=cluster.ca_file) as raw:
        raw.send(b"GET / HTTP/1.1\r\nHost: p\r\n\r\n")
        raw.read_answer()
    with pytest.raises(KeyError):
        mint(peer, cluster.ca_file)
    for fault in ("Refuse", "Refuse:3600,healthy"):
        assert client.set("node-1", fault)[0] == 200
        with pytest.raises(ConnectionRefusedError):
            mint(peer, cluster.ca_file)
    status, shown = client.set("node-1")
    assert (status, shown) == (
        200,
        {"name": "node-1", "url": peer.url, "running": True, "faults": []},
    )
    mint(peer, cluster.ca_file)


def test_a_node_is_killed_and_restarted(cluster: FakeCluster, client: Client) -> None:
    [peer] = cluster
    assert client.ask("POST", "/nodes/node-1/kill")[1]["running"] is False
    with pytest.raises(ConnectionRefusedError):
        mint(peer, cluster.ca_file)
    assert client.ask("POST", "/nodes/node-1/restart")[1]["running"] is True
    mint(peer, cluster.ca_file)
    status, seen = client.ask("GET", "/timelines")
    assert status == 200
    assert "request head: POST /" in seen["timelines"]
    assert peer.password not in seen["timelines"]


@pytest.mark.parametrize(
    ("request_line", "body", "status", "words"),
    [
        ("PUT /nodes/node-1", '{"faults": ["nope"]}', 400, "no such fault"),
        ("PUT /nodes/node-1", '{"faults": ["Answer", "Answer:503"]}', 400, "same upload"),
        ("PUT /nodes/node-1", '{"faults": "Answer"}', 400, "give {"),
        ("PUT /nodes/node-1", "[" * 50_000, 400, "give {"),
        ("PUT /nodes/node-1", "[]", 400, "give {"),
        ("PUT /nodes/node-1", "x" * (BODY_LIMIT + 1), 413, f"at most {BODY_LIMIT} bytes"),
        ("PUT /nodes/node-9", '{"faults": []}', 404, "the nodes are node-1"),
        ("DELETE /nodes/node-1", None, 404, "DELETE /nodes/node-1 is unknown"),
        ("POST /nodes/node-1/explode", None, 404, "is unknown"),
    ],
)
def test_a_wrong_request_is_told_what_is_right(
    client: Client, request_line: str, body: str | None, status: int, words: str
) -> None:
    method, path = request_line.split()
    with contextlib.suppress(BrokenPipeError):
        answered, answer = client.ask(method, path, body)
        assert answered == status
        assert words in answer["error"]
    assert client.ask("GET", "/nodes/node-1")[1]["faults"] == []


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic {token}", "\xe9"])
def test_without_the_token_nothing_is_shown_or_changed(client: Client, authorization: str) -> None:
    token = client.headers["Authorization"].partition(" ")[2]
    right, client.headers = client.headers, {"Authorization": authorization.format(token=token)}
    for method, path in [("GET", "/nodes"), ("POST", "/nodes/node-1/kill"), ("GET", "/")]:
        status, answer = client.ask(method, path)
        assert (status, list(answer)) == (401, ["error"])
    client.headers = right
    assert client.ask("GET", "/nodes")[1][0]["running"] is True


def test_relay_deploy_takes_the_file_of_nodes(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("of-all-nodes")
    (tmp_path / "password").chmod(0o600)
    login = ["--user", "admin", "--password-file", str(tmp_path / "password")]
    nodes, ca = str(tmp_path / "cluster.nodes"), str(tmp_path / "ca.pem")
    files = ["--nodes-file", nodes, "--ca-file", ca]
    with served("--fault", "node-2=Answer:400,healthy", *login, *files) as described:
        assert "admin" not in described
        command = [sys.executable, "-m", "deploy_relay_kit.relay", "deploy"]
        where = ["--nodes", nodes, "--ca", ca]
        deploy = [*command, str(sample_component()), "--project", "demo", *where, *login]
        first = subprocess.run(deploy, capture_output=True, text=True, check=False)
        second = subprocess.run(deploy, capture_output=True, text=True, check=False)
    assert (first.returncode, second.returncode) == (1, 0), first.stderr + second.stderr


@pytest.mark.parametrize("option", ["--nodes-file", "--ca-file"])
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, option: str) -> None:
    file = tmp_path / "none" / "cluster.nodes"
    command = [*SERVE, option, str(file)]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"relay-harness: {option} {file}: No such file or directory\n"


def client_of_the_page(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    [text] = [text for text in found if "cluster.json" in text]
    assert len(text.splitlines()) <= 12
    return str(text)


@pytest.mark.parametrize(
    ("language", "programs", "shown"),
    [("sh", ("sh", "curl", "jq"), "answer 503, then nothing"), ("js", ("node",), "reset after")],
)
def test_the_clients_of_the_page_work(
    tmp_path: Path, language: str, programs: tuple[str, ...], shown: str
) -> None:
    for program in programs:
        skip_without(program)
    script = tmp_path / f"client.{'mjs' if language == 'js' else language}"
    script.write_text(client_of_the_page(language))
    with served("--admin") as described:
        (tmp_path / "cluster.json").write_text(json.dumps(described))
        done = subprocess.run(
            [programs[0], script.name],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout

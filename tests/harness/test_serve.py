"""`relay-harness serve`, as a program outside of Python uses it."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cli.main import main
from deploy_relay_kit.harness.judge.shipped_paths import sample_component
from tests.rawclient import RawClient

SERVE = [sys.executable, "-m", "deploy_relay_kit.harness", "serve"]


@pytest.mark.parametrize(
    "end", ["end of a pipe", "end of a socket", signal.SIGINT, signal.SIGTERM], ids=str
)
def test_a_cluster_is_held_up_and_described(end: str | signal.Signals) -> None:
    """Whoever starts it hands it a pipe, or, as Node does, a socket."""
    command = [*SERVE, "--nodes", "3", "--fault", "node-2=ResetAtAccept"]
    ours, theirs = socket.socketpair()
    stdin = theirs.fileno() if end == "end of a socket" else subprocess.PIPE
    with (
        ours,
        subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as served,
    ):
        theirs.close()
        assert served.stdout
        described = json.loads(served.stdout.readline())
        names = [node["name"] for node in described["nodes"]]
        assert names == ["node-1", "node-2", "node-3"]
        assert not any("replication_url" in node for node in described["nodes"])
        with RawClient(described["nodes"][0]["url"], ca_file=Path(described["ca_file"])) as client:
            client.send(b"GET /nope HTTP/1.1\r\nHost: p\r\n\r\n")
            assert client.read_answer().status == 404
        if isinstance(end, signal.Signals):
            os.kill(served.pid, end)
            assert served.wait(10) == 0, "while its input is still open"
        ours.close()
        _, errors = served.communicate(timeout=10)
    assert served.returncode == 0, errors
    assert "request head: GET /nope" in errors
    assert not Path(described["ca_file"]).exists()


@pytest.mark.parametrize(("arguments", "most"), [([], 24), (["--replication"], 12)])
def test_a_cluster_that_there_are_no_descriptors_for_is_refused(
    arguments: list[str], most: int
) -> None:
    """Before the first node is started; the error has the largest number, which works."""

    def serve(nodes: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*SERVE, f"--nodes={nodes}", *arguments],
            stdin=subprocess.DEVNULL if nodes > most else subprocess.PIPE,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)),
        )

    done = serve(99_999)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"relay-harness: --nodes 99999: at most {most}, because each takes ")
    assert "may open 128; give fewer, or raise the limit (ulimit -n)" in line
    done = serve(most)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["nodes"]) == most


def test_a_cluster_is_held_up_without_a_standard_input() -> None:
    line = f"exec {shlex.join(SERVE)} --nodes 1 <&-"
    with subprocess.Popen(
        ["sh", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as served:
        assert served.stdout
        [node] = json.loads(served.stdout.readline())["nodes"]
        served.terminate()
        _, errors = served.communicate(timeout=10)
    assert served.returncode == 0, errors
    assert errors.splitlines() == [f"{node['name']} {node['url']}", "  nobody connected"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nodes", "0"], ["--nodes: give an integer of 1 or more, not '0'"]),
        (["--user", "u", "--password-file", os.devnull], ["--password-file /dev/null", "empty"]),
        (["--user", "u", "--password-file", sys.executable], ["not UTF-8", "give a text file"]),
        (["--fault", "ResetAtAccept"], ["'ResetAtAccept'", "NODE=FAULT"]),
        (["--fault", "node-9=Refuse"], ["'node-9=Refuse'", "node-1 to node-3"]),
        (["--fault", "node-1=Nope"], ["'Nope'", "no such fault"]),
        (
            ["--fault", "node-1=ReadSlowly:0"],
            ["'ReadSlowly:0'", "bytes_per_second must be", "not 0"],
        ),
        (
            ["--fault", "node-1=Answer:401", "--fault", "node-1=ResetAfter:1"],
            ["--fault for node-1", "concern the same upload"],
        ),
    ],
)
def test_bad_input_is_named_with_its_remedy(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    assert main(["serve", *arguments]) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error


def test_relay_deploy_reaches_all_nodes_of_a_served_cluster(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("of-all-nodes\r\n", "utf-8-sig")
    login = ["--user", "admin", "--password-file", str(password)]
    with subprocess.Popen(
        [*SERVE, "--nodes", "2", "--replication", *login],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as served:
        assert served.stdout
        assert served.stdin
        described = json.loads(served.stdout.readline())
        assert all(node["replication_url"].startswith("wss:") for node in described["nodes"])
        nodes = [f"--node={node['name']}={node['url']}" for node in described["nodes"]]
        command = [
            sys.executable,
            "-m",
            "deploy_relay_kit.relay",
            "deploy",
            str(sample_component()),
            *nodes,
        ]
        command += [*login, "--ca", described["ca_file"]]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        served.stdin.close()
    assert run.returncode == 0, run.stdout + run.stderr

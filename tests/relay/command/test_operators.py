"""What an operator meets: a line to repeat, a log file, digests, standard input, typing errors."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.relay.command.cli import main
from deploy_relay_kit.relay.command.reporting.repeat import repeat_line
from tests.relay.command.calling import PASSWORD, command, options, peer_of


def test_a_line_repeats_the_deploy_for_the_failed_nodes(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = peer_of(cluster, "a")
    bad = peer_of(cluster, "b", fault=Answer.error(400, "no"))
    assert main(["deploy", str(component), *options(cluster, files)]) == 1
    (line,) = (it for it in capsys.readouterr().err.splitlines() if "to repeat" in it)
    assert PASSWORD not in line
    assert main(shlex.split(line.partition(": relay ")[2])) == 1
    assert (len(good.uploads), len(bad.uploads)) == (1, 2)


def test_a_line_repeats_a_deploy_through_an_origin(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = peer_of(cluster, "a", fault=Answer.error(400, "no"))
    via = [it for it in options(cluster, files) if not it.startswith("--node=")]
    assert main(["deploy", str(component), *via, f"--via={origin.url}"]) == 1
    (line,) = (it for it in capsys.readouterr().err.splitlines() if "to repeat" in it)
    assert (PASSWORD in line, "--only" in line) == (False, False)
    assert main(shlex.split(line.partition(": relay ")[2])) == 1
    assert len(origin.uploads) == 2


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ("deploy x --only a --node=a=u", "relay deploy --only='n 1' x --node=a=u"),
        ("deploy --only=a 'a b'", "relay deploy --only='n 1' 'a b'"),
        ("deploy -- -x", "relay deploy --only='n 1' -- -x"),
    ],
)
def test_the_line_is_quoted(argv: str, line: str) -> None:
    words = shlex.split(repeat_line(shlex.split(argv), ["n 1"]))
    assert words == shlex.split(line)


def test_json_tells_time_package_and_version(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = peer_of(cluster, "a")
    assert main(["deploy", str(component), *options(cluster, files), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert peer.upload.file is not None
    assert document["package"] == {
        "bytes": peer.upload.file.length,
        "sha256": peer.upload.file.sha256,
    }
    assert document["seconds"] > 0
    assert document["version"]


def test_the_log_file_gets_each_event_and_is_not_packed(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer_of(cluster, "a")
    log = component / "deploy.log"
    arguments = ["deploy", str(component), *options(cluster, files), f"--log-file={log}"]
    assert main([*arguments, "--quiet"]) == 0
    assert "left out deploy.log" in capsys.readouterr().err
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [lines[0]["event"], lines[-1]["event"]] == ["mint", "settled"]
    assert PASSWORD not in log.read_text()
    assert main([*arguments, "--log-file=/no/such"]) == 2
    assert "--log-file: cannot write '/no/such'" in capsys.readouterr().err


def from_pipe(
    cluster: FakeCluster, content: bytes | None, *arguments: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(cluster, Path("-"), *arguments),
        input=content,
        stdin=subprocess.DEVNULL if content is None else None,
        capture_output=True,
        check=False,
        env={**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD},
    )


def test_a_package_may_come_from_standard_input(cluster: FakeCluster) -> None:
    peer = peer_of(cluster, "a")
    content = b"\x1f\x8b" + os.urandom(3_000_000)
    done = from_pipe(cluster, content, "--project=demo", "--json")
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256(content).hexdigest()
    assert json.loads(done.stdout)["package"] == {"bytes": len(content), "sha256": digest}
    assert peer.upload.file is not None
    assert peer.upload.file.sha256 == digest


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (b"\x1f\x8b", [], "name it with --project"),
        (b"no gzip", ["--project=demo"], "it is not gzipped, or empty; pipe a .tar.gz"),
        (None, ["--project=demo"], "it is not gzipped, or empty; pipe a .tar.gz"),
        (b"\x1f\x8b", ["--project=demo", "--nodes=-"], "only one of PATH and the FILEs can be -"),
        (b"\x1f\x8b", ["--project=demo", "--exclude=x"], "--exclude 'x' needs a directory"),
    ],
)
def test_a_wrong_package_on_standard_input(
    cluster: FakeCluster, content: bytes | None, arguments: list[str], words: str
) -> None:
    peer = peer_of(cluster, "a")
    done = from_pipe(cluster, content, *arguments)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[-1].startswith("relay: ")
    assert words in done.stderr.decode()
    assert peer.connections == []


@pytest.mark.parametrize("option", ["--password-file", "--nodes"])
def test_a_file_may_be_the_standard_input(
    cluster: FakeCluster, component: Path, option: str
) -> None:
    peer = peer_of(cluster, "a")
    who = ["--user=admin", f"--ca={cluster.ca_file}", f"{option}=-"]
    nodes = [f"--node=a={peer.url}"] if option == "--password-file" else []
    environment = {**os.environ, "RELAY_PASSWORD": "" if nodes else PASSWORD}
    done = subprocess.run(
        [sys.executable, "-m", "deploy_relay_kit.relay", "deploy", str(component), *nodes, *who],
        input=f"{PASSWORD}\n" if nodes else f"a={peer.url}\n",
        capture_output=True,
        check=False,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr


def test_a_file_that_other_users_can_read_is_named(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer_of(cluster, "a")
    (files / "password").chmod(0o644)
    assert main(["deploy", str(component), *options(cluster, files), "--quiet"]) == 0
    assert "other users can read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("--atempts=3", "unknown option --atempts (did you mean --attempts?)"),
        ("--restart=roling", "relay: argument --restart: invalid choice: 'roling'"),
        ("--attempts=many", "relay: argument --attempts: give an integer of 1 or more, not 'many'"),
        ("--only=nod", "unknown node; did you mean node?"),
        ("--password-file=/dev/zero", "is longer than 65,536 bytes"),
        ("--token-file=/dev/zero", "is longer than 65,536 bytes"),
        ("--nodes=/dev/zero", "is longer than 1,048,576 bytes"),
        ("--ca=/dev/zero", "CA file '/dev/zero' is a device; give a readable PEM file"),
        ("--cert=/dev/zero", "certificate '/dev/zero' is a device; give a readable PEM file"),
        ("--ca=sparse", "'sparse' is longer than 16,777,216 bytes"),
    ],
)
def test_mistakes_have_a_remedy(  # noqa: PLR0917
    component: Path,
    files: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    words: str,
) -> None:
    monkeypatch.chdir(files)
    Path("sparse").touch()
    os.truncate("sparse", 1 << 36)
    who = ["--user=admin"] + ([] if "-file" in wrong else [f"--password-file={files / 'password'}"])
    assert main(["deploy", str(component), "--node=node=https://h/", *who, wrong]) == 2
    assert words in capsys.readouterr().err


def test_a_key_log_that_cannot_be_written(cluster: FakeCluster, component: Path) -> None:
    peer_of(cluster, "a")
    environment = {**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD}
    done = subprocess.run(
        command(cluster, component),
        capture_output=True,
        check=False,
        text=True,
        env={**environment, "SSLKEYLOGFILE": "/no/such/file"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("relay: SSLKEYLOGFILE '/no/such/file' cannot be written")
    assert done.stderr.count("\n") == 1


def test_a_working_directory_that_is_gone(
    cluster: FakeCluster, component: Path, tmp_path: Path
) -> None:
    peer_of(cluster, "a")
    gone = tmp_path / "gone"
    gone.mkdir()
    environment = {**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD}
    for path, code in ((component, 0), (Path(), 2)):
        arguments = shlex.join(command(cluster, path, "--quiet"))
        script = f"mkdir -p {gone}; cd {gone}; rmdir {gone}; exec {arguments}"
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            capture_output=True,
            check=False,
            text=True,
            env={**environment, "PYTHONPATH": str(Path.cwd())},
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr


def test_the_digest_is_that_of_an_archive(
    cluster: FakeCluster, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer_of(cluster, "a")
    archive = files / "demo.tar.gz"
    archive.write_bytes(b"\x1f\x8b and more")
    assert main(["deploy", str(archive), *options(cluster, files), "--dry-run", "--json"]) == 0
    package = json.loads(capsys.readouterr().out)["package"]
    assert package == {"bytes": 11, "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}

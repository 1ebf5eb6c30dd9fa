"""The command line as a program: signals, closed streams and system limits."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.broken_answers import HeadThenSilence
from deploy_relay_kit.harness.faults.kinds import MintHangs, ReadSlowly
from tests.programs import wait_until
from tests.relay.command.calling import PASSWORD, command, peer_of

SOON = 30.0
DRY_RUN = "deploy COMPONENT --project=x --node=a=https://h/ --dry-run"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tmp").mkdir()
    ours = {"RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD, "TMPDIR": str(tmp_path / "tmp")}
    # With unbuffered streams, Python would have nothing to write at its end.
    return {n: v for n, v in os.environ.items() if n != "PYTHONUNBUFFERED"} | ours


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("redirection", "code", "words"),
    [
        ("--json | true", 3, "records could not be written: Broken pipe"),
        ("--events | true", 3, "records could not be written: Broken pipe"),
        (">&-", 3, "records could not be written: Bad file descriptor"),
        (">/dev/full", 3, "records could not be written: No space left on device"),
        ("--events >/dev/full", 3, "records could not be written: No space left on device"),
        ("2>&-", 0, ""),
        ("2>/dev/full", 0, ""),
        (">&- 2>&-", 3, ""),
    ],
)
def test_output_that_cannot_be_written_does_not_stop_a_deploy(
    cluster: FakeCluster,
    component: Path,
    environment: dict[str, str],
    *,
    redirection: str,
    code: int,
    words: str,
) -> None:
    peer = peer_of(cluster, fault=Answer(200, json={"message": "fine"}))
    line = f"{shlex.join(command(cluster, component))} {redirection}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True,
        check=False,
        text=True,
        env=environment,
    )
    assert done.returncode == code, done.stderr
    if redirection == ">/dev/full":  # then the records go to standard error
        assert "node-1\tsuccess\tfine" in done.stderr
    assert peer.upload.complete
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert words in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("--version >/dev/full", 2, "the output could not be written: No space left on device"),
        ("--version >&-", 2, "the output could not be written: Bad file descriptor"),
        ("--print-completion bash >/dev/full", 2, "the output could not be written: No space"),
        ("hash-password <<<x >/dev/full", 2, "the hash could not be written: No space left"),
        ("hash-password <<<x >&-", 2, "the hash could not be written: Bad file descriptor"),
        ("hash-password <<<x 2>&-", 0, ""),
        (f"{DRY_RUN} >/dev/full", 2, "the plan could not be written: No space left on device"),
        (f"{DRY_RUN} | true", 0, ""),
        (f"{DRY_RUN} --json | true", 0, ""),
    ],
)
def test_an_answer_that_cannot_be_written_is_said_in_one_line(
    component: Path, environment: dict[str, str], line: str, code: int, words: str
) -> None:
    program = shlex.quote(str(Path(sys.executable).with_name("relay")))
    text = f"{program} {line.replace('COMPONENT', shlex.quote(str(component)))}"
    bash = ["bash", "-o", "pipefail", "-c", text]
    done = subprocess.run(bash, capture_output=True, check=False, text=True, env=environment)
    errors = [it for it in done.stderr.splitlines() if " pack" not in it]
    assert (done.returncode, len(errors)) == (code, int(bool(words))), done.stderr
    assert words in done.stderr


BUFFERS = pytest.mark.parametrize("unbuffered", ["", "1"])
LONG = "m" * 200_000  # more than a pipe holds


@BUFFERS
def test_records_that_find_no_room_are_not_cut_in_silence(
    cluster: FakeCluster, component: Path, environment: dict[str, str], unbuffered: str
) -> None:
    peer_of(cluster, fault=Answer(200, json={"message": LONG}))
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 64; {shlex.join(command(cluster, component, '--json'))} >out"],
        stderr=subprocess.PIPE,
        check=False,
        text=True,
        cwd=component.parent,
        env=environment | {"PYTHONUNBUFFERED": unbuffered},
    )
    assert done.returncode == 3, done.stderr
    assert "relay: the records could not be written: File too large" in done.stderr
    assert LONG in done.stderr  # where they are readable


@BUFFERS
def test_a_pipe_that_does_not_block_gets_all(
    cluster: FakeCluster, component: Path, environment: dict[str, str], unbuffered: str
) -> None:
    """A parent process may have made it so; Node.js does."""
    peer_of(cluster, fault=Answer(200, json={"message": LONG}))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(reader, encoding="utf-8") as records:
        process = subprocess.Popen(
            command(cluster, component, "--json"),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | {"PYTHONUNBUFFERED": unbuffered},
        )
        os.close(writer)
        with process:
            assert process.stderr is not None
            for line in process.stderr:
                if "1 of 1 done" in line:
                    break
            assert json.load(records)["records"][0]["message"] == LONG
    assert process.returncode == 0


def test_characters_that_the_encoding_lacks_are_escaped(
    cluster: FakeCluster, component: Path, environment: dict[str, str]
) -> None:
    peer_of(cluster, fault=Answer(200, json={"message": "schön"}))
    done = subprocess.run(
        command(cluster, component),
        capture_output=True,
        check=False,
        text=True,
        env={**environment, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stdout) == (0, "node-1\tsuccess\tsch\\xf6n\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_interrupts_and_finished_records_are_printed(
    cluster: FakeCluster, environment: dict[str, str], tmp_path: Path, name: str
) -> None:
    package = tmp_path / "package.tar.gz"
    package.write_bytes(b"\x1f\x8b")
    os.truncate(package, 64_000_000)
    quick = peer_of(cluster, "quick", fault=Answer.error(400, "no"))
    slow = peer_of(cluster, "slow", fault=ReadSlowly(4_000_000))
    with subprocess.Popen(
        command(cluster, package, "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        slow.wait_until(lambda peer: bool(peer.live_uploads), timeout=SOON)
        quick.wait_until(lambda peer: bool(peer.uploads), timeout=SOON)
        assert process.stderr is not None
        for line in process.stderr:
            if " quick: failed" in line:
                break
        process.send_signal(signal.Signals[name])
        output, errors = process.communicate(timeout=SOON)
    assert process.returncode == 128 + signal.Signals[name]
    assert errors.splitlines()[-1] == "relay: interrupted; unfinished work was aborted"
    document = json.loads(output)
    assert (document["succeeded"], document["interrupted"]) == (False, True)
    settled, aborted = document["records"]
    assert (settled["node"], settled["reason"]) == ("quick", "no")
    assert aborted == {"node": "slow", "status": "failed", "reason": "interrupted"}
    assert not slow.upload.complete
    assert slow.upload.connection.closed_by == "client"


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_settles_every_node_in_events_too(
    cluster: FakeCluster, component: Path, environment: dict[str, str], threads: int
) -> None:
    slow = peer_of(cluster, "slow", fault=HeadThenSilence(Answer(200, json={})))
    peer_of(cluster, "other", fault=MintHangs())
    with subprocess.Popen(
        command(cluster, component, "--events", f"--threads={threads}"),
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        slow.wait_until(lambda peer: any(up.complete for up in peer.live_uploads), timeout=SOON)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=SOON)
    assert process.returncode in {130, 143}
    events = [json.loads(line) for line in output.splitlines()]
    records = [event["record"] for event in events if event["event"] == "settled"]
    assert [(it["node"], it["reason"], it.get("uncertain")) for it in records] == [
        ("slow", "interrupted", True),
        ("other", "interrupted", None),
    ]


def test_an_interrupt_while_packing_leaves_no_files(
    cluster: FakeCluster, component: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (component / "large").touch()
    os.truncate(component / "large", 1 << 36)  # its packing lasts for minutes
    peer = peer_of(cluster)
    with subprocess.Popen(
        command(cluster, component), stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        wait_until(lambda: list((tmp_path / "tmp").glob("*/package.tar.gz")), SOON)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SOON)
    assert process.returncode == 143
    packing, interrupted = errors.splitlines()
    assert packing == f"relay: packing {component}"
    assert interrupted == "relay: interrupted; unfinished work was aborted"
    assert list((tmp_path / "tmp").iterdir()) == []
    assert peer.connections == []


def test_an_ignored_hang_up_stays_ignored(
    cluster: FakeCluster, component: Path, environment: dict[str, str]
) -> None:
    peer = peer_of(cluster, fault=ReadSlowly(6_000_000))
    (component / "large").write_bytes(os.urandom(3_000_000))
    line = f"trap '' HUP; exec {shlex.join(command(cluster, component, '--quiet'))}"
    with subprocess.Popen(["bash", "-c", line], env=environment) as process:
        peer.wait_until(lambda peer: bool(peer.live_uploads), timeout=SOON)
        process.send_signal(signal.SIGHUP)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("hard", "concurrency"), [(200, None), (200, 24), (24, None), (24, 24), (32, None)]
)
def test_too_few_descriptors_cost_time_and_no_node(
    cluster: FakeCluster,
    component: Path,
    environment: dict[str, str],
    *,
    hard: int,
    concurrency: int | None,
) -> None:
    """The soft limit is raised; it also limits the nodes at once, unless --concurrency is given."""
    for _ in range(24):
        peer_of(cluster)
    given = [f"--concurrency={concurrency}"] if concurrency else []
    done = subprocess.run(
        command(cluster, component, "--json", "--quiet", "--attempts=1", *given),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, hard)),
    )
    records = json.loads(done.stdout)["records"]
    assert {record["status"] for record in records} == {"success"}, records
    assert not any("attempts" in record for record in records)
    most = {24: 2, 32: 5}.get(hard)
    is_told = f"only {most} nodes at once: too few file descriptors (ulimit -n)" in done.stderr
    assert is_told is (most is not None and concurrency is None)


def test_what_only_some_deploys_need_is_not_imported_at_the_start() -> None:
    """Tables, bars and the packing of directories would take a third of the start."""
    program = "import sys, deploy_relay_kit.relay.command.cli; print(*sorted(sys.modules))"
    line = [sys.executable, "-c", program]
    imported = subprocess.run(line, check=True, capture_output=True, text=True).stdout.split()
    assert "aiohttp" in imported
    assert not {"rich.console", "pathspec", "importlib.metadata", "aiohttp.web"} & {*imported}

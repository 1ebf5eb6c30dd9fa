"""A program that is killed or interrupted at the worst moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.kinds import MintHangs
from tests.relay.command.calling import PASSWORD, command, peer_of

SOON = 30.0


@pytest.mark.parametrize("ended", [True, False], ids=["killed", "alive"])
def test_what_a_killed_process_leaves_is_removed_by_the_next_one(
    cluster: FakeCluster, component: Path, tmp_path: Path, *, ended: bool
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (temporary / "deploy-relay-kit-of-another").mkdir()  # without a lock: not ours, or too new
    ours = {"RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD, "TMPDIR": str(temporary)}
    hanging = peer_of(cluster, fault=MintHangs())
    with subprocess.Popen(command(cluster, component), env={**os.environ, **ours}) as process:
        hanging.wait_until(lambda peer: bool(peer.live_requests), timeout=SOON)
        [left] = temporary.glob("*/package.tar.gz")
        if ended:
            process.kill()
            process.wait(timeout=SOON)
        line = command(cluster, component, f"--limit=mint={0.1}", "--quiet")
        subprocess.run(line, env={**os.environ, **ours}, check=False, capture_output=True)
        assert left.exists() is not ended
        process.terminate()
    assert [file.name for file in temporary.iterdir()] == ["deploy-relay-kit-of-another"]


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("imported", ["asyncio", "aiohttp.client", "tomllib"])
def test_a_signal_while_python_imports_ends_the_program_without_a_traceback(
    imported: str, name: str, code: int
) -> None:
    program = "import sys; from deploy_relay_kit.commands import relay; sys.exit(relay())"
    line = [sys.executable, "-X", "importtime", "-c", program, "deploy", "nowhere"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        shown: list[str] = []
        for text in process.stderr:
            shown.append(text)
            if text.rstrip().endswith(f"| {imported}") or f" {imported}\n" in text:
                break
        process.send_signal(signal.Signals[name])
        shown += process.stderr.readlines()
    number = signal.Signals[name]
    assert process.returncode in {-number, code, 2}, "".join(shown[-20:])
    assert not [text for text in shown if "Traceback" in text or "KeyboardInterrupt" in text]


@pytest.mark.parametrize("imported", ["signal", "importlib", "deploy_relay_kit.extras"])
@pytest.mark.parametrize("program", ["relay", "relay_harness"])
def test_a_signal_at_the_first_import_ends_each_program_without_a_traceback(
    program: str, imported: str
) -> None:
    line = (
        f"import sys; sys.modules.pop({imported!r}, None)\n"
        "class Signal:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {imported!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Signal())\n"
        f"from deploy_relay_kit.commands import {program}; sys.exit({program}())"
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode in {130, -signal.SIGINT}
    assert done.stderr == ""


def test_an_error_that_nothing_catches_still_has_its_traceback() -> None:
    line = "import deploy_relay_kit.commands; 1 / 0"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "Traceback" in done.stderr

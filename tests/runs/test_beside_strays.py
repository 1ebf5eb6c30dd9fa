"""Runs beside clients that are no relay: a port scan, a health check, half a handshake, no TLS.

They come to every port of the run, again and again, while cases run in parallel.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections import Counter
from itertools import cycle
from pathlib import Path

import psutil
import pytest

from tests.programs import LONG
from tests.strays import STRAYS, Stray, health_check

"""Whether whole suites run here, instead of a part of them."""

WITH_FAULTS = "posture or retry or sockets_trust"
WITHOUT = "fanout or token or records"


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Where a process and its children accept connections."""
    found = set()
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            for it in each.net_connections("tcp"):
                if it.status == psutil.CONN_LISTEN:
                    found.add((it.laddr.ip, it.laddr.port))
    return found


def come_and_go(
    run: subprocess.Popen[bytes], strays: tuple[Stray, ...], came: Counter[str]
) -> None:
    """Visit every port of a run with each stray in turn, until it has ended."""
    process, turns = psutil.Process(run.pid), cycle(strays)
    while run.poll() is None:
        with contextlib.suppress(psutil.Error):
            for host, port in listening(process):
                stray = next(turns)
                with contextlib.suppress(OSError):  # the case has ended, or its peer refuses
                    stray(host, port)
                    came[stray.__name__] += 1


@pytest.mark.parametrize(
    ("strays", "part"),
    [
        # A whole handshake is the relay's where a fault of the handshake or before it is on.
        (tuple(it for it in STRAYS if it is not health_check), "" if LONG else WITH_FAULTS),
        (STRAYS, WITHOUT),
    ],
    ids=["without-handshakes", "all"],
)
def test_strays_change_no_verdict(strays: tuple[Stray, ...], part: str, tmp_path: Path) -> None:
    options = ["-n", "2", "--report", "report", *(["-k", part] if part else [])]
    run = subprocess.Popen(
        [sys.executable, "-m", "deploy_relay_kit.harness", "run", *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
    )
    came = Counter[str]()
    visiting = threading.Thread(target=come_and_go, args=(run, strays, came))
    visiting.start()
    printed, _ = run.communicate()
    visiting.join()
    assert run.returncode == 0, printed.decode()
    assert set(came) == {it.__name__ for it in strays}
    result = json.loads((tmp_path / "report" / "result.json").read_text())
    assert {check["verdict"] for case in result["cases"] for check in case.get("checks", [])} <= {
        "passed",
        "not applicable",
    }

"""The verdicts on the reference are the same in any order, beside busy loops, for any capability.

By default each test runs a part of the cases; with RELAY_KIT_LONG_TESTS=1 it runs all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs import LONG

CHECKOUT = Path(__file__).parents[2]
PART = "test_early or test_cancel or test_memory"
ADAPTER = f"cmd:{sys.executable} -m deploy_relay_kit.harness.targets.reference_adapter"
LITTLE = {"RELAY_HARNESS_HUGE_MB": "64", "RELAY_HARNESS_PATIENCE": "60"}


def selected(part: str) -> list[str]:
    return [] if LONG else ["-k", part]


@contextlib.contextmanager
def busy_loops(number: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def run_in_order(order: str, directory: Path, *options: str) -> None:
    """Run the cases with pytest, as the kit's own tests do; each must pass."""
    command = f"{sys.executable} -m pytest tests/conformance -q --tb=short -p no:cacheprovider"
    done = subprocess.run(
        [
            *f"{command} -p tests.runs.reordered --basetemp={directory / 'cases'}".split(),
            *options,
            *selected(PART),
        ],
        cwd=CHECKOUT,
        env={**os.environ, **LITTLE, "ORDER": order, "ROWS": "" if LONG else "2"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4_000:]


@pytest.mark.parametrize("order", ["reversed", "1"] if LONG else ["reversed"])
def test_the_order_of_the_cases_changes_no_verdict(order: str, tmp_path: Path) -> None:
    run_in_order(order, tmp_path, "-n0")


def test_two_busy_loops_change_no_verdict(tmp_path: Path) -> None:
    with busy_loops(2):
        run_in_order("2", tmp_path, "-n2")


@pytest.mark.parametrize(
    ("capabilities", "part", "judged"),
    [
        ("mint.replication", "url or fanout or token", {"URL-08", "URL-09", "KIT-07", "KIT-08"}),
        ("mint.given", "url or fanout or token", {"URL-08", "HTTP-01", "KIT-07", "KIT-08"}),
        ("mint.operations", "patience or fanout or secrets", {"HTTP-03", "BUG-41", "KIT-08"}),
    ],
)
def test_a_relay_that_declares_little_passes(
    capabilities: str, part: str, judged: set[str], tmp_path: Path
) -> None:
    """Without `limits`, too: HTTP-03 is judged by the one case that waits for the relay's own."""
    command = f"{sys.executable} -m deploy_relay_kit.harness run -n 2 --report report".split()
    done = subprocess.run(
        [*command, "--relay", f"{ADAPTER} {capabilities}", *selected(part)],
        cwd=tmp_path,
        env={**os.environ, **LITTLE},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    result = json.loads((tmp_path / "report" / "result.json").read_text())
    verdicts = {it["id"]: it["verdict"] for it in result["requirements"]}
    assert set(verdicts.values()) <= {"passed", "not applicable"}
    assert {id_ for id_ in judged if verdicts[id_] == "passed"} == judged
    declared = set(capabilities.split())
    for case in result["cases"]:
        for check in case.get("checks", []):
            if check["verdict"] == "not applicable" and "," not in check["blocked_by"]:
                assert check["blocked_by"] not in declared

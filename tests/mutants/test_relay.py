"""Each mutant can be had as a relay of its own, by its name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.mutants.catalogue import BY_PLACE
from tests.mutants.odd_groups import ODD_BY_NAME

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def test_without_a_name_all_are_listed() -> None:
    listed = {line.split()[0] for line in run("tests.mutants.relay").stdout.splitlines()}
    assert listed == {*BY_PLACE, *ODD_BY_NAME}


def test_a_mutant_is_judged_by_its_name() -> None:
    relay = f"cmd:{sys.executable} -m tests.mutants.relay a_list_is_spread"
    judged = run("deploy_relay_kit.harness", "run", "--relay", relay, "--requirement", "RES-04")
    assert judged.returncode == 1, judged.stderr
    assert "RES-04" in judged.stdout


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    refused = run("tests.mutants.relay", "a_list_is_spred")
    assert refused.returncode == 2
    assert "a_list_is_spread" in refused.stderr

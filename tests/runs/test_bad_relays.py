"""Whole runs against relays that do little or nothing: what a person sees, and what is green."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
NOTHING = "the relay opened no connection to a healthy peer; it reported: "
UNTRUSTED = "the relay did not trust the certificate of a healthy peer"


def run(relay: str, directory: Path, *options: str) -> tuple[int, list[str]]:
    """The exit code and the output of `relay-harness run` as a user starts it."""
    command = [sys.executable, "-m", "deploy_relay_kit.harness", "run", *options]
    done = subprocess.run(
        [*command, "--relay", f"python:tests.runs.bad_relays:{relay}"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("relay", "first"),
    [
        ("idle", f"{NOTHING}not today"),
        ("liar", f'{NOTHING}{{"node": "node-1", "status": "success"}}'),
        ("untrusting", UNTRUSTED),
    ],
)
def test_a_relay_that_cannot_deploy_ends_the_run_with_its_own_words(
    relay: str, first: str, tmp_path: Path
) -> None:
    code, lines = run(relay, tmp_path)
    assert code == 1
    text = " ".join(line.strip() for line in lines)
    assert text.startswith(f"failed: python:tests.runs.bad_relays:{relay}: first cause: {first}")
    assert len(lines) < 20


@pytest.mark.parametrize(("relay", "failed"), [("idle", set()), ("liar", {"RES-02"})])
def test_a_relay_that_sends_nothing_passes_nothing(
    relay: str, failed: set[str], tmp_path: Path
) -> None:
    code, lines = run(relay, tmp_path, "--keep-going", "--report", "report")
    assert code == 1
    text = " ".join(line.strip() for line in lines)
    words = f"failed: python:tests.runs.bad_relays:{relay}: first cause: {NOTHING}"
    assert text.startswith(words)
    assert len(lines) < 300
    result = json.loads((tmp_path / "report" / "result.json").read_text())
    found: dict[str, set[str]] = {}
    for case in result["cases"]:
        for check in case["checks"]:
            found.setdefault(check["verdict"], set()).add(check["requirement"])
    assert found.pop("failed", set()) == failed
    assert set(found) == {"untestable", "not applicable"}


def test_a_relay_that_reads_no_answer_is_not_taken_for_one_that_mints_nothing(
    tmp_path: Path,
) -> None:
    """Its upload may still be on its way when it reports."""
    case = "test_answers.py::test_a_success_holds_the_members_of_the_answer"
    code, lines = run("deaf", tmp_path, "--case", case)
    assert code == 1
    assert not [line for line in lines if "first cause" in line]

"""Relays that people in a hurry wrote: what a run says of them at first, and when they are green.

`requests` is no dependency, not even of the tests: the kit needs it for one fixture only.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import skip_without

NAIVE = Path(__file__).parents[2] / "fixtures" / "naive"

REDIRECT = "test_refusals.py::test_a_redirect_is_a_failure_and_not_followed[303]"
INTERIM = "test_answers_framing.py::test_an_interim_answer_during_the_upload_does_not_end_it"
QUOTED = "test_quotes.py::test_a_password_that_a_peer_quotes_is_in_no_record"
TOKEN = "test_mint_failures.py::test_a_token_that_cannot_stand_in_a_header_fails_the_mint[a-b]"
SURROGATE = "test_values.py::test_a_lone_surrogate_becomes_the_replacement_character"
CUT = (
    "test_answers_framing.py::test_a_head_that_breaks_off_is_no_answer[HTTP/1.1-200-OK-Date-x-Cont]"
)
GROWS = "test_payload_changes.py::test_a_payload_that_grows_fails_the_record"
SUCCESS = "test_answers.py::test_a_success_holds_the_members_of_the_answer"
LENIENT = "test_answers.py::test_a_success_that_is_not_json_has_the_body_as_its_message[n-+1]"
COMPACT = "test_values.py::test_any_other_value_is_forwarded_as_compact_json"


def relay_of(name: str, state: str) -> str:
    """The `--relay` of one of the naive relays; skips the test without what it needs."""
    directory = NAIVE / name / state
    if name == "requests":
        if state == "first" and importlib.util.find_spec("requests") is None:
            pytest.skip("requests is not installed")
        return "python:relay:deploy"
    if name == "fetch":
        skip_without("node")
        return f"cmd:node {directory / 'relay.mjs'}"
    if name == "java":
        skip_without("java")
        return f"cmd:java -Xmx96m {directory / 'Relay.java'}"
    skip_without("bash", "curl", "jq", "openssl", "perl")
    return f"cmd:bash {directory / 'relay.sh'}"


def verdicts(name: str, state: str, directory: Path, cases: list[str]) -> dict[str, set[str]]:
    """The requirements of each verdict of a run of these cases."""
    relay = relay_of(name, state)
    command = [str(Path(sys.executable).with_name("relay-harness")), "run", "--relay", relay]
    options = [option for case in cases for option in ("--case", case)]
    done = subprocess.run(
        [*command, "-n", "2", "--report", "report", *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(NAIVE / name / state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    result = directory / "report" / "result.json"
    assert result.exists(), done.stdout
    found: dict[str, set[str]] = {}
    for case in json.loads(result.read_text())["cases"]:
        for check in case.get("checks", []):
            found.setdefault(check["verdict"], set()).add(check["requirement"])
    assert done.returncode == (1 if "failed" in found else 0), done.stdout
    return found


@pytest.mark.parametrize(
    ("name", "cases", "failed"),
    [
        ("fetch", [REDIRECT, INTERIM, QUOTED, SUCCESS], {"HTTP-04", "EARLY-10", "BUG-41"}),
        ("requests", [REDIRECT, COMPACT, QUOTED, SUCCESS], {"HTTP-04", "WIRE-06", "BUG-41"}),
        ("java", [SURROGATE, TOKEN, QUOTED, SUCCESS], {"WIRE-12", "BUG-35", "BUG-41"}),
        (
            "curl",
            [LENIENT, TOKEN, QUOTED, GROWS, SUCCESS],
            {"RES-03", "BUG-35", "BUG-41", "BUG-14"},
        ),
    ],
)
def test_the_first_version_has_its_causes(
    name: str, cases: list[str], failed: set[str], tmp_path: Path
) -> None:
    found = verdicts(name, "first", tmp_path, cases)
    assert found["failed"] >= failed
    assert "RES-01" in found["passed"]


@pytest.mark.parametrize("name", ["fetch", "requests", "java", "curl"])
def test_the_green_version_is_green(name: str, tmp_path: Path) -> None:
    cases = [REDIRECT, INTERIM, QUOTED, TOKEN, SURROGATE, CUT, GROWS, SUCCESS, LENIENT, COMPACT]
    found = verdicts(name, "green", tmp_path, cases)
    assert set(found) <= {"passed", "not applicable"}, found
    assert found["passed"] >= {"HTTP-04", "EARLY-10", "BUG-41", "BUG-35", "RES-01", "RES-12"}

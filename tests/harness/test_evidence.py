"""What is known of a failed case: enough to understand it at once, and no credential."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.judge.evidence import Evidence
from harness.judge.report.text import explained
from harness.judge.verdicts import Case
from tests.harness.driving import judged_in_here

pytest_plugins = ["pytester"]

CONFTEST = """
from tests.conformance.conftest import *
"""
CASES = """
import sys
import pytest
from harness.faults.answers import Answer
from harness.faults.kinds import MintAnswer
from harness.targets import Limits
from harness.targets.outcome import Record, TargetBrokeError, TargetHungError

requirement = pytest.mark.requirement

@requirement("RES-05")
def test_what_the_relay_writes(cluster, relay, monkeypatch):
    def write(command):
        print(f"to {cluster.peers[0].password}")
        print("\\ud800", file=sys.stderr)
        raise TargetBrokeError("half a pair: \\ud800")

    monkeypatch.setattr(relay.target, "deploy", write)
    relay.deploy(to=[cluster.peer()], request={"note": "n" * 1000}, limits=Limits(mint=2))

@requirement("RES-09")
def test_a_reason(cluster, relay):
    assert Record({"reason": 42}).reason == "42"

@requirement("RES-01")
def test_a_member_that_is_missing(cluster, relay):
    peer = cluster.peer()
    record = relay.deploy(to=[peer])[peer]
    assert record["no-such"] == 1

@requirement("WIRE-03")
def test_a_field_that_is_missing(cluster, relay):
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"note": "a"})
    assert (
        peer.upload.fields["no-such"]
        == b"1"
    )

@requirement("BUG-41")
def test_a_password_that_shows(cluster, relay):
    peer = cluster.peer()
    relay.deploy(to=[peer])
    text = f"{peer.password} and {peer.upload.token}"
    assert text == ""

@requirement("BUG-41")
def test_a_password_where_texts_are_cut(cluster, relay):
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"note": "n" * 190 + peer.password})
    raise AssertionError("x" * 3990 + peer.password)

@requirement("RES-05")
def test_a_defect_of_the_case(cluster, relay):
    cluster["no-such-node"]

@requirement("BUG-20")
def test_a_second_deploy_without_an_answer(cluster, relay, monkeypatch):
    def hang(command):
        raise TargetHungError("the adapter did not answer")

    peer = cluster.peer()
    relay.deploy(to=[peer])
    monkeypatch.setattr(relay.target, "deploy", hang)
    relay.deploy(to=[peer])

@requirement("RES-05")
def test_statuses(cluster, relay):
    peers = [cluster.peer(fault=MintAnswer(Answer.error(500, "boom"))), cluster.peer()]
    assert relay.deploy(to=peers).statuses == ["success", "success"]
"""


@pytest.fixture(scope="session")
def failed(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    directory: Path = tmp_path_factory.mktemp("evidence")
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "test_told.py").write_text(CASES)
    verdicts = judged_in_here(directory)
    assert not verdicts.broken
    return list(verdicts.cases.values())


def evidence(failed: list[Case], function: str) -> Evidence:
    [case] = [case for case in failed if case.function == function]
    assert case.evidence is not None
    assert case.text == ""
    return case.evidence


def test_no_half_of_a_password_stays_where_a_text_is_cut(failed: list[Case]) -> None:
    told = evidence(failed, "test_a_password_where_texts_are_cut")
    assert told["came"] == "x" * 3990 + "[password]"
    assert "n" * 190 + "[password]…" in told["told"][0]


def test_a_member_that_is_missing_is_named_with_those_that_came(failed: list[Case]) -> None:
    told = evidence(failed, "test_a_member_that_is_missing")
    assert told["where"] == "test_told.py:29"
    assert told["expected"] == 'assert record["no-such"] == 1'
    assert told["came"].startswith("the record has no member 'no-such': {")
    [record] = map(json.loads, told["reported"])
    assert (record["node"], record["status"]) == ("node-1", "success")


def test_a_field_that_is_missing_is_named_with_those_that_came(failed: list[Case]) -> None:
    told = evidence(failed, "test_a_field_that_is_missing")
    assert told["expected"] == ('assert (\n    peer.upload.fields["no-such"]\n    == b"1"\n)'), (
        "the whole statement, where it takes several lines"
    )
    names = "operation, project, note, replicated"
    assert told["came"] == f"no field 'no-such' was sent; sent were {names}"
    assert f"upload: fields {names}; file 200,000 bytes, SHA-256 " in told["seen"]


def test_the_credentials_of_the_peers_are_left_out(failed: list[Case]) -> None:
    told = evidence(failed, "test_a_password_that_shows")
    assert "[password] and [token]" in told["came"]
    # What pytest has cut to a piece of one is worth nothing to anybody.
    assert not re.search(r"password-of-node-1-[0-9a-f]{16}|eyJ", json.dumps(told))


def test_what_the_relay_was_told_and_what_it_wrote_are_shown(failed: list[Case]) -> None:
    seen = evidence(failed, "test_what_the_relay_writes")
    [told] = map(json.loads, seen["told"])
    assert told["nodes"][0]["mint"]["password"] == "[password]"
    assert told["request"]["note"] == f"{'n' * 200}… (1,000 characters)"
    assert told["limits"]["mint"] == 2
    assert "to [password]\n" in seen["wrote"]
    assert seen["came"] == r"half a pair: \ud800"
    assert seen["broke"]
    assert json.dumps(seen, ensure_ascii=False).encode()
    assert "limits" not in json.loads(evidence(failed, "test_a_field_that_is_missing")["told"][0])


def test_a_reason_that_is_no_text_is_called_that(failed: list[Case]) -> None:
    assert evidence(failed, "test_a_reason")["came"] == "the reason is 42, which is no text"


def test_both_sides_and_every_record_are_shown(failed: list[Case]) -> None:
    told = evidence(failed, "test_statuses")
    assert told["came"].startswith("['failed', 'success'] == ['success', 'success']")
    assert "Use -v" not in told["came"]
    [both] = told["reported"]
    assert [json.loads(line)["status"] for line in both.splitlines()] == ["failed", "success"]


def test_each_deploy_of_a_case_is_told_apart(failed: list[Case]) -> None:
    told = evidence(failed, "test_a_second_deploy_without_an_answer")
    [case] = [it for it in failed if it.function == "test_a_second_deploy_without_an_answer"]
    assert told["reported"][1:] == ["nothing"]
    text = "\n".join(explained(case))
    assert "\n    deploy 1: {" in text
    assert "\n    deploy 2: nothing\n" in text


def test_what_is_no_assertion_is_shown_with_its_traceback(failed: list[Case]) -> None:
    told = evidence(failed, "test_a_defect_of_the_case")
    assert told["came"] == "KeyError: 'no-such-node'"
    assert "raise KeyError(name)" in told["trace"]
    assert evidence(failed, "test_statuses")["trace"] == ""

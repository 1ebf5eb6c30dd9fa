"""What the judge says of a case: one assertion charges one requirement, and green is earned."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deploy_relay_kit.harness.judge.cases.wording import Comparison
from deploy_relay_kit.harness.judge.model import Case, Check, Verdict
from tests.harness.driving import judged_in_here

CONFTEST = "from tests.conformance.conftest import *\n"
CASES = """
import sys
import pytest
from deploy_relay_kit.harness import Answer, MintHangs
from deploy_relay_kit.harness.targets import GivenToken, Limits
from deploy_relay_kit.harness.targets.outcome import (
    TargetBrokeError,
    TargetHungError,
    TargetSkippedError,
)

def test_two_looks(cluster, relay, check):
    '''The path reaches the peer.'''
    peer = cluster.peer(path="/ops/")
    record = relay.deploy(to=[peer])[peer]
    with check("URL-08", "the path of the request"):
        assert peer.upload.path == "/other/"
    with check("RES-01", "the status of the record"):
        assert record.status == "success"

def test_what_did_not_happen(cluster, relay, check):
    peer = cluster.peer()
    relay.deploy(to=[])
    with check("URL-08"):
        assert peer.upload.path == "/"
    peer.upload
    with check("RES-01"):
        assert False, "not reached"

def test_a_missing_member(cluster, relay, check):
    peer = cluster.peer()
    record = relay.deploy(to=[peer])[peer]
    with check("RES-01", "a member of the record"):
        assert record["no-such"] == 1

def test_an_own_message(cluster, relay, check):
    relay.deploy(to=[cluster.peer()])
    with check("BUG-20", "the memory of the relay"):
        assert 51 < 32, "memory grew by 51 MiB; at most 32 MiB are allowed"

def test_not_applicable(cluster, relay, check, monkeypatch):
    monkeypatch.setattr(relay.target, "capabilities", ["mint.operations"])
    relay.deploy(to=[cluster.peer()], limits=Limits(mint=2))
    with check("HTTP-03"):
        assert True

def test_a_target_that_breaks(cluster, relay, check, monkeypatch):
    def write(command, deadline):
        print(f"to {cluster.peers[0].password}")
        print("\\ud800", file=sys.stderr)
        raise TargetBrokeError("half a pair: \\ud800")

    monkeypatch.setattr(relay.target, "deploy", write)
    relay.deploy(to=[cluster.peer()], request={"note": "n" * 1000}, limits=Limits(mint=2))
    with check("RES-05"):
        assert True

def test_a_target_that_hangs_inside_a_check(cluster, relay, check, monkeypatch):
    def hang(command, deadline):
        raise TargetHungError("the adapter did not answer within 8 s\\nno standard error")

    peer = cluster.peer()
    relay.deploy(to=[peer])
    monkeypatch.setattr(relay.target, "deploy", hang)
    with check("HTTP-03", "the end of the deploy"):
        outcome = relay.deploy(to=[peer])
    with check("AGG-04"):
        assert outcome[peer].status == "success"

def test_a_target_that_skips(cluster, relay, check, monkeypatch):
    def skip(command, deadline):
        raise TargetSkippedError("not today")

    monkeypatch.setattr(relay.target, "deploy", skip)
    relay.deploy(to=[cluster.peer()])
    with check("SEQ-05"):
        assert True

def test_a_defect_of_the_case(cluster, relay, check):
    cluster["no-such-node"]
    with check("RES-05"):
        assert True

def test_a_case_that_looks_at_nothing(cluster, relay, check):
    relay.deploy(to=[cluster.peer()])

def test_a_password_that_shows(cluster, relay, check):
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"note": "n" * 190 + peer.password})
    with check("BUG-41", "a text"):
        assert f"{peer.password} and {peer.upload.token}" == ""

def test_a_leak_is_charged_to_its_own_requirement(cluster, relay, check, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    peer = cluster.peer()
    relay.deploy(to=[peer])
    (tmp_path / "debug.log").write_text(peer.password)
    with check("URL-08"):
        assert peer.upload.path == "/"

def test_a_broken_rule_is_charged_to_its_own_requirement(cluster, relay, check, monkeypatch):
    monkeypatch.setattr("deploy_relay_kit.relay.formdata.FILE_TYPE", "application/x-tar")
    peer = cluster.peer()
    relay.deploy(to=[peer])
    with check("URL-08"):
        assert peer.upload.path == "/"

def test_records_out_of_order(cluster, relay, check, monkeypatch):
    deploy = relay.target.deploy
    def turned(command, deadline):
        outcome = deploy(command, deadline)
        return type(outcome)(outcome.records[::-1])
    monkeypatch.setattr(relay.target, "deploy", turned)
    peers = [cluster.peer(), cluster.peer()]
    outcome = relay.deploy(to=peers)
    with check("AGG-04"):
        assert outcome[peers[0]].status == "success"

def test_a_success_without_an_upload(cluster, relay, check, monkeypatch):
    from deploy_relay_kit.harness.targets import Outcome
    deploy = relay.target.deploy
    def lying(command, deadline):
        return Outcome.of([{"node": node.name, "status": "success"} for node in command.nodes])
    peer = cluster.peer()
    relay.deploy(to=[peer])
    monkeypatch.setattr(relay.target, "deploy", lying)
    relay.deploy(to=[peer])
    with check("URL-08"):
        assert peer.upload.path == "/"

def test_a_fault_that_was_never_shown(cluster, relay, check):
    peer = cluster.peer(fault=MintHangs())
    record = relay.deploy(to=[relay.node(peer, mint=GivenToken(peer.tokens.issue("x")))])[peer]
    with check("RES-10"):
        assert record.status == "success"
"""


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    directory: Path = tmp_path_factory.mktemp("judged")
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "test_it.py").write_text(CASES)
    collector = judged_in_here(directory)
    assert not collector.broken
    return {case.function: case for case in collector.cases.values()}


def verdicts(case: Case) -> dict[str, str]:
    return {check.requirement: check.verdict.value for check in case.checks}


def only(case: Case, requirement: str) -> Check:
    [check] = [check for check in case.checks if check.requirement == requirement]
    return check


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("test_two_looks", {"URL-08": "failed", "RES-01": "passed"}),
        ("test_what_did_not_happen", {"URL-08": "untestable", "RES-01": "untestable"}),
        ("test_not_applicable", {"HTTP-03": "not applicable"}),
        ("test_a_target_that_breaks", {"AGG-02": "failed", "RES-05": "untestable"}),
        (
            "test_a_target_that_hangs_inside_a_check",
            {"HTTP-03": "failed", "AGG-04": "untestable"},
        ),
        ("test_a_target_that_skips", {"SEQ-05": "untestable"}),
        ("test_a_defect_of_the_case", {"RES-05": "harness error"}),
        (
            "test_a_leak_is_charged_to_its_own_requirement",
            {"URL-08": "passed", "BUG-41": "failed"},
        ),
        (
            "test_a_broken_rule_is_charged_to_its_own_requirement",
            {"URL-08": "passed", "WIRE-05": "failed"},
        ),
        ("test_records_out_of_order", {"AGG-04": "passed", "AGG-01": "failed"}),
        ("test_a_success_without_an_upload", {"URL-08": "passed", "RES-02": "failed"}),
        ("test_a_fault_that_was_never_shown", {"RES-10": "untestable"}),
    ],
)
def test_a_failure_is_charged_to_the_requirement_that_it_breaks(
    judged: dict[str, Case], function: str, expected: dict[str, str]
) -> None:
    assert verdicts(judged[function]) == expected


def test_both_sides_of_a_comparison_are_shown(judged: dict[str, Case]) -> None:
    check = only(judged["test_two_looks"], "URL-08")
    assert (check.subject, check.expected, check.got) == (
        "the path of the request",
        '"/other/"',
        '"/ops/"',
    )
    assert re.fullmatch(r"test_it\.py:\d+", check.where)
    assert judged["test_two_looks"].title == "The path reaches the peer."


def test_an_assertion_may_have_a_message_of_its_own(judged: dict[str, Case]) -> None:
    check = only(judged["test_an_own_message"], "BUG-20")
    assert check.got == "memory grew by 51 MiB; at most 32 MiB are allowed"
    check = only(judged["test_a_missing_member"], "RES-01")
    assert check.got.startswith('expected a member "no-such" in the record, got ')


def test_what_stood_in_the_way_is_named(judged: dict[str, Case]) -> None:
    for check in judged["test_what_did_not_happen"].checks:
        assert check.blocked_by == "node-1 saw 0 uploads, not one"
    assert only(judged["test_not_applicable"], "HTTP-03").blocked_by == "limits"
    blocked = only(judged["test_a_target_that_hangs_inside_a_check"], "AGG-04").blocked_by
    assert blocked == "the adapter did not answer within 8 s"
    got = only(judged["test_a_target_that_hangs_inside_a_check"], "HTTP-03").got
    assert got == f"{blocked}\nby then each node had sent its whole answer\nno standard error"
    assert "did not get as far as what node-1 was set to do: mint hangs" in (
        only(judged["test_a_fault_that_was_never_shown"], "RES-10").blocked_by
    )


def test_a_case_that_looks_at_nothing_is_an_error_of_the_harness(judged: dict[str, Case]) -> None:
    assert judged["test_a_case_that_looks_at_nothing"].error == "the case looked at nothing"
    assert "no-such-node" in judged["test_a_defect_of_the_case"].error


def test_the_credentials_of_the_peers_are_left_out(judged: dict[str, Case]) -> None:
    case = judged["test_a_password_that_shows"]
    assert only(case, "BUG-41").got == '"[password] and [token]"'
    assert case.evidence
    assert "n" * 190 + "[password]" in case.evidence.commands[0]
    for each in judged.values():
        assert not re.search(r"password-of-node-1-[0-9a-f]{16}|eyJ", str(each))


def test_the_evidence_holds_commands_records_output_and_what_peers_saw(
    judged: dict[str, Case],
) -> None:
    evidence = judged["test_a_target_that_breaks"].evidence
    assert evidence
    [command] = map(json.loads, evidence.commands)
    assert command["nodes"][0]["mint"]["password"] == "[password]"
    assert command["request"]["note"] == f"{'n' * 200}… (1,000 characters)"
    assert command["limits"]["mint"] == 2
    assert (*command,)[0] == "limits", "where a long command is cut, its limits stay"
    assert (*command,)[-1] == "nodes"
    assert evidence.reported == ["nothing"]
    assert "to [password]\n" in evidence.wrote
    assert "nobody connected" in evidence.seen
    other = judged["test_two_looks"].evidence
    assert other
    assert "limits" not in json.loads(other.commands[0])
    [record] = map(json.loads, other.reported)
    assert (record["node"], record["status"]) == ("node-1", "success")
    assert [it["node"] for it in other.timelines] == ["node-1"] * 2
    assert judged["test_two_looks"].verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("actual", "expected", "words"),
    [
        ("-1", -1, ("the number -1", 'the text "-1"')),
        (True, "true", ('the text "true"', "the boolean true")),
        (None, 500, ("500", "nothing")),
        ("x" * 150, "x" * 200, ("(200 characters)", "(150 characters)")),
        ("x" * 900, "x" * 200, ("(200 characters)", "(902 characters)")),
        (b"\xff\r", b"a", ('"a"', '"\\xff\\r"')),
        (set("cab"), {"b"}, ('["b"]', '["a", "b", "c"]')),  # in the same order in every run
        ({"x": {3, 1, 2}}, {}, ("{}", '{"x": [1, 2, 3]}')),
    ],
)
def test_what_looks_alike_is_told_apart(
    actual: object, expected: object, words: tuple[str, str]
) -> None:
    found = Comparison("==", actual, expected)
    assert all(
        text.endswith(end) for text, end in zip((found.expected, found.got), words, strict=True)
    )

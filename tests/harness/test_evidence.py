"""The evidence of a red case: what the failure is about comes first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy_relay_kit.harness.judge.model import Case
from deploy_relay_kit.harness.judge.report.text import lines
from tests.harness.driving import judged_in_here, result_of

CONFTEST = "from tests.conformance.conftest import *\n"
CASES = """
from deploy_relay_kit.harness import Answer

DONE = "Successfully deployed: demo"

def test_one_of_many(cluster, relay, check):
    peers = [cluster.peer() for _ in range(7)]
    outcome = relay.deploy(to=peers)
    for peer in peers:
        with check("AGG-03", f"the message of the record of {peer.name}"):
            assert outcome[peer]["message"] == ("no" if peer is peers[5] else DONE)

def test_one_that_fails(cluster, relay, check):
    peers = [cluster.peer() for _ in range(7)]
    peers[4].fault = Answer(500)
    outcome = relay.deploy(to=peers)
    with check("AGG-03", "the statuses"):
        assert outcome.statuses == ["success"] * 7

def test_all_of_them(cluster, relay, check):
    peers = [cluster.peer() for _ in range(7)]
    outcome = relay.deploy(to=peers)
    with check("AGG-03", "the names"):
        assert outcome.nodes == [peer.name for peer in peers[::-1]]
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    directory: Path = tmp_path_factory.mktemp("judged")
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "test_it.py").write_text(CASES)
    return {case.function: case for case in judged_in_here(directory).cases.values()}


NODES = [f"node-{number}" for number in range(1, 8)]


def peers_seen(case: Case) -> list[str]:
    assert case.evidence
    seen = [line for line in case.evidence.seen.splitlines() if not line.startswith(" ")]
    return [line.partition(" ")[0] for line in seen]


@pytest.mark.parametrize(
    ("name", "first"), [("test_one_of_many", "node-6"), ("test_one_that_fails", "node-5")]
)
def test_the_node_that_the_failure_is_about_comes_first(
    judged: dict[str, Case], name: str, first: str
) -> None:
    """Named by a failed check, or the only one with its status; the others keep their order."""
    case = judged[name]
    ordered = [first, *(node for node in NODES if node != first)]
    assert case.evidence
    title, *records = case.evidence.reported[0].splitlines()
    assert title == "(the records that the failure is about come first)"
    assert [json.loads(record)["node"] for record in records] == ordered
    assert peers_seen(case) == ordered


def test_a_failure_about_all_nodes_leaves_their_order(judged: dict[str, Case]) -> None:
    case = judged["test_all_of_them"]
    assert case.evidence
    records = case.evidence.reported[0].splitlines()
    assert [json.loads(record)["node"] for record in records] == NODES
    assert peers_seen(case) == NODES


def test_the_terminal_shows_whole_records_and_counts_the_rest(judged: dict[str, Case]) -> None:
    shown = list(lines(result_of(judged["test_one_of_many"])))
    at = shown.index("  the relay reported:")
    part = shown[at + 1 : shown.index("  the peers saw:")]
    assert [json.loads(line)["node"] for line in part[1:-1]] == [
        "node-6",
        "node-1",
        "node-2",
        "node-3",
    ]
    assert part[-1] == "    … 3 more lines; --report writes all"

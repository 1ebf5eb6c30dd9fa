"""Odd but correct relays pass; a case that fails them demands more than its requirement."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.explain import cases_by_requirement
from deploy_relay_kit.harness.judge.model import Case as Judged
from deploy_relay_kit.harness.judge.model import Verdict
from deploy_relay_kit.harness.judge.report.result import from_json
from deploy_relay_kit.relay import Limits
from tests.conformance import (
    test_answers,
    test_cancel,
    test_early,
    test_isolation,
    test_mint_failures,
    test_patience,
    test_quotes,
    test_refused_requests,
    test_replication,
    test_retry,
    test_secrets,
    test_token,
    test_url,
    test_wire,
)
from tests.mutants.mutant import Case, case
from tests.mutants.odd import ODD, Odd
from tests.mutants.odd_groups import GROUPS
from tests.mutants.of_giving_up import with_its_own_limits
from tests.programs import LONG

BREADTH = [
    case(test_wire.test_an_accept_header_admits_json),
    case(test_refused_requests.test_a_value_that_a_peer_would_cut_is_refused),
    case(test_url.test_the_path_and_query_of_the_operations_api_url_are_kept, path="/ops/"),
    case(test_url.test_credentials_in_a_url_are_sent_to_nobody),
    case(test_mint_failures.test_a_refused_mint_fails_the_peer_without_an_upload),
    case(test_answers.test_a_success_holds_the_members_of_the_answer),
    case(test_early.test_a_refusal_during_the_upload_is_a_record_with_its_reason_and_status),
    case(test_retry.test_a_temporary_failure_is_retried),
    case(test_quotes.test_a_token_that_a_peer_quotes_is_in_no_record),
    case(test_isolation.test_a_record_depends_on_the_fault_of_its_own_peer_alone, first=8),
]


OF_BOUNDARIES = [
    case(test_wire.test_no_two_uploads_share_a_boundary),
    case(test_wire.test_no_boundary_can_be_guessed_from_others),
]
OF_MINTS = [
    case(test_secrets.test_no_peer_is_sent_a_credential_of_another),
    case(test_token.test_two_nodes_at_one_url_have_a_login_each),
    case(test_quotes.test_a_password_that_a_mint_quotes_is_in_no_record),
]

# Cases about one freedom run with each relay that has it, alone.
ALONE = {
    "boundary": OF_BOUNDARIES,
    "boundary digits": OF_BOUNDARIES,
    "mint": OF_MINTS,
    "mint body": OF_MINTS,
    "lifetime": OF_MINTS,
    "pauses": [
        case(test_cancel.test_nothing_is_retried_after_a_deploy_was_cancelled),
        case(test_retry.test_the_relay_waits_as_long_as_retry_after_says),
    ],
    "close": [case(test_replication.test_a_mint_is_one_request_and_one_answer)],
    "frames": [case(test_replication.test_a_mint_is_one_request_and_one_answer)],
    "packing": [case(test_replication.test_a_mint_is_one_request_and_one_answer)],
}


ROOT = Path(__file__).parents[2]


def name_of(value: object) -> str:
    match value:
        case Case():
            return value.function.__name__
        case Odd():
            return value.name
    return f"group-{GROUPS.index(value)}" if value in GROUPS else ascii(value)


def passes(relays: list[Odd], judged: Judged) -> None:
    """The case passed; else the names of the relays say where to look."""
    names = " ".join(relay.name for relay in relays)
    assert judged.verdict is Verdict.PASSED, f"with {names}: {judged.checks}"


@pytest.mark.parametrize(("group", "case"), [*product(GROUPS, BREADTH)], ids=name_of)
def test_an_odd_relay_passes(
    group: list[Odd], case: Case, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for relay_of in group:
        relay_of.apply(monkeypatch)
    passes(group, case.run(request))


@pytest.mark.parametrize(
    ("relay_of", "case"),
    [(relay_of, case) for relay_of in ODD for of in relay_of.of for case in ALONE.get(of, ())],
    ids=name_of,
)
def test_an_odd_relay_passes_what_is_about_its_freedom(
    relay_of: Odd, case: Case, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay_of.apply(monkeypatch)
    passes([relay_of], case.run(request))


@pytest.mark.parametrize("relay_of", ODD, ids=name_of)
def test_an_odd_relay_breaks_no_rule_of_the_wire_format(
    relay_of: Odd, cluster: FakeCluster, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay_of.apply(monkeypatch)
    peer = cluster.peer()
    relay.deploy(to=[peer])
    assert peer.upload.findings == []


def judged_by(names: list[str], cases: Sequence[str], report: Path) -> list[str]:
    """The cases that a relay with these freedoms does not pass; none selected are all.

    Raises:
        AssertionError: the run failed, and no case did.
    """
    relay = f"cmd:{sys.executable} -m tests.mutants.relay {' '.join(names)}"
    command = [sys.executable, "-m", "deploy_relay_kit.harness", "run", "-n", "2"]
    selected = [option for case in cases for option in ("--case", case)]
    run = subprocess.run(
        [*command, "--relay", relay, "--report", str(report), *selected],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if not run.returncode:
        return []
    result = from_json((report / "result.json").read_text("utf-8"), "result.json")
    red = [f"{it.file}::{it.function}" for it in result.cases if it.verdict.has_failed]
    assert red, run.stdout + run.stderr
    return red


@pytest.mark.parametrize("group", GROUPS, ids=name_of)
def test_a_group_of_odd_relays_passes_its_cases(group: list[Odd], tmp_path: Path) -> None:
    """All cases, or else each group its own part of them: so every case is judged once."""
    every = sorted({place for places in cases_by_requirement().values() for place in places})
    cases = [] if LONG else every[GROUPS.index(group) :: len(GROUPS)]
    names = [relay_of.name for relay_of in group]
    red = judged_by(names, cases, tmp_path / "together")
    alone = {name: judged_by([name], sorted({*red}), tmp_path / name) for name in names if red}
    guilty = {name: cases for name, cases in alone.items() if cases}
    assert red == [], f"{guilty or names} failed, {'alone' if guilty else 'only together'}"


def test_a_relay_with_its_own_limits_passes(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_its_own_limits(monkeypatch, Limits(connect=0.4, mint=0.4, stall=0.4))
    patient = test_patience.test_a_relay_with_its_own_limits_gives_up_peers_that_do_nothing
    judged = case(patient).run(request)
    assert judged.verdict is Verdict.PASSED, judged.checks


def test_a_relay_that_takes_its_limits_from_the_deploy_is_not_waited_for(
    request: pytest.FixtureRequest,
) -> None:
    patient = test_patience.test_a_relay_with_its_own_limits_gives_up_peers_that_do_nothing
    judged = case(patient).run(request)
    assert judged.verdict is Verdict.NOT_APPLICABLE, judged.checks

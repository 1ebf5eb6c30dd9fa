"""Odd but correct relays pass; a case that fails them demands more than its requirement."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.model import Case as Judged
from deploy_relay_kit.harness.judge.model import Verdict
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


# Cases about one freedom run with each relay that has it, alone.
ALONE = {
    "boundary": [
        case(test_wire.test_no_two_uploads_share_a_boundary),
        case(test_wire.test_no_boundary_can_be_guessed_from_others),
    ],
    "mint": [
        case(test_secrets.test_no_peer_is_sent_a_credential_of_another),
        case(test_token.test_two_nodes_at_one_url_have_a_login_each),
        case(test_quotes.test_a_password_that_a_mint_quotes_is_in_no_record),
    ],
    "pauses": [
        case(test_cancel.test_nothing_is_retried_after_a_deploy_was_cancelled),
        case(test_retry.test_the_relay_waits_as_long_as_retry_after_says),
    ],
    "close": [case(test_replication.test_a_mint_is_one_request_and_one_answer)],
    "frames": [case(test_replication.test_a_mint_is_one_request_and_one_answer)],
    "packing": [case(test_replication.test_a_mint_is_one_request_and_one_answer)],
}


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
    [(relay_of, case) for relay_of in ODD for case in ALONE.get(relay_of.of, ())],
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


@pytest.mark.skipif(not LONG, reason="a whole run takes a minute: RELAY_KIT_LONG_TESTS=1")
@pytest.mark.parametrize("relay_of", ODD, ids=name_of)
def test_an_odd_relay_passes_the_whole_suite(relay_of: Odd) -> None:
    relay_command = f"cmd:{sys.executable} -m tests.mutants.relay {relay_of.name}"
    run = subprocess.run(
        [sys.executable, "-m", "deploy_relay_kit.harness", "run", "--relay", relay_command],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


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

"""Relays that are odd but right pass; a case that fails them asks for more than it claims."""

from __future__ import annotations

from itertools import product

import pytest

from harness.cluster import FakeCluster
from harness.judge.cases.relay import Relay
from harness.judge.model import Verdict
from tests.conformance import (
    test_answers,
    test_early,
    test_isolation,
    test_refused_requests,
    test_retry,
    test_secrets,
    test_token,
    test_url,
    test_wire,
)
from tests.mutants.mutant import Case, case
from tests.mutants.odd import ODD, Patch

BREADTH = [
    case(test_wire.test_an_accept_header_admits_json),
    case(test_refused_requests.test_a_value_that_a_peer_would_cut_is_refused),
    case(test_url.test_the_path_and_query_of_the_operations_api_url_are_kept, path="/ops/"),
    case(test_url.test_credentials_in_a_url_are_sent_to_nobody),
    case(test_token.test_a_refused_mint_fails_the_peer_without_an_upload),
    case(test_answers.test_a_success_holds_the_members_of_the_answer),
    case(test_early.test_a_refusal_on_the_way_is_a_record_with_its_reason_and_status),
    case(test_isolation.test_a_record_depends_on_the_fault_of_its_own_peer_alone, first=8),
    case(test_retry.test_what_passes_is_tried_again),
    case(test_secrets.test_a_token_that_a_peer_quotes_stands_in_no_record),
]


OF_BOUNDARIES = [
    case(test_wire.test_no_two_uploads_share_a_boundary),
    case(test_wire.test_no_boundary_can_be_guessed_from_others),
]
ODD_BOUNDARIES = [relay_of for relay_of in ODD if relay_of.__name__.startswith("boundaries_")]

OF_MINTS = [case(test_secrets.test_no_peer_is_sent_a_credential_of_another)]
ODD_MINTS = [relay_of for relay_of in ODD if "mint" in relay_of.__name__]


@pytest.mark.parametrize(
    ("relay_of", "case"),
    [
        *product(ODD, BREADTH),
        *product(ODD_BOUNDARIES, OF_BOUNDARIES),
        *product(ODD_MINTS, OF_MINTS),
    ],
    ids=lambda it: it.function.__name__ if isinstance(it, Case) else it.__name__,
)
def test_an_odd_relay_passes(
    relay_of: Patch,
    case: Case,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    relay_of(monkeypatch)
    judged = case.run(request)
    assert judged.verdict is Verdict.PASSED, judged.checks


@pytest.mark.parametrize("relay_of", ODD, ids=lambda apply: apply.__name__)
def test_an_odd_relay_breaks_no_rule_of_the_wire_format(
    relay_of: Patch, cluster: FakeCluster, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay_of(monkeypatch)
    peer = cluster.peer()
    relay.deploy(to=[peer])
    assert peer.upload.findings == []

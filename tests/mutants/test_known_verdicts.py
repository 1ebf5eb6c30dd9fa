"""Verdicts that were wrong once, each with a relay that got one: its exact red requirements."""

from __future__ import annotations

import re
import ssl
import sys
from typing import Any

import pytest

from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.model import Case as Judged
from deploy_relay_kit.harness.targets.function import FunctionTarget
from deploy_relay_kit.relay import peer, request, tls, token
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.tls import Tls
from tests.conformance import (
    test_attempts,
    test_attempts_counted,
    test_early,
    test_faults,
    test_fields,
    test_final,
    test_mint_failures,
    test_payload,
    test_posture,
    test_refusals,
    test_replication,
    test_retry,
    test_sockets,
    test_sockets_trust,
    test_statuses,
    test_streaming,
    test_tls,
    test_url,
    test_values,
    test_wire,
)
from tests.mutants import of_care, of_fields, of_minting, of_posture, of_records, of_urls, of_wire
from tests.mutants.catalogue import shorten
from tests.mutants.mutant import A_HEALTHY_DEPLOY, Case, Patch, case
from tests.mutants.of_codes import change_failed
from tests.mutants.of_urls import Trust
from tests.mutants.test_mutants import failed_in

COUNTED = case(
    test_attempts_counted.test_every_temporary_failure_gets_all_allowed_attempts_and_no_more,
    attempts=2,
)


def an_empty_name_is_sent(patch: pytest.MonkeyPatch) -> None:
    cleaned = request._cleaned
    patch.setattr(request, "_cleaned", lambda name: cleaned(name) if name else "")


def an_odd_token_is_used_as_far_as_it_fits(patch: pytest.MonkeyPatch) -> None:
    """Characters that cannot stand in a header are left out."""
    token_in = token.token_in

    def cleaned(answer: Any) -> str:
        if isinstance(answer, dict) and isinstance(given := answer.get("operation_token"), str):
            answer = {**answer, "operation_token": re.sub("[^!-~]", "", given)}
        return token_in(answer)

    patch.setattr(token, "token_in", cleaned)
    patch.setattr("deploy_relay_kit.relay.replication.token_in", cleaned)


class NamesAddresses(ssl.SSLContext):
    """Sends a server name also with an IP address, which OpenSSL would leave out."""

    def wrap_bio(self, *at: Any, **how: Any) -> ssl.SSLObject:
        name = str(how["server_hostname"])
        shown = f"ip-{name}".replace(".", "-") if name[:1].isdigit() else name
        return super().wrap_bio(*at, **{**how, "server_hostname": shown})


def an_address_is_a_server_name(patch: pytest.MonkeyPatch) -> None:
    def context(trusted: tuple[str, ...], _verify: bool) -> ssl.SSLContext:  # noqa: FBT001
        made = NamesAddresses(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        for certificates in trusted:
            made.load_verify_locations(cadata=certificates)
        return made

    patch.setattr(tls, "_shared_context", context)


def a_socket_is_named_by_its_address(patch: pytest.MonkeyPatch) -> None:
    def no_name(node: Node) -> str | None:  # noqa: ARG001
        return None

    patch.setattr(peer, "server_name", no_name)


def trust_is_lost_after_the_first_attempt(patch: pytest.MonkeyPatch) -> None:
    def without(nodes: list[Trust], _how: Tls) -> tuple[list[Trust], Tls]:
        return [(None, verify) for _, verify in nodes], Tls()

    of_posture.change_second_context(patch, without)


def a_failure_is_called_error(patch: pytest.MonkeyPatch) -> None:
    change_failed(patch, lambda it: {**it, "status": "error"})


OF_NAMES = (
    A_HEALTHY_DEPLOY,
    case(test_fields.test_quotes_and_line_breaks_are_deleted_from_a_name),
    case(test_values.test_nothing_in_a_name_is_escaped),
)
"""Cases that look at WIRE-10, WIRE-04, PARSE-21 and PARSE-22."""
HIDDEN = test_fields.test_a_member_of_the_origin_is_not_forwarded
DENIED = test_fields.test_a_member_that_carries_credentials_is_not_forwarded
PLACE = test_fields.test_replicated_is_sent_as_false
FALSE = test_fields.test_replicated_is_the_text_false_for_every_given_value
PART = test_wire.test_no_name_of_a_member_makes_a_part_that_peers_refuse
OF_SOCKETS = (
    case(test_sockets.test_a_socket_closed_with_1008_fails_the_mint_with_the_reason_of_the_close),
    case(test_sockets.test_an_error_in_the_answer_fails_the_mint_with_its_text),
    case(test_sockets.test_a_socket_that_does_not_open_or_ends_early_fails_the_mint),
    case(test_sockets.test_a_token_of_a_socket_that_cannot_stand_in_a_header_fails_the_mint),
)
REDIRECTS = test_statuses.REDIRECTS
MISSING = case(test_payload.test_a_missing_payload_fails_every_peer_and_sends_nothing)
REFUSED = case(test_refusals.test_a_refusal_is_a_failed_record_with_reason_and_status)
KNOWN: list[tuple[str, Patch, tuple[Case, ...]]] = [
    # What the relay breaks; and cases that charged more, of which the last sees it.
    ("FLD-01", of_fields.hidden_members_are_forwarded, (*OF_NAMES, case(HIDDEN))),
    ("FLD-02", of_fields.replicated_is_left_out, (*OF_NAMES, case(PLACE))),
    ("FLD-03", of_fields.replicated_is_false_as_python_writes_it, (*OF_NAMES, case(FALSE))),
    ("FLD-05", of_fields.credentials_are_forwarded, (*OF_NAMES, case(DENIED))),
    ("PARSE-16", an_empty_name_is_sent, (*OF_NAMES, case(PART, name=""))),
    ("PARSE-20", of_fields.a_name_may_be_anything, (*OF_NAMES, case(PART, name="a\x01b"))),
    ("BUG-35", an_odd_token_is_used_as_far_as_it_fits, OF_SOCKETS),
    (
        "TLS-03",  # not TLS-02
        an_address_is_a_server_name,
        (
            case(test_tls.test_a_certificate_of_the_cluster_is_trusted),
            case(test_tls.test_the_handshake_names_a_host_and_no_address, host="127.0.0.1"),
        ),
    ),
    (
        "URL-08",  # not HTTP-01
        of_urls.the_path_is_lost,
        (
            case(test_url.test_the_fragment_of_a_url_is_sent_to_nobody),
            case(test_url.test_the_mint_goes_to_the_same_path_and_query),
        ),
    ),
    (
        "RTY-01",  # not WS-01
        of_care.a_success_is_sent_again,
        (
            case(test_replication.test_a_replication_url_without_a_path_means_the_root),
            case(
                test_replication.test_without_a_url_the_socket_is_at_the_replication_port_of_the_origin
            ),
        ),
    ),
    (
        "HTTP-01",  # not RES-01
        of_wire.the_token_has_no_scheme,
        (
            case(test_retry.test_a_connection_that_fails_is_retried),
            case(test_streaming.test_all_peers_are_served_at_the_same_time),
            A_HEALTHY_DEPLOY,
        ),
    ),
    (
        "HTTP-04",  # not RES-05, not SEQ-06
        of_urls.redirects_are_followed,
        (
            case(test_statuses.test_every_other_status_is_a_failure, statuses=REDIRECTS),
            case(test_mint_failures.test_a_mint_is_not_redirected),
            case(test_refusals.test_a_redirect_is_a_failure_and_not_followed),
        ),
    ),
    (
        "TLS-01",  # not RES-10
        of_urls.nothing_is_verified,
        (case(test_tls.test_a_flawed_certificate_is_refused_before_a_request),),
    ),
    (
        "TLS-02",  # not SEQ-03
        trust_is_lost_after_the_first_attempt,
        (
            case(test_faults.test_a_peer_that_is_back_is_served_again),
            case(test_posture.test_an_authority_of_its_own_is_trusted_in_every_attempt),
        ),
    ),
    ("RES-10", of_records.a_lost_connection_has_a_status, (MISSING,)),  # not SEQ-05
    ("KIT-07", a_failure_is_called_error, (MISSING, REFUSED)),  # neither SEQ-05 nor RES-05
    (
        "RES-05",  # not EARLY-08
        of_records.the_status_code_is_lost,
        (case(test_early.test_a_reset_after_a_refusal_does_not_hide_it), REFUSED),
    ),
    (
        "BUG-41",  # neither RTY-04 nor AGG-04: the mints are refused
        of_minting.the_first_credentials_serve_all,
        (case(test_attempts.test_each_peer_has_its_own_attempts), COUNTED),
    ),
    (
        "SEQ-06",  # neither RTY-02 nor RTY-04: no attempt but the first
        of_minting.an_upload_is_tried_without_a_token,
        (
            case(test_final.test_a_bad_certificate_is_final),
            case(test_retry.test_a_mint_that_fails_temporarily_is_retried),
            case(test_retry.test_a_connection_that_fails_is_retried),
            case(test_retry.test_a_connection_that_hangs_is_retried),
            case(test_mint_failures.test_a_mint_is_not_redirected),
        ),
    ),
    (
        "WS-06",
        a_socket_is_named_by_its_address,
        (
            case(test_tls.test_the_handshake_names_a_host_and_no_address, host="localhost"),
            case(test_sockets_trust.test_the_handshake_of_a_socket_names_the_node_and_no_address),
        ),
    ),
]


ROWS = [
    pytest.param(red, relay_of, it, it is cases[-1], id=f"{relay_of.__name__}-{it.name}")
    for red, relay_of, cases in KNOWN
    for it in cases
]


@pytest.mark.parametrize(("red", "relay_of", "case", "is_its_own"), ROWS)
def test_a_relay_is_charged_with_what_it_breaks_alone(
    red: str,
    relay_of: Patch,
    case: Case,
    *,
    is_its_own: bool,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    relay_of(monkeypatch)
    shorten(sys.modules[case.function.__module__], monkeypatch)
    judged = case.run(request)
    look_at(judged, {red} if is_its_own else {red} & failed_in(judged))


@pytest.mark.parametrize(
    "case",
    [
        case(test_early.test_the_rest_of_a_refused_payload_is_not_sent),
        case(test_early.test_a_real_peer_refuses_an_expired_token_at_the_file_and_stops_reading),
    ],
    ids=lambda it: it.name,
)
def test_a_connection_that_is_left_open_after_a_right_record_is_that_alone(
    case: Case, relay: Relay, request: pytest.FixtureRequest
) -> None:
    """It breaks KIT-08, and neither EARLY-05 nor MINT-12."""
    relay.target = FunctionTarget("tests.runs.bad_relays:careless")
    look_at(case.run(request), {"KIT-08"})


@pytest.mark.parametrize(
    "case",
    [
        case(test_retry.test_a_temporary_failure_is_retried),
        case(test_attempts.test_all_allowed_attempts_are_made_and_no_more, attempts=3),
        COUNTED,
    ],
    ids=lambda it: it.name,
)
def test_a_second_mint_that_is_refused_is_no_attempt_too_few(
    case: Case, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It breaks a rule of mints, and no rule of retries or records."""
    before: set[str] = set()

    def wrong_again(asked: dict[str, Any]) -> dict[str, Any]:
        again = asked["username"] in before
        before.add(asked["username"])
        return {**asked, "password": "wrong"} if again else asked

    of_minting.change_request(monkeypatch, wrong_again)
    judged = case.run(request)
    assert before
    look_at(judged, set())


def look_at(judged: Judged, reds: set[str]) -> None:
    shown = "\n".join(map(str, judged.checks))
    assert not judged.error, judged.error
    assert failed_in(judged) == reds, shown

"""A case beside the one that a mutant breaks charges nothing else: each of these once did."""

from __future__ import annotations

import sys

import pytest

from deploy_relay_kit.harness.judge.model import Verdict
from tests.conformance import (
    test_early,
    test_events,
    test_events_grammar,
    test_fanout,
    test_faults,
    test_fields,
    test_members,
    test_mint_forms,
    test_names,
    test_records,
    test_refusals,
    test_refused_requests,
    test_replication,
    test_retry_after,
    test_sockets,
    test_sockets_trust,
    test_token,
    test_url,
    test_url_parts,
    test_values,
    test_wire,
)
from tests.mutants.catalogue import BY_PLACE, shorten
from tests.mutants.mutant import Case, case
from tests.mutants.test_mutants import failed_in

LOST = case(test_faults.test_a_peer_that_takes_no_connection_costs_one_record)
OF_AN_IPV6_ADDRESS = case(test_url.test_a_node_at_an_ipv6_address_is_reached, from_parts=True)
OF_STATUSES = case(test_faults.test_a_peer_that_answers_408_is_a_failed_record_with_408)
OF_A_LIST = case(test_refused_requests.test_a_list_of_a_mebibyte_arrives_whole)
CLOSED = case(
    test_sockets.test_a_socket_closed_with_1008_fails_the_mint_with_the_reason_of_the_close
)
REFUSED_TOKEN = case(test_early.test_a_real_peer_refuses_a_made_up_token_at_the_head_and_reads_on)
ROWS: dict[str, tuple[Case, ...]] = {
    "of_downgrades.a_login_belongs_to_a_path": (
        LOST,
        case(test_members.test_a_project_that_only_begins_like_json_is_sent),
        case(test_retry_after.test_what_is_no_time_in_retry_after_delays_no_retry),
    ),
    "of_minting.the_first_credentials_serve_all": (
        LOST,
        case(test_records.test_no_answer_changes_the_members_that_the_relay_sets),
    ),
    "of_downgrades.a_token_belongs_to_a_host": (
        case(test_token.test_two_nodes_at_one_url_have_a_login_each),
    ),
    "of_answers.json_is_known_by_its_type": (REFUSED_TOKEN,),
    "of_care.a_success_is_sent_again": (
        case(test_sockets_trust.test_the_authority_of_a_node_is_trusted_for_its_socket),
    ),
    "of_codes.a_status_code_has_a_fraction": (OF_STATUSES,),
    "of_records.the_status_code_is_lost": (OF_STATUSES,),
    "of_downgrades.only_localhost_is_this_machine": (
        case(test_url_parts.test_without_a_secure_port_plain_http_is_used_at_the_insecure_port),
    ),
    "of_fields.members_are_sorted": (
        case(test_fields.test_replicated_keeps_its_place_or_is_the_last_field),
    ),
    "of_habits.an_interim_answer_is_an_answer": (CLOSED,),
    "of_mints.a_token_counts_in_a_refusal": (CLOSED,),
    "of_habits.json_is_ascii": (OF_A_LIST,),
    "of_values.json_has_spaces": (OF_A_LIST,),
    "of_minting.the_mint_is_plain_text": (
        case(test_early.test_a_real_peer_refuses_a_project_at_the_file_and_stops_reading),
    ),
    "of_nodes.a_failure_breaks_the_deploy": (
        case(test_url.test_an_unusable_url_costs_its_own_node_and_mints_nothing),
    ),
    "of_nodes.records_have_no_names": (case(test_fanout.test_records_are_in_node_order),),
    "of_reading.a_body_loses_its_last_line_end": (
        case(test_mint_forms.test_a_refused_mint_has_the_reason_and_the_status_of_its_answer),
    ),
    "of_reasons.a_reason_ends_with_a_stop": (
        case(test_names.test_every_node_has_its_own_upload_and_record_whatever_its_name),
        case(test_refusals.test_a_reason_that_is_cut_holds_whole_characters),
        case(test_events_grammar.test_only_a_number_of_http_is_the_status_of_an_error_event),
    ),
    "of_records.a_success_holds_nothing_of_the_answer": (
        case(test_events.test_the_result_of_done_makes_the_success),
        case(test_records.test_a_result_with_node_and_status_does_not_change_them),
    ),
    "of_urls.the_port_of_a_node_is_ignored": (
        OF_AN_IPV6_ADDRESS,
        case(
            test_url_parts.test_the_port_of_a_node_wins_over_those_of_the_origin,
            form="0.0.0.0:{port}",
        ),
    ),
    "of_urls.the_replication_port_is_used": (
        case(test_url_parts.test_the_host_of_a_node_wins_over_its_replication_url_and_its_name),
    ),
    "of_values.text_is_in_quotes": (
        case(test_wire.test_a_value_with_line_breaks_and_hyphens_arrives_as_it_is),
    ),
    "of_values.text_is_latin_1": (case(test_values.test_a_text_arrives_as_it_is, text="e\u0301"),),
    "of_wire.the_token_follows_two_spaces": (
        case(test_replication.test_each_peer_mints_on_its_own_socket_and_no_payload_is_sent_there),
    ),
}


@pytest.mark.parametrize(
    ("place", "case"),
    [
        pytest.param(place, it, id=f"{place}-{it.name}")
        for place, cases in ROWS.items()
        for it in cases
    ],
)
def test_a_case_charges_what_the_mutant_breaks_and_no_more(
    place: str, case: Case, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant = BY_PLACE[place]
    mutant.apply(monkeypatch)
    shorten(sys.modules[case.function.__module__], monkeypatch)
    judged = case.run(request)
    assert not judged.error, judged.error
    assert judged.verdict is not Verdict.NOT_APPLICABLE
    assert failed_in(judged) <= {*mutant.requirements, *mutant.also}, judged.checks

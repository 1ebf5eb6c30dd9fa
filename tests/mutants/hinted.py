"""Which mutants make the mistake that a hint names, and what a failed case must say of them."""

from __future__ import annotations

import re

from deploy_relay_kit.harness.judge.hints import hints
from deploy_relay_kit.harness.judge.model import Case as Judged
from deploy_relay_kit.harness.judge.report.text import explained
from tests.mutants.mutant import Case, Mutant

MAKE_IT = {
    "content-type-charset": ("of_wire.a_request_for_events_has_another_media_type",),
    "known-length": (
        "of_wire.the_length_is_announced",
        "of_wire.a_small_upload_is_sent_with_its_length",
    ),
    "expect-continue": ("of_wire.a_large_upload_expects_100_continue",),
    "quoted-boundary": ("of_wire.the_boundary_is_quoted",),
    "token-without-scheme": (
        "of_wire.the_token_has_no_scheme",
        "of_wire.the_token_follows_two_spaces",
    ),
    "host-without-port": ("of_wire.host_has_no_port",),
    "accept-of-a-browser": (
        "of_wire.only_html_is_accepted",
        "of_wire.a_mint_accepts_html",
        "of_odd_streams.a_mint_requests_a_stream",
    ),
    "field-with-content-type": ("of_wire.fields_have_a_type",),
    "name-of-the-staged-file": (
        "of_wire.the_file_has_another_name",
        "of_habits.the_file_has_its_staged_name",
    ),
    "type-of-the-file": ("of_wire.the_file_has_the_general_type",),
    "preamble-of-a-mail": (
        "of_wire.the_body_has_a_preamble",
        "of_rare_uploads.the_body_begins_with_an_empty_line",
    ),
    "no-closing-delimiter": ("of_wire.there_is_no_closing_delimiter",),
    "unix-line-ends": ("of_wire.lines_end_with_lf_alone",),
    "json-with-spaces": (
        "of_values.json_has_spaces",
        "of_requests.json_has_a_space_after_colons",
        "of_requests.json_has_a_space_after_commas",
    ),
    "json-in-ascii": (
        "of_habits.json_is_ascii",
        "of_requests.characters_beyond_sixteen_bits_are_escaped_in_json",
        "of_near_misses.invisible_characters_are_escaped_in_json",
        "of_rare_values.byte_order_marks_are_escaped_in_json",
        "of_rare_values.private_characters_are_escaped_in_json",
        "of_rare_values.joiners_are_escaped_in_json",
        "of_rare_values.special_characters_are_escaped_in_json",
    ),
    "text-in-quotes": (
        "of_values.text_is_in_quotes",
        "of_requests.texts_that_look_like_json_are_in_quotes",
    ),
    "values-as-the-language-prints-them": (
        "of_fields.replicated_is_false_as_python_writes_it",
        "of_requests.truth_is_printed_by_python",
    ),
    "name-cut-at-an-equals-sign": ("of_requests.names_end_at_an_equals_sign",),
    "null-as-nothing": ("of_values.null_is_an_empty_text",),
    "names-percent-encoded": ("of_values.names_are_escaped_as_browsers_do",),
    "text-in-latin-1": ("of_values.text_is_latin_1",),
    "names-cleaned-too-late": ("of_fields.names_are_cleaned_after_the_checks",),
    "names-equal-when-cleaned": ("of_fields.names_are_cleaned_after_the_checks",),
    "everything-forwarded": (
        "of_fields.hidden_members_are_forwarded",
        "of_fields.members_of_the_origin_are_forwarded",
        "of_fields.credentials_are_forwarded",
    ),
    "replicated-forgotten": ("of_fields.replicated_is_left_out",),
    "members-sorted": ("of_fields.members_are_sorted",),
    "number-through-a-double": ("of_values.a_number_has_six_digits",),
    "payload-in-memory": ("of_sending.the_payload_is_read_whole",),
    "uploads-one-after-another": (
        "of_nodes.a_hundred_peers_are_served_at_once",
        "of_turns.six_nodes_of_a_host_at_a_time",
        "of_nodes.peers_are_served_in_turn",
    ),
    "no-limit-of-its-own": ("of_giving_up.a_relay_without_limits_waits_for_ever",),
    "credentials-of-a-url": (
        "of_care.user_info_of_a_url_goes_into_its_query",
        "of_neighbours.a_user_name_in_a_url_is_sent",
    ),
    "answer-in-memory": (
        "of_answers.an_answer_is_read_to_its_end",
        "of_sockets.a_message_has_no_size_limit",
    ),
    "descriptor-left-open": (
        "of_sending.the_payload_stays_open",
        "of_giving_up.a_payload_is_opened_before_the_mint",
        "of_giving_up.a_payload_is_closed_only_at_its_end",
    ),
    "total-timeout": (
        "of_giving_up.the_limit_of_a_stall_never_restarts",
        "of_giving_up.the_limit_of_an_answer_begins_with_the_upload",
    ),
    "no-read-during-the-upload": ("of_sending.no_answer_is_read_before_the_upload_finished",),
    "broken-answer-awaited": ("of_sending.hang_ups_go_unnoticed",),
    "redirect-followed": (
        "of_urls.redirects_are_followed",
        "of_rare_quotes.a_redirect_for_ever_counts_in_the_next_deploy",
        "of_rare_quotes.a_mint_that_has_moved_is_sent_again",
        "of_rare_quotes.a_mint_takes_the_first_of_several_places",
        "of_rare_quotes.a_mint_at_a_path_is_redirected",
        "of_rare_quotes.a_mint_at_an_ipv6_address_is_redirected",
        "of_ways.a_redirected_mint_is_followed",
        "of_ways.a_redirect_within_a_node_is_followed",
        "of_ways.a_redirect_of_a_mint_that_keeps_its_method_is_followed_within_a_host",
    ),
    "verification-off": (
        "of_urls.nothing_is_verified",
        "of_circumstances.no_node_with_a_path_is_verified",
    ),
    "another-authority-trusted": ("of_urls.nothing_is_verified",),
    "own-authority-not-loaded": ("of_urls.the_authority_of_the_cluster_is_not_loaded",),
    "only-the-first-certificate": ("of_ways.one_certificate_of_a_file_is_trusted",),
    "bytes-behind-the-answer": ("of_rare_forms.bytes_after_an_answer_spoil_it",),
    "path-dropped": ("of_urls.the_path_is_lost",),
    "ipv6-without-brackets": ("of_urls.an_ipv6_address_has_no_brackets",),
    "only-200": ("of_answers.only_200_is_a_success",),
    "answer-in-latin-1": (
        "of_answers.an_answer_is_latin_1",
        "of_reading.the_charset_of_a_type_counts",
        "of_reading.texts_without_a_charset_are_latin_1",
        "of_reading.bodies_without_a_type_are_latin_1",
        "of_reading.bodies_that_are_not_json_are_latin_1",
    ),
    "characters-cut-by-blocks": (
        "of_streams.every_byte_is_decoded_on_its_own",
        "of_split_streams.each_block_of_an_answer_is_decoded_alone",
    ),
    "gzip-not-decoded": ("of_answers.an_encoding_is_requested_and_not_decoded",),
    "answer-overwrites-the-record": ("of_records.the_peer_may_overwrite_node_and_status",),
    "status-code-lost": ("of_records.the_status_code_is_lost",),
    "raw-body-as-reason": (
        "of_answers.the_reason_is_the_raw_body",
        "of_reasons.only_message_is_a_reason",
    ),
    "object-as-javascript-prints-it": (
        "of_answers.an_object_is_shown_as_javascript_does",
        "of_streams.a_message_is_shown_as_javascript_does",
    ),
    "error-text-cut": (
        "of_answers.every_reason_is_cut",
        "of_reasons.an_error_has_10000_characters",
    ),
    "truncated-answer-accepted": (
        "of_answers.an_incomplete_answer_is_a_success",
        "of_corners.a_success_without_its_body_is_whole",
        "of_corners.whole_json_of_a_length_is_a_whole_answer",
        "of_corners.whole_json_in_chunks_is_a_whole_answer",
        "of_edges.half_an_event_at_the_end_counts",
        "of_near_misses.a_byte_less_than_the_length_is_enough",
        "of_near_misses.an_answer_201_may_break_off",
        "of_odd_answers.a_long_answer_may_lack_its_end",
    ),
    "interim-answer-taken": ("of_habits.an_interim_answer_is_an_answer",),
    "error-member-on-success": (
        "of_answers.an_error_member_is_a_failure",
        "of_odd_answers.an_error_that_is_an_object_is_a_failure",
        "of_odd_answers.success_that_is_false_is_a_failure",
        "of_odd_answers.a_peer_of_the_peer_that_failed_is_a_failure",
        "of_odd_answers.a_code_of_500_is_a_failure",
        "of_odd_answers.done_with_an_error_is_a_failure",
        "of_odd_answers.done_with_failed_is_a_failure",
    ),
    "stream-not-parsed": ("of_streams.a_stream_is_plain_text",),
    "stream-with-crlf": ("of_streams.lines_of_a_stream_end_with_lf_alone",),
    "last-data-line-only": ("of_streams.the_last_line_of_data_counts",),
    "no-accept-for-events": (
        "of_streams.no_stream_is_requested",
        "of_turns.events_are_requested_once",
    ),
    "records-as-they-complete": (
        "of_habits.numbers_come_before_other_names",
        "of_nodes.records_are_sorted_by_name",
    ),
    "one-token-for-all": ("of_minting.the_first_token_serves_all",),
    "token-cached-over-attempts": (
        "of_minting.a_token_is_kept_for_the_next_attempt",
        "of_downgrades.a_token_outlives_a_lost_answer",
        "of_downgrades.a_token_outlives_a_503_with_retry_after",
        "of_downgrades.a_token_outlives_every_second_attempt",
        "of_downgrades.a_token_outlives_a_failed_connection",
        "of_downgrades.a_token_of_a_socket_outlives_its_attempt",
    ),
    "second-token": ("of_minting.a_second_token_is_minted_and_dropped",),
    "token-for-a-day": (
        "of_minting.the_mint_asks_for_no_lifetime",
        "of_sockets.a_socket_mints_for_a_day",
        "of_later_mints.the_second_mint_asks_for_a_day",
        "of_later_mints.the_second_mint_over_a_socket_names_no_lifetime",
    ),
    "retry-of-the-library": (
        "of_attempts.a_lost_upload_is_repeated_without_retry",
        "of_attempts.a_refused_upload_is_repeated_without_retry",
        "of_time.a_lost_connection_is_repeated_at_once",
        "of_time.a_mint_503_is_repeated_at_once",
        "of_time.a_mint_408_is_repeated_at_once",
        "of_time.an_invalid_token_is_replaced_at_once",
        "of_time.an_upload_408_is_repeated_at_once",
    ),
    "every-failure-retried": ("of_sending.everything_is_tried_again",),
    "retry-after-ignored": (
        "of_sending.retry_after_is_ignored",
        "of_attempts.retry_after_of_a_mint_is_ignored",
        "of_time.only_the_first_retry_after_counts",
        "of_time.retry_after_of_a_mint_502_is_ignored",
        "of_time.retry_after_of_a_mint_504_is_ignored",
        "of_time.retry_after_is_cut_to_the_longest_pause",
        "of_attempts.retry_after_counts_with_503_alone",
        "of_time.retry_after_is_in_milliseconds",
        "of_pauses.the_time_in_a_refused_upgrade_is_ignored",
    ),
    "retry-after-as-a-date": (
        "of_sending.a_date_in_retry_after_is_ignored",
        "of_forms.dates_are_not_read",
        "of_forms.dates_of_today_are_not_read",
    ),
    "secret-in-arguments": ("of_care.a_password_is_an_argument_of_a_program",),
    "secret-in-environment": (
        "of_leftovers.a_program_has_the_key_in_its_environment",
        "of_rare_quotes.a_token_becomes_a_variable_of_the_environment",
    ),
    "secret-in-output": (
        "of_rare_secrets.a_part_of_the_key_is_written_to_the_output",
        "of_minting.tokens_are_logged",
        "of_secrets.a_log_has_the_head_of_a_request",
        "of_secrets.a_log_has_a_password_in_base64",
        "of_secrets.a_log_has_a_token_in_base64",
        "of_secrets.a_log_has_a_url_with_a_password",
        "of_secrets.a_log_has_the_beginning_of_a_token",
        "of_secrets.a_log_has_the_end_of_a_password",
        "of_secrets.a_log_has_refresh_tokens",
        "of_secrets.a_log_has_the_key",
        "of_quotes.the_end_of_each_token_is_logged",
        "of_look_alikes.the_first_8_characters_of_a_token_are_logged",
        "of_look_alikes.the_last_8_characters_of_a_token_are_logged",
        "of_look_alikes.the_last_4_characters_of_a_token_are_logged",
    ),
    "secret-in-part": ("of_habits.a_reason_is_cut_before_secrets_are_removed",),
    "quoted-secret": (
        "of_rare_secrets.no_secret_of_digits_is_hidden",
        "of_rare_secrets.no_secret_is_hidden_as_a_component_of_a_url",
        "of_rare_quotes.no_secret_is_hidden_with_escapes_of_html",
        "of_rare_quotes.no_secret_with_a_control_is_hidden",
        "of_rare_quotes.no_secret_with_a_mark_of_a_list_is_hidden",
        "of_care.a_quoted_token_is_not_hidden",
        "of_care.a_quoted_password_is_not_hidden",
        "of_care.a_password_is_not_hidden_after_the_mint",
        "of_secrets.a_refresh_token_is_not_hidden",
        "of_look_alikes.short_secrets_are_not_hidden",
        "of_look_alikes.escapes_of_urls_in_small_letters_are_not_hidden",
        "of_look_alikes.escapes_of_urls_with_a_plus_are_not_hidden",
        "of_look_alikes.escapes_of_slashes_are_not_hidden",
        "of_look_alikes.escapes_in_capitals_are_not_hidden",
        "of_look_alikes.escapes_in_small_letters_are_not_hidden",
        "of_secrets.a_password_with_a_quote_is_not_hidden",
        "of_secrets.a_password_with_a_blank_is_not_hidden",
        "of_secrets.a_password_beyond_ascii_is_not_hidden",
        "of_secrets.secrets_are_hidden_as_they_are_alone",
        "of_secrets.secrets_are_hidden_as_in_ascii_json_alone",
        "of_secrets.secrets_are_hidden_without_their_ends",
        "of_secrets.secrets_in_texts_alone_are_hidden",
        "of_secrets.secrets_in_names_are_not_hidden",
        "of_secrets.secrets_in_lists_are_not_hidden",
        "of_secrets.secrets_in_inner_values_are_not_hidden",
        "of_secrets.a_secret_is_hidden_once",
        "of_quotes.what_a_list_in_a_list_holds_is_not_hidden",
        "of_quotes.what_an_object_in_a_list_holds_is_not_hidden",
        "of_quotes.the_target_of_a_redirect_is_shown_as_it_is",
        "of_quotes.the_words_of_a_status_are_shown_as_they_are",
        "of_quotes.a_challenge_is_shown_as_it_is",
        "of_secrets.secrets_in_a_success_are_not_hidden",
        "of_leftovers.long_texts_are_not_searched_for_secrets",
        "of_leftovers.values_below_ten_levels_are_not_searched_for_secrets",
    ),
    "quoted-base64": (
        "of_look_alikes.base64_with_the_alphabet_of_urls_is_not_hidden",
        "of_look_alikes.base64_is_hidden_of_a_password_alone",
        "of_quotes.the_credentials_of_a_head_are_hidden_as_plain_text_alone",
        "of_rare_secrets.a_secret_in_base64_is_hidden_at_its_end_alone",
    ),
    "body-written-again": (
        "of_reasons.json_without_a_reason_is_written_anew",
        "of_reasons.json_without_a_reason_is_written_compactly",
    ),
    "reason-in-ascii": (
        "of_reasons.an_error_is_indented_json",
        "of_reasons.an_error_is_json_with_blanks",
        "of_reasons.an_error_is_json_in_ascii",
        "of_reasons.an_error_with_a_message_is_printed",
    ),
}
"""The mutants that make the mistake of a hint; the others get no hint."""

A_REPR = re.compile(
    r"""\b[A-Z][a-z]\w*\(|(^|[:,(\[]\s*)b('[^'\n]*'|"[^"\n]*")(?=[,)\]}\s]|$)"""
    r"""|<\w[\w.]* object|Traceback|\(<|dict_keys|, \)"""
)
"""A Python object as the language prints it, or a traceback: nothing for a stranger."""

SILENT = {
    (
        "of_sending.the_payload_is_read_whole",
        "test_the_first_bytes_leave_before_the_end_of_the_payload_is_read",
    ),
    ("of_sending.everything_is_tried_again", "test_an_answer_of_any_other_kind_to_a_mint_is_final"),
    ("of_sending.everything_is_tried_again", "test_an_answer_that_has_begun_is_final"),
    (
        "of_sending.everything_is_tried_again",
        "test_a_whole_upload_without_an_answer_is_not_sent_again",
    ),
    (
        "of_streams.a_stream_is_plain_text",
        "test_a_stream_that_ends_without_done_or_error_is_a_failure",
    ),
    (
        "of_records.the_peer_may_overwrite_node_and_status",
        "test_a_result_with_node_and_status_does_not_change_them",
    ),
    ("of_records.the_status_code_is_lost", "test_a_refusal_instead_of_a_stream_has_its_reason"),
    (
        "of_records.the_status_code_is_lost",
        "test_a_real_peer_refuses_a_payload_after_it_has_the_whole",
    ),
    (
        "of_records.the_status_code_is_lost",
        "test_a_token_that_may_not_deploy_is_a_failed_record_with_403",
    ),
    ("of_urls.nothing_is_verified", "test_verification_stays_enabled_for_the_other_nodes"),
    ("of_values.text_is_latin_1", "test_a_lone_surrogate_becomes_the_replacement_character"),
    ("of_fields.replicated_is_left_out", "test_replicated_keeps_its_place_or_is_the_last_field"),
    (
        "of_fields.names_are_cleaned_after_the_checks",
        "test_no_name_of_a_member_makes_a_part_that_peers_refuse",
    ),
    (
        "of_fields.names_are_cleaned_after_the_checks",
        "test_no_second_replicated_is_sent_for_a_name_with_quotes_or_line_breaks",
    ),
    (
        "of_habits.an_interim_answer_is_an_answer",
        "test_an_interim_answer_during_the_upload_does_not_end_it",
    ),
    ("of_minting.the_first_token_serves_all", "test_no_peer_is_sent_a_credential_of_another"),
    ("of_minting.the_first_token_serves_all", "test_no_file_with_a_credential_is_left_behind"),
}
"""Cases that see such a mutant from afar, where the mistake is only one of several."""

HINTS_OF = {
    mutant: {hint for hint, makers in MAKE_IT.items() if mutant in makers}
    for mutants in MAKE_IT.values()
    for mutant in mutants
}


def check_hints(mutant: Mutant, case: Case, judged: Judged) -> None:
    """A mutant with the mistake of a hint gets that hint alone; every other mutant gets none."""
    shown = hints_in(judged)
    if mutant.place not in HINTS_OF or (mutant.place, case.function.__name__) in SILENT:
        assert shown == set(), (
            "narrow these in harness/judge/hints.toml, or add the mutant to MAKE_IT in hinted.py"
        )
    else:
        expected = HINTS_OF[mutant.place]
        assert shown, f"widen {expected} in hints.toml, or add the case to SILENT in hinted.py"
        assert shown <= expected, "narrow the others in harness/judge/hints.toml"


def hints_in(judged: Judged) -> set[str]:
    """The names of the hints that the output of a case shows."""
    printed = "\n".join(explained(judged))
    found = A_REPR.search(printed)
    assert not found, f"{found[0]!r} is Python, not a text for a user of any language:\n{printed}"
    named = {hint.text: name for name, hint in hints().items()}
    return {named[check.hint] for check in judged.checks if check.hint}

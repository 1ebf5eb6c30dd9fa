"""Mutants of the forwarded fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from deploy_relay_kit.relay import fanout, request
from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.request import forwarded_fields
from tests.conformance import (
    test_fields,
    test_refused_requests,
    test_wire,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_values import TEXTS, VALUES

Fields = Mapping[str, object]

NAMES = test_wire.test_no_name_of_a_member_makes_a_part_that_peers_refuse
LONG_LIST = ["x" * 65_536] * 16
PLACE = test_fields.test_replicated_keeps_its_place_or_is_the_last_field


def change_fields(patch: pytest.MonkeyPatch, change: Callable[[Fields, Fields], Fields]) -> None:
    """Change the forwarded fields; `change` also gets the request."""
    patch.setattr(
        fanout, "forwarded_fields", lambda given: dict(change(forwarded_fields(given), given))
    )


@mutant("FLD-01", killed_by=case(test_fields.test_a_member_of_the_origin_is_not_forwarded))
def hidden_members_are_forwarded(patch: pytest.MonkeyPatch) -> None:
    change_fields(
        patch,
        lambda fields, given: {**{n: v for n, v in given.items() if n[:1] == "_"}, **fields},
    )


@mutant(
    "FLD-01",
    killed_by=case(test_fields.test_a_member_of_the_origin_is_not_forwarded),
)
def members_of_the_origin_are_forwarded(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "_LOCAL", set())


@mutant(
    "FLD-02",
    killed_by=(
        case(test_fields.test_replicated_is_sent_as_false),
        case(PLACE, given={"restart": False, "force": True}),
    ),
)
def replicated_is_left_out(patch: pytest.MonkeyPatch) -> None:
    change_fields(patch, lambda fields, _: {n: v for n, v in fields.items() if n != "replicated"})


@mutant("FLD-02", killed_by=case(PLACE))
def replicated_comes_last(patch: pytest.MonkeyPatch) -> None:
    change_fields(
        patch,
        lambda fields, _: {
            **{n: v for n, v in fields.items() if n != "replicated"},
            "replicated": False,
        },
    )


@mutant(
    "FLD-03",
    killed_by=case(test_fields.test_replicated_is_the_text_false_for_every_given_value),
)
def replicated_is_false_as_python_writes_it(patch: pytest.MonkeyPatch) -> None:
    change_fields(patch, lambda fields, _: {**fields, "replicated": "False"})


@mutant(
    "FLD-04",
    killed_by=(
        case(TEXTS),
        case(test_refused_requests.test_sixty_four_fields_arrive),
        case(test_refused_requests.test_a_value_of_a_mebibyte_arrives_whole),
    ),
)
def only_known_members_are_forwarded(patch: pytest.MonkeyPatch) -> None:
    known = {"operation", "project", "restart", "replicated"}
    change_fields(patch, lambda fields, _: {n: v for n, v in fields.items() if n in known})


@mutant(
    "FLD-04", killed_by=case(test_fields.test_members_are_forwarded_in_the_order_of_the_request)
)
def members_are_sorted(patch: pytest.MonkeyPatch) -> None:
    change_fields(patch, lambda fields, _: dict(sorted(fields.items())))


@mutant(
    "FLD-04",
    killed_by=case(
        test_fields.test_names_with_a_meaning_for_a_command_line_or_a_form_are_forwarded
    ),
)
def members_of_a_command_line_stay_behind(patch: pytest.MonkeyPatch) -> None:
    gone = {"target", "json", "rejectUnauthorized", "skip_node_modules", "skip_symlinks"}
    change_fields(patch, lambda fields, _: {n: v for n, v in fields.items() if n not in gone})


@mutant("FLD-04", killed_by=case(VALUES))
def empty_objects_stay_behind(patch: pytest.MonkeyPatch) -> None:
    change_fields(patch, lambda fields, _: {n: v for n, v in fields.items() if v != {}})


@mutant(
    "FLD-05",
    killed_by=case(test_fields.test_a_member_that_carries_credentials_is_not_forwarded),
)
def credentials_are_forwarded(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "_DENIED", set())


HIDDEN = test_fields.test_a_forbidden_name_with_quotes_or_line_breaks_is_not_forwarded
SECOND = test_fields.test_no_second_replicated_is_sent_for_a_name_with_quotes_or_line_breaks


@mutant(
    "FLD-01",
    "FLD-03",
    "FLD-05",
    "KIT-09",
    "PARSE-16",
    killed_by=(
        case(NAMES, name=""),
        case(HIDDEN),
        case(HIDDEN, read_as="payload"),
        case(HIDDEN, read_as="password"),
        case(SECOND, more={}),
        case(SECOND, more={"replicated": True}),
        case(test_fields.test_no_field_is_sent_twice_for_names_that_are_equal_without_quotes),
    ),
)
def names_are_cleaned_after_the_checks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "_cleaned", lambda name: name)


@mutant(
    "PARSE-19",
    killed_by=case(test_refused_requests.test_the_necessary_fields_are_among_the_first_sixty_four),
)
def any_number_of_fields_is_sent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "MAX_FIELDS", 10_000)


@mutant(
    "PARSE-19",
    killed_by=case(
        test_refused_requests.test_the_necessary_fields_are_among_the_first_sixty_four, count=62
    ),
)
def one_field_more_is_sent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "MAX_FIELDS", 65)


@mutant(
    "PARSE-18",
    killed_by=(
        case(
            test_refused_requests.test_a_value_that_a_peer_would_cut_is_refused,
            value="x" * 1_048_577,
        ),
        case(
            test_refused_requests.test_a_value_that_a_peer_would_cut_is_refused,
            value=["a", "x" * 1_048_569],
        ),
    ),
)
def one_byte_more_of_a_value_is_sent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "MAX_VALUE_BYTES", 1_048_577)


@mutant("FLD-04", killed_by=case(test_refused_requests.test_a_list_of_a_mebibyte_arrives_whole))
def the_last_byte_of_a_value_is_too_much(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "MAX_VALUE_BYTES", 1_048_575)


@mutant(
    "PARSE-18", killed_by=case(test_refused_requests.test_a_value_that_a_peer_would_cut_is_refused)
)
def values_of_any_length_are_sent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "MAX_VALUE_BYTES", 1 << 40)


@mutant(
    "PARSE-18",
    killed_by=case(
        test_refused_requests.test_a_value_that_a_peer_would_cut_is_refused, value=LONG_LIST
    ),
)
def only_texts_are_measured(patch: pytest.MonkeyPatch) -> None:
    check = request._check_value

    def of_texts(name: str, value: object) -> None:
        try:
            check(name, value)
        except InputError as error:
            if isinstance(value, str) or "JSON" in str(error):
                raise

    patch.setattr(request, "_check_value", of_texts)


@mutant(
    "PARSE-20",
    killed_by=(case(NAMES, name="a\x01b"), case(NAMES, name="n" * 17_000)),
)
def a_name_may_be_anything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "_CONTROL", re.compile("(?!)"))
    patch.setattr(request, "MAX_NAME_BYTES", 1 << 40)


@mutant("KIT-06", killed_by=case(test_refused_requests.test_another_operation_is_not_relayed))
def any_operation_is_relayed(patch: pytest.MonkeyPatch) -> None:
    def forwarded(given: Fields) -> Fields:
        fields = forwarded_fields({**given, "operation": "deploy_component"})
        return {**fields, "operation": given.get("operation")}

    patch.setattr(fanout, "forwarded_fields", forwarded)


@mutant(
    "PARSE-32",
    killed_by=case(
        test_refused_requests.test_a_project_that_a_peer_would_not_read_as_text_is_refused_or_quoted
    ),
)
def a_project_of_digits_is_sent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "_check_project", lambda fields: None)  # noqa: ARG005


@mutant(
    "WIRE-09",
    killed_by=case(
        test_refused_requests.test_a_value_without_a_json_form_is_refused_before_anything_is_sent
    ),
)
def values_are_serialised_during_the_upload(patch: pytest.MonkeyPatch) -> None:
    check = request._check_value

    def of_json(name: str, value: object) -> None:
        try:
            check(name, value)
        except InputError as error:
            if "JSON" not in str(error):
                raise

    patch.setattr(request, "_check_value", of_json)


@mutant(
    "WIRE-11",
    killed_by=case(test_wire.test_a_value_that_looks_like_an_earlier_boundary_arrives_as_it_is),
)
def closing_delimiters_in_values_are_removed(patch: pytest.MonkeyPatch) -> None:
    change_fields(
        patch,
        lambda fields, _: {
            name: re.sub("\r\n--.*--\r\n", "\r\n", value) if isinstance(value, str) else value
            for name, value in fields.items()
        },
    )

"""Mutants of the members that stay behind, and of the limits of a request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from deploy_relay_kit.relay import fanout, formdata, request
from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.request import forwarded_fields
from tests.conformance import (
    test_fields,
    test_members,
    test_refused_requests,
    test_values,
    test_wire,
)
from tests.mutants.mutant import alike, case
from tests.mutants.of_values import compact

Given = Mapping[str, object]
PROJECT = (
    test_refused_requests.test_a_project_that_a_peer_would_not_read_as_text_is_refused_or_quoted
)
FIELDS = test_refused_requests.test_the_necessary_fields_are_among_the_first_sixty_four
LENGTH = test_refused_requests.test_a_value_that_a_peer_would_cut_is_refused
NO_JSON = test_refused_requests.test_a_value_without_a_json_form_is_refused_before_anything_is_sent
PART = test_wire.test_no_name_of_a_member_makes_a_part_that_peers_refuse
LIMITS = case(test_members.test_limits_are_those_of_what_is_sent)
EVERY_NAME = case(test_members.test_every_name_arrives_as_it_is)
EVERY_VALUE = case(test_members.test_every_value_means_what_it_meant)


def forward(patch: pytest.MonkeyPatch, change: Callable[[Given], Given]) -> None:
    """Change the request before the reference reads it."""
    patch.setattr(fanout, "forwarded_fields", lambda given: forwarded_fields(change(given)))


def forget(patch: pytest.MonkeyPatch, name: str) -> None:
    """Forward one member that must stay behind."""
    patch.setattr(request, "_LOCAL", request._LOCAL - {name})
    patch.setattr(request, "_DENIED", request._DENIED - {name})


alike(
    forget,
    "FLD-01",
    killed_by=case(test_fields.test_a_member_of_the_origin_is_not_forwarded),
    also=None,
    **{f"the_member_{name}_is_forwarded": name for name in sorted(request._LOCAL)},
)
alike(
    forget,
    "FLD-05",
    killed_by=case(test_fields.test_a_member_that_carries_credentials_is_not_forwarded),
    also=None,
    **{f"the_member_{name}_is_forwarded": name for name in sorted(request._DENIED)},
)


def stay_behind(patch: pytest.MonkeyPatch, is_one: Callable[[str], bool]) -> None:
    """Leave out more members than the reference does."""
    stays = request.stays_behind
    patch.setattr(request, "stays_behind", lambda name: stays(name) or is_one(name))


alike(
    stay_behind,
    "FLD-04",
    killed_by=EVERY_NAME,
    forbidden_names_ignore_case=lambda name: name.lower() in request._DENIED | request._LOCAL,
    forbidden_names_are_prefixes=lambda name: name.startswith(("payload", "token", "progress")),
    forbidden_names_are_parts=lambda name: "password" in name,
    forbidden_names_are_suffixes=lambda name: name.endswith("token"),
    forbidden_names_are_trimmed=lambda name: name.strip() in request._DENIED | request._LOCAL,
    names_with_an_underscore_stay_behind=lambda name: "_" in name.strip("_"),
    names_that_end_with_an_underscore_stay_behind=lambda name: name.endswith("_"),
    names_that_begin_with_a_dollar_stay_behind=lambda name: name.startswith("$"),
    names_of_digits_stay_behind=str.isdigit,
    the_name_package_stays_behind=lambda name: name == "package",
)


def _without(name: Callable[[str], bool], value: Any) -> Any:
    if isinstance(value, dict):
        return {n: _without(name, v) for n, v in value.items() if not name(n)}
    return [_without(name, v) for v in value] if isinstance(value, list) else value


def _nested(is_one: Callable[[str], bool], given: Given) -> Given:
    return {name: _without(is_one, value) for name, value in given.items()}


alike(
    forward,
    "FLD-04",
    killed_by=EVERY_VALUE,
    nested_credentials_are_left_out=partial(_nested, lambda name: name in request._DENIED),
    nested_hidden_members_are_left_out=partial(_nested, lambda name: name[:1] == "_"),
    nested_replicated_is_left_out=partial(_nested, lambda name: name == "replicated"),
)


def refuse(patch: pytest.MonkeyPatch, is_bad: Callable[[Given], bool]) -> None:
    """Refuse more requests than the reference does."""

    def refusing(given: Given) -> dict[str, object]:
        if is_bad(given):
            raise InputError("the request cannot be relayed")
        return forwarded_fields(given)

    patch.setattr(fanout, "forwarded_fields", refusing)


def _project(given: Given) -> str:
    return str(given.get("project", ""))


alike(
    refuse,
    "FLD-04",
    killed_by=LIMITS,
    fields_are_counted_before_members_are_left_out=lambda given: len(given) > 64,
    values_are_measured_before_members_are_left_out=lambda given: any(
        len(str(value)) > 1_048_576 for value in given.values()
    ),
    a_request_has_at_most_a_mebibyte=lambda given: len(str(given)) > 1_100_000,
    the_file_counts_as_a_field=lambda given: len(given) + 2 > 64,
)
alike(
    refuse,
    "FLD-04",
    killed_by=case(test_members.test_a_project_that_only_begins_like_json_is_sent),
    a_project_may_not_begin_with_a_digit=lambda given: _project(given)[:1].isdigit(),
    a_project_may_not_begin_with_a_hyphen=lambda given: _project(given)[:1] == "-",
    a_project_may_not_begin_with_true=lambda given: _project(given).startswith("true"),
    a_project_may_not_be_null_in_any_case=lambda given: _project(given).lower() == "null",
    a_project_has_at_most_64_characters=lambda given: len(_project(given)) > 64,
)
alike(
    refuse,
    "FLD-04",
    killed_by=EVERY_VALUE,
    members_of_null_are_refused=lambda given: None in given.values(),
)
alike(
    refuse,
    "WIRE-12",
    killed_by=case(test_values.test_a_lone_surrogate_becomes_the_replacement_character),
    lone_surrogates_are_refused=lambda given: "\\ud8" in ascii(given),
)


def accept(patch: pytest.MonkeyPatch, is_read_as_text: Callable[[str], bool]) -> None:
    """Take more projects for texts than a peer does."""
    decoded = request.decoded
    patch.setattr(request, "decoded", lambda it: it if is_read_as_text(it) else decoded(it))


alike(
    accept,
    "PARSE-32",
    killed_by=case(PROJECT),
    a_project_may_be_a_literal=lambda it: it in ("true", "false", "null"),
    a_project_may_be_null=lambda it: it == "null",
    a_project_may_be_a_fraction=lambda it: "." in it,
    a_project_may_have_an_exponent=lambda it: "e" in it and it[0].isdigit(),
    a_project_may_be_negative=lambda it: it[0] == "-",
    a_project_may_be_a_list=lambda it: it[0] == "[",
    a_project_may_be_an_object=lambda it: it[0] == "{",
    a_project_may_be_zero=lambda it: it == "0",
)


def limit(patch: pytest.MonkeyPatch, change: tuple[str, int]) -> None:
    patch.setattr(request, *change)


alike(
    limit,
    "FLD-04",
    killed_by=case(test_refused_requests.test_sixty_four_fields_arrive),
    a_peer_reads_63_fields=("MAX_FIELDS", 63),
)
alike(
    limit,
    "FLD-04",
    killed_by=case(test_refused_requests.test_a_list_of_a_mebibyte_arrives_whole),
    a_peer_keeps_a_million_bytes=("MAX_VALUE_BYTES", 1_000_000),
)
alike(
    limit, "PARSE-19", killed_by=case(FIELDS, count=62), a_peer_reads_65_fields=("MAX_FIELDS", 65)
)
alike(
    limit,
    "PARSE-18",
    killed_by=case(LENGTH),
    a_peer_keeps_one_byte_more=("MAX_VALUE_BYTES", 1_048_577),
    a_peer_keeps_two_mebibytes=("MAX_VALUE_BYTES", 2_097_152),
)
alike(
    limit,
    "PARSE-20",
    killed_by=case(PART, name="n" * 16_384),
    names_have_16_kib=("MAX_NAME_BYTES", 16_384),
    names_have_any_length=("MAX_NAME_BYTES", 1 << 20),
)


def measure(patch: pytest.MonkeyPatch, size: Callable[[object], int]) -> None:
    """Measure values in another way."""

    def check(name: str, value: object) -> None:
        formdata.value_bytes(value)
        if size(value) > request.MAX_VALUE_BYTES:
            raise InputError(f"field {name!r} is too long")

    patch.setattr(request, "_check_value", check)


alike(
    measure,
    "PARSE-18",
    killed_by=case(LENGTH, value="é" * 524_289),
    values_are_measured_in_characters=lambda it: len(it if isinstance(it, str) else compact(it)),
)
alike(
    measure,
    "FLD-04",
    killed_by=case(test_refused_requests.test_a_list_of_a_mebibyte_arrives_whole),
    values_are_measured_with_their_escapes=lambda it: len(json.dumps(it)),
    values_are_measured_in_utf_16=lambda it: len(str(it).encode("utf-16", "surrogatepass")),
)


def check_json(patch: pytest.MonkeyPatch, as_json: Callable[[object], str]) -> None:
    """Write values that are no texts in another way."""
    written = formdata.value_bytes
    patch.setattr(
        formdata,
        "value_bytes",
        lambda it: (
            written(it) if isinstance(it, str) else as_json(it).encode("utf-8", "backslashreplace")
        ),
    )


alike(
    check_json,
    "WIRE-09",
    killed_by=case(NO_JSON),
    no_number_is_refused=lambda it: compact(it, allow_nan=True),
    what_is_no_json_is_printed=lambda it: compact(it, default=str),
    numbers_that_are_none_are_null=lambda it: re.sub(
        "NaN|-?Infinity", "null", compact(it, allow_nan=True)
    ),
)


def take_operation(patch: pytest.MonkeyPatch, is_ours: Callable[[Any], bool]) -> None:
    def lenient(given: Given) -> dict[str, object]:
        operation = given.get("operation")
        fields = forwarded_fields({**given, "operation": "deploy_component"})
        return {**fields, "operation": operation} if is_ours(operation) else forwarded_fields(given)

    patch.setattr(fanout, "forwarded_fields", lenient)


alike(
    take_operation,
    "KIT-06",
    killed_by=case(test_refused_requests.test_another_operation_is_not_relayed),
    operations_ignore_case=lambda it: str(it).lower() == "deploy_component",
    operations_are_trimmed=lambda it: str(it).strip() == "deploy_component",
    every_operation_of_components_is_relayed=lambda it: str(it).endswith("_component"),
    every_operation_of_deploys_is_relayed=lambda it: str(it).startswith("deploy_"),
    an_operation_may_be_empty=lambda it: not it,
)

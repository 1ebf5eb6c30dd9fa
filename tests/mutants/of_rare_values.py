"""Mutants that spoil rare characters, names and values of a request."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from deploy_relay_kit.relay import fanout, formdata, request
from tests.conformance import (
    test_fields,
    test_members,
    test_refused_requests,
    test_texts,
    test_values,
    test_wire,
)
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_values import change_values, compact

# -- characters ----------------------------------------------------------------------------------


def change_json(patch: pytest.MonkeyPatch, pattern: str) -> None:
    """Escape what matches the pattern in JSON."""

    def escaped(value: Any) -> Any:
        text = re.sub(pattern, lambda it: f"\\u{ord(it[0]):04x}", compact(value))
        return value if isinstance(value, str) else text.encode("utf-8", "backslashreplace")

    change_values(patch, escaped)


alike(
    change_json,
    "WIRE-06",
    killed_by=case(test_values.test_line_separators_in_json_are_not_escaped),
    byte_order_marks_are_escaped_in_json="\ufeff",
    private_characters_are_escaped_in_json="[\ue000-\uf8ff]",
    joiners_are_escaped_in_json="[\u200b-\u200f\u2060]",
    special_characters_are_escaped_in_json="[\ufff0-\uffff]",
)


def change_texts(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    change_values(patch, lambda value: change(value) if isinstance(value, str) else value)


alike(
    change_texts,
    "FLD-04",
    killed_by=case(test_texts.test_every_text_arrives_as_it_is),
    characters_that_are_none_are_replaced=lambda it: re.sub("[\ufffe\uffff]", "\ufffd", it),
    private_characters_are_removed=lambda it: re.sub("[\ue000-\uf8ff]", "", it),
    tags_are_removed=lambda it: re.sub("[\U000e0000-\U000e0fff]", "", it),
    replacement_characters_are_question_marks=lambda it: it.replace("\ufffd", "?"),
    texts_have_100_000_characters=lambda it: it[:100_000],
    offsets_of_dates_are_z=lambda it: it.replace("+00:00", "Z"),
)

# -- names ---------------------------------------------------------------------------------------


def change_names(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    written = formdata.name_bytes
    patch.setattr(formdata, "name_bytes", lambda name: change(written(name).decode()).encode())


alike(
    change_names,
    "FLD-04",
    killed_by=case(test_members.test_every_name_arrives_as_it_is),
    names_lose_all_kinds_of_blanks_at_their_ends=str.strip,
    names_lose_characters_of_no_width=lambda it: re.sub("[\u200b-\u200f\u2060\ufeff]", "", it),
    names_lose_line_separators=lambda it: re.sub("[\u2028\u2029\x85]", "", it),
    names_lose_escaped_quotes=lambda it: it.replace("%22", ""),
)


def leave_out(patch: pytest.MonkeyPatch, stays: Callable[[str], bool]) -> None:
    stays_behind = request.stays_behind
    patch.setattr(request, "stays_behind", lambda name: stays_behind(name) or stays(name))


_SETTINGS = {"ignore_replication_errors", "install_timeout", "install_command"}
alike(
    leave_out,
    "FLD-04",
    killed_by=case(test_members.test_every_name_arrives_as_it_is),
    replicated_in_capitals_stays_behind=lambda it: (
        it.lower() == "replicated" and it != "replicated"
    ),
    settings_of_the_origin_stay_behind=lambda it: it in _SETTINGS,
    names_of_transports_stay_behind=lambda it: it in {"env", "headers", "nodes", "hosts"},
    names_of_secrets_stay_behind=lambda it: it in {"secret", "api_key", "authorization"},
)


@mutant(
    "PARSE-20",
    killed_by=case(
        test_wire.test_no_name_of_a_member_makes_a_part_that_peers_refuse, name="a\x0bb"
    ),
)
def names_may_have_vertical_tabs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "_CONTROL", re.compile(r"[\0-\x08\x0e-\x1f\x7f]"))


# -- values --------------------------------------------------------------------------------------


def inside(change: Callable[[Any], Any], value: Any, depth: int = 0) -> Any:
    """The value with each scalar inside of it changed."""
    if isinstance(value, dict):
        return {name: inside(change, it, depth + 1) for name, it in value.items()}
    if isinstance(value, list):
        return [inside(change, it, depth + 1) for it in value]
    return change(value) if depth else value


def change_inside(patch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    change_values(patch, partial(inside, change))


def on_texts(change: Callable[[str], object]) -> Callable[[Any], Any]:
    return lambda it: change(it) if isinstance(it, str) else it


alike(
    change_inside,
    "FLD-04",
    killed_by=case(test_members.test_every_value_means_what_it_meant),
    digits_in_json_are_numbers=on_texts(lambda it: int(it) if it.isdecimal() else it),
    line_ends_in_json_are_lf=on_texts(lambda it: it.replace("\r\n", "\n")),
    texts_in_json_end_at_a_nul=on_texts(lambda it: it.partition("\0")[0]),
    offsets_of_dates_in_json_are_z=on_texts(lambda it: it.replace("+00:00", "Z")),
    small_numbers_in_json_are_zero=lambda it: 0.0 if type(it) is float and abs(it) < 1e-300 else it,
)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth_of, inner), default=0)


def names_inside(keep: Callable[[str], bool], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: names_inside(keep, it) for name, it in value.items() if keep(name)}
    return [names_inside(keep, it) for it in value] if isinstance(value, list) else value


alike(
    change_values,
    "FLD-04",
    killed_by=case(test_members.test_every_value_means_what_it_meant),
    a_value_has_32_levels=lambda it: it if depth_of(it) <= 32 else None,
    an_object_has_256_members=lambda it: dict([*it.items()][:256]) if isinstance(it, dict) else it,
    a_list_has_1_024_items=lambda it: it[:1_024] if isinstance(it, list) else it,
    empty_names_inside_are_left_out=partial(names_inside, bool),
    names_with_a_dollar_inside_are_left_out=partial(names_inside, lambda it: it[:1] != "$"),
    names_with_a_dot_inside_are_left_out=partial(names_inside, lambda it: "." not in it),
)


def change_fields(patch: pytest.MonkeyPatch, change: Callable[[Any, Any], Any]) -> None:
    """`change` gets the given request and the fields that the reference makes of it."""
    forwarded = request.forwarded_fields
    patch.setattr(fanout, "forwarded_fields", lambda given: change(given, forwarded(given)))


ORDER = case(test_fields.test_members_are_forwarded_in_the_order_of_the_request)
alike(
    change_fields,
    "FLD-04",
    killed_by=ORDER,
    the_operation_comes_first=lambda _, it: {"operation": it["operation"], **it},
    a_rolling_restart_is_none=lambda _, it: {
        name: False if value == "rolling" else value for name, value in it.items()
    },
)


@mutant("FLD-04", killed_by=case(test_members.test_every_value_means_what_it_meant))
def a_restart_that_is_false_stays_behind(patch: pytest.MonkeyPatch) -> None:
    change_fields(
        patch, lambda _, it: {n: v for n, v in it.items() if (n, v) != ("restart", False)}
    )


@mutant(
    "FLD-03",
    killed_by=case(test_fields.test_replicated_is_the_text_false_for_every_given_value, given=0),
)
def replicated_is_sent_as_it_is_if_it_is_false(patch: pytest.MonkeyPatch) -> None:
    change_fields(
        patch, lambda given, it: {**it, "replicated": given.get("replicated", True) and False}
    )


FIELDS = test_refused_requests.test_the_necessary_fields_are_among_the_first_sixty_four


def cut_fields(patch: pytest.MonkeyPatch, is_sent: Callable[[int], bool]) -> None:
    """Send all fields with the necessary ones first, or leave out some of them."""
    patch.setattr(request, "MAX_FIELDS", 1_000)

    def first(_: Any, fields: dict[str, Any]) -> dict[str, Any]:
        needed = {name: fields.pop(name) for name in ("operation", "project", "replicated")}
        kept = [name for number, name in enumerate(fields) if is_sent(number)]
        return needed | {name: fields[name] for name in kept}

    change_fields(patch, first)


alike(
    cut_fields,
    "PARSE-19",
    killed_by=(case(FIELDS, count=62), case(FIELDS, count=63)),
    also={
        name: {"FLD-02": "replicated stands third", "FLD-04": "the order is another one"}
        for name in ("fields_beyond_64_are_sent_last", "fields_beyond_64_are_left_out")
    },
    fields_beyond_64_are_sent_last=lambda _: True,
    fields_beyond_64_are_left_out=lambda number: number < 61,
)


@mutant("KIT-06", killed_by=case(test_refused_requests.test_another_operation_is_not_relayed))
def an_operation_is_added(patch: pytest.MonkeyPatch) -> None:
    forwarded = request.forwarded_fields
    patch.setattr(
        fanout, "forwarded_fields", lambda it: forwarded({"operation": "deploy_component", **it})
    )


def print_values(patch: pytest.MonkeyPatch, kind: type) -> None:
    """Send the text of a value of a kind that JSON does not have."""
    change = formdata.value_bytes
    patch.setattr(
        formdata, "value_bytes", lambda it: change(str(it) if isinstance(it, kind) else it)
    )


alike(
    print_values,
    "WIRE-09",
    killed_by=case(
        test_refused_requests.test_a_value_without_a_json_form_is_refused_before_anything_is_sent
    ),
    dates_are_printed=date,
    decimals_are_printed=Decimal,
)

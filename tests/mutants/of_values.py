"""Mutants of names, texts and JSON on the wire."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from deploy_relay_kit.relay import formdata
from tests.conformance import (
    test_fields,
    test_values,
    test_wire,
)
from tests.mutants.mutant import case, mutant

TEXTS = test_values.test_a_text_is_forwarded_raw
VALUES = test_values.test_any_other_value_is_forwarded_as_compact_json
ARRIVES = test_values.test_a_text_arrives_as_it_is


def compact(value: object, **how: Any) -> str:
    """JSON as the reference writes it, except for these arguments."""
    usual = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
    return json.dumps(value, **{**usual, **how})


def change_values(patch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    """Change values before they are encoded; bytes are encoded already.

    What JSON cannot hold is refused as the reference does it.
    """
    written = formdata.value_bytes

    def value_bytes(value: object) -> bytes:
        written(value)
        changed = change(value)
        return changed if isinstance(changed, bytes) else written(changed)

    patch.setattr(formdata, "value_bytes", value_bytes)


@mutant(
    "WIRE-06",
    killed_by=case(VALUES),
    also={"FLD-04": "with its spaces, a list of a mebibyte is too long to be sent"},
)
def json_has_spaces(patch: pytest.MonkeyPatch) -> None:
    change_values(
        patch, lambda v: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False).encode()
    )


@mutant(
    "WIRE-06",
    killed_by=case(TEXTS),
    also={"FLD-04": "with its quotes, a text of a mebibyte is too long to be sent"},
)
def text_is_in_quotes(patch: pytest.MonkeyPatch) -> None:
    change_values(patch, lambda value: json.dumps(value).encode())


@mutant("WIRE-07", killed_by=case(test_values.test_null_is_sent_as_the_text_null))
def null_is_an_empty_text(patch: pytest.MonkeyPatch) -> None:
    change_values(patch, lambda value: "" if value is None else value)


@mutant(
    "WIRE-10",
    killed_by=case(test_fields.test_quotes_and_line_breaks_are_deleted_from_a_name),
)
def names_are_escaped_as_browsers_do(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        formdata,
        "name_bytes",
        lambda name: name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").encode(),
    )


@mutant("WIRE-10", killed_by=case(test_values.test_nothing_in_a_name_is_escaped))
def a_backslash_in_a_name_is_doubled(patch: pytest.MonkeyPatch) -> None:
    written = formdata.name_bytes
    patch.setattr(formdata, "name_bytes", lambda name: written(name).replace(b"\\", b"\\\\"))


@mutant(
    "WIRE-11", killed_by=case(test_wire.test_a_value_with_line_breaks_and_hyphens_arrives_as_it_is)
)
def line_breaks_in_values_become_one(patch: pytest.MonkeyPatch) -> None:
    written = formdata.value_bytes
    patch.setattr(formdata, "value_bytes", lambda value: written(value).replace(b"\r\n", b"\n"))


@mutant(
    "WIRE-12",
    killed_by=(
        case(test_fields.test_text_beyond_ascii_is_utf_8),
        case(test_values.test_a_lone_surrogate_becomes_the_replacement_character),
    ),
)
def text_is_latin_1(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(formdata, "_utf8", lambda text: text.encode("latin-1", "replace"))


@mutant("WIRE-12", killed_by=case(test_values.test_a_name_beyond_ascii_is_utf_8))
def names_are_ascii(patch: pytest.MonkeyPatch) -> None:
    written = formdata.name_bytes
    patch.setattr(
        formdata, "name_bytes", lambda name: written(name).decode().encode("ascii", "replace")
    )


@mutant(
    "WIRE-12",
    killed_by=(
        case(test_values.test_a_lone_surrogate_in_a_name_becomes_the_replacement_character),
        case(test_values.test_a_lone_surrogate_inside_json_is_sent_as_an_escape_or_replaced),
    ),
)
def half_a_character_is_a_question_mark(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(formdata, "_utf8", lambda text: text.encode("utf-8", "replace"))
    change_values(
        patch,
        lambda v: v if isinstance(v, str) else compact(v).encode("utf-8", "replace"),
    )


@mutant("FLD-04", killed_by=case(VALUES))
def a_number_has_six_digits(patch: pytest.MonkeyPatch) -> None:
    change_values(patch, lambda value: b"%g" % value if type(value) in (int, float) else value)


@mutant("FLD-04", "WIRE-11", killed_by=(case(ARRIVES), case(ARRIVES, text="a line\n")))
def texts_are_trimmed(patch: pytest.MonkeyPatch) -> None:
    change_values(patch, lambda value: value.strip() if isinstance(value, str) else value)


@mutant("FLD-04", killed_by=case(ARRIVES, text="a\0b"))
def texts_end_at_a_nul(patch: pytest.MonkeyPatch) -> None:
    change_values(patch, lambda v: v.partition("\0")[0] if isinstance(v, str) else v)


@mutant(
    "WIRE-11",
    killed_by=(
        case(ARRIVES, text="<b>&amp;</b>"),
        case(test_values.test_json_means_what_the_request_said),
    ),
)
def texts_are_escaped_for_html(patch: pytest.MonkeyPatch) -> None:
    def escaped(value: object) -> object:
        if isinstance(value, list):
            return list(map(escaped, value))
        return html.escape(value, quote=False) if isinstance(value, str) else value

    change_values(patch, escaped)


@mutant("FLD-04", killed_by=case(VALUES))
def members_of_members_are_sorted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        formdata, "json", SimpleNamespace(dumps=lambda value, **_: compact(value, sort_keys=True))
    )

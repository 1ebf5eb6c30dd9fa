"""Mutants of what a request becomes on the wire: texts, numbers, names."""

from __future__ import annotations

import json
import re
import struct
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

import pytest

from deploy_relay_kit.relay import formdata, request
from tests.conformance import (
    test_members,
    test_texts,
    test_values,
    test_wire,
)
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_values import change_values, compact

Given = Mapping[str, object]
COMPACT = case(test_values.test_any_other_value_is_forwarded_as_compact_json)
EVERY_TEXT = case(test_texts.test_every_text_arrives_as_it_is)
EVERY_NAME = case(test_members.test_every_name_arrives_as_it_is)
EVERY_VALUE = case(test_members.test_every_value_means_what_it_meant)

# -- texts ---------------------------------------------------------------------------------------


def change_texts(patch: pytest.MonkeyPatch, change: Callable[[str], object]) -> None:
    """Change each member that is a text, before it is encoded."""
    change_values(patch, lambda value: change(value) if isinstance(value, str) else value)


def read_again(text: str) -> object:
    """What a text means as JSON; the text itself if it is no object and no list."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (dict, list)) else text


alike(
    change_texts,
    "FLD-04",
    killed_by=EVERY_TEXT,
    also={
        "a_carriage_return_is_a_line_break": {"WIRE-11": "line breaks do not arrive unchanged"},
        "line_breaks_in_values_are_those_of_a_form": {
            "WIRE-11": "line breaks do not arrive unchanged"
        },
    },
    line_breaks_in_values_are_those_of_a_form=lambda it: re.sub("\r\n|\r|\n", "\r\n", it),
    a_carriage_return_is_a_line_break=lambda it: it.replace("\r", "\n"),
    texts_are_percent_encoded=lambda it: quote(it, safe=" \r\n-\"'\\<>&;$`=@/,:{}[]"),
    texts_are_percent_decoded=unquote,
    a_plus_is_a_space=lambda it: it.replace("+", " "),
    texts_are_escaped_as_in_json=lambda it: it.replace("\\", "\\\\"),
    quotes_in_texts_are_escaped=lambda it: it.replace('"', "%22"),
    escapes_in_texts_are_resolved=lambda it: it.replace("\\n", "\n"),
    dollars_in_texts_are_expanded=lambda it: re.sub(r"\$[A-Z]+", "", it),
    a_text_is_cut_at_a_semicolon=lambda it: it.partition(";")[0],
)
alike(
    change_texts,
    "FLD-04",
    killed_by=EVERY_TEXT,
    also={
        "characters_have_sixteen_bits": {
            "WIRE-12": "a character beyond 16 bits is replaced in texts, too"
        }
    },
    texts_that_are_json_are_written_anew=read_again,
    texts_are_composed=partial(unicodedata.normalize, "NFC"),
    texts_are_decomposed=partial(unicodedata.normalize, "NFD"),
    texts_lose_their_byte_order_mark=lambda it: it.removeprefix("\ufeff"),
    texts_lose_their_controls=lambda it: re.sub(r"[\x01-\x08\x0b\x0c\x0e-\x1f]", "", it),
    texts_lose_c1_controls=lambda it: re.sub(r"[\x7f-\x9f]", "", it),
    texts_lose_format_characters=lambda it: re.sub("[\u200b-\u200f\u202a-\u202e]", "", it),
    line_separators_are_line_breaks=lambda it: re.sub("[\u2028\u2029\x85]", "\n", it),
    blanks_in_texts_are_spaces=lambda it: re.sub("[\u00a0\u3000]", " ", it),
    runs_of_blanks_are_one=lambda it: re.sub("  +", " ", it),
    tabs_are_spaces=lambda it: it.expandtabs(),
    texts_have_255_characters=lambda it: it[:255],
    texts_have_64_kib=lambda it: it[:65_536],
    characters_have_sixteen_bits=lambda it: re.sub("[^\0-\uffff]", "\ufffd", it),
    texts_in_quotes_are_in_more_quotes=lambda it: f'"{it}"' if it[:1] == '"' else it,
    a_path_in_a_text_is_read=lambda it: it.removeprefix("<"),
    quotes_around_a_text_are_taken_off=lambda it: it[1:-1] if re.fullmatch('"[^"]*"', it) else it,
    texts_of_dates_are_written_anew=lambda it: re.sub(r"(T[\d:]{8})Z", r"\1.000Z", it),
)
alike(
    change_texts,
    "WIRE-06",
    killed_by=case(test_values.test_a_text_is_forwarded_raw, value='"in quotes"'),
    texts_that_look_like_json_are_in_quotes=lambda it: (
        json.dumps(it).encode() if re.match(r"[\[{\"\d-]|(true|false|null)$", it) else it
    ),
)

# -- numbers and other values --------------------------------------------------------------------


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, list):
        return [_each(change, it) for it in value]
    if isinstance(value, dict):
        return {name: _each(change, it) for name, it in value.items()}
    return change(value)


def change_numbers(patch: pytest.MonkeyPatch, change: Callable[[Any], object]) -> None:
    """Change each number, also inside of lists and objects."""

    def number(value: Any) -> Any:
        return change(value) if type(value) in (int, float) else value

    change_values(patch, partial(_each, number))


def _bits(number: float, count: int) -> object:
    if type(number) is not int:
        return number
    half = 1 << (count - 1)
    return (number + half) % (1 << count) - half


def _single(number: float) -> object:
    try:
        return struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        return number


alike(
    change_numbers,
    "FLD-04",
    killed_by=EVERY_VALUE,
    numbers_have_32_bits=lambda it: _bits(it, 32),
    numbers_have_53_bits=lambda it: _bits(it, 54),
    numbers_have_single_precision=lambda it: _single(it) if type(it) is float else it,
    numbers_have_fifteen_digits=lambda it: float(f"{it:.15g}") if type(it) is float else it,
    numbers_have_two_decimals=lambda it: round(it, 2),
    numbers_have_six_decimals=lambda it: round(it, 6),
    numbers_are_whole=int,
    numbers_are_not_negative=abs,
    large_numbers_are_texts=lambda it: str(it) if abs(it) > 1 << 53 else it,
    zero_is_null=lambda it: it or None,
    one_is_true=lambda it: True if it == 1 and type(it) is int else it,
)
alike(
    change_values,
    "FLD-04",
    killed_by=EVERY_VALUE,
    also={"lists_of_texts_are_joined": {"WIRE-06": "a list is not sent as JSON"}},
    numbers_with_an_exponent_are_spelled_out=lambda it: (
        f"{it:.10f}".encode() if isinstance(it, float) else it
    ),
    a_list_of_one_is_its_item=lambda it: it[0] if isinstance(it, list) and len(it) == 1 else it,
    lists_of_texts_are_joined=lambda it: ",".join(it) if it and _is_texts(it) else it,
    an_empty_list_is_null=lambda it: None if it == [] else it,
    nested_nulls_are_left_out=lambda it: (
        {n: v for n, v in it.items() if v is not None} if isinstance(it, dict) else it
    ),
    truth_is_one=lambda it: 1 if it is True else it,
    nested_lists_are_flat=lambda it: _flat(it) if isinstance(it, list) else it,
)
alike(
    change_values,
    "WIRE-06",
    killed_by=COMPACT,
    also={
        "json_ends_with_a_line_break": {"WIRE-07": "so does null"},
        "truth_is_yes_or_no": {"FLD-03": "the field replicated is no"},
        "truth_is_printed_by_python": {"FLD-03": "the field replicated is False"},
    },
    false_is_an_empty_text=lambda it: "" if it is False else it,
    truth_is_printed_by_python=lambda it: str(it) if isinstance(it, bool) else it,
    truth_is_yes_or_no=lambda it: {True: "yes", False: "no"}.get(it) if it in (True, False) else it,
    json_ends_with_a_line_break=lambda it: (
        it if isinstance(it, str) else (compact(it) + "\n").encode()
    ),
    json_has_a_space_after_commas=lambda it: (
        it if isinstance(it, str) else compact(it, separators=(", ", ":")).encode()
    ),
    json_has_a_space_after_colons=lambda it: (
        it if isinstance(it, str) else compact(it, separators=(",", ": ")).encode()
    ),
    json_is_indented=lambda it: it if isinstance(it, str) else compact(it, indent=1).encode(),
    characters_beyond_sixteen_bits_are_escaped_in_json=lambda it: (
        it
        if isinstance(it, str)
        else re.sub("[^\0-\uffff]", lambda found: json.dumps(found[0])[1:-1], compact(it)).encode()
    ),
)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(it, str) for it in value)


def _flat(value: list[Any]) -> list[Any]:
    return [x for it in value for x in (_flat(it) if isinstance(it, list) else [it])]


# -- names ---------------------------------------------------------------------------------------


def change_names(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    written = formdata.name_bytes
    patch.setattr(formdata, "name_bytes", lambda name: written(change(written(name).decode())))


alike(
    change_names,
    "FLD-04",
    killed_by=EVERY_NAME,
    names_are_trimmed=str.strip,
    names_are_lower_case=str.lower,
    names_are_in_snake_case=lambda it: re.sub("(?<=[a-z])[A-Z]", lambda m: f"_{m[0]}", it).lower(),
    names_are_composed=partial(unicodedata.normalize, "NFC"),
    names_end_at_a_semicolon=lambda it: it.partition(";")[0],
    names_end_at_an_equals_sign=lambda it: it.partition("=")[0],
    brackets_in_names_are_removed=lambda it: it.replace("[]", ""),
    dots_in_names_are_underscores=lambda it: it.replace(".", "_"),
    blanks_in_names_are_underscores=lambda it: it.replace(" ", "_"),
)
alike(
    change_names,
    "WIRE-10",
    killed_by=case(test_values.test_nothing_in_a_name_is_escaped),
    names_are_percent_encoded=lambda it: quote(it, safe=" ;=<>&'\\\u00f6\u00df"),
    names_are_percent_decoded=unquote,
    an_apostrophe_in_a_name_is_deleted=lambda it: it.replace("'", ""),
    a_backslash_in_a_name_is_deleted=lambda it: it.replace("\\", ""),
    names_are_escaped_for_html=lambda it: it.replace("&", "&amp;"),
)


def in_the_form_of_a_mail(patch: pytest.MonkeyPatch, form: Callable[[str], str]) -> None:
    """Change the parameter `name` of parts whose name has other characters than ASCII."""
    encode = formdata.encode

    def encoded(fields: Given) -> formdata.Frame:
        frame = encode(fields)
        head = frame.head
        for name in fields:
            if not name.isascii():
                head = head.replace(f'name="{name}"'.encode(), form(name).encode())
        return formdata.Frame(frame.content_type, head, frame.tail)

    patch.setattr(formdata, "encode", encoded)


alike(
    in_the_form_of_a_mail,
    "WIRE-12",
    killed_by=case(test_values.test_a_name_beyond_ascii_is_utf_8),
    names_are_encoded_words=lambda name: f'name="=?utf-8?q?{quote(name)}?="'.replace("%", "="),
)
alike(
    in_the_form_of_a_mail,
    *("WIRE-12", "WIRE-04"),
    killed_by=case(test_values.test_a_name_beyond_ascii_is_utf_8),
    names_are_extended_parameters=lambda name: f"name*=utf-8''{quote(name)}",
)


@mutant(
    "PARSE-20",
    killed_by=case(
        test_wire.test_no_name_of_a_member_makes_a_part_that_peers_refuse, name="é" * 9_000
    ),
)
def the_characters_of_a_name_are_counted(patch: pytest.MonkeyPatch) -> None:
    cleaned = request._cleaned

    def counted(name: object) -> str:
        is_short = isinstance(name, str) and len(name) <= request.MAX_NAME_BYTES
        return formdata.name_bytes(str(name)).decode() if is_short and name else cleaned(name)

    patch.setattr(request, "_cleaned", counted)

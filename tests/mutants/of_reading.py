"""Mutants of reading an answer: its charset, its JSON, its members."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from deploy_relay_kit.relay import answer
from deploy_relay_kit.relay.answer import Answer, parse_json
from deploy_relay_kit.relay.peer import Peer
from tests.conformance import test_reading
from tests.mutants.mutant import alike, case
from tests.mutants.of_texts import change_answers

MESSAGE = case(test_reading.test_a_text_of_a_success_is_its_message)
RESULT = case(test_reading.test_a_success_that_is_no_object_is_the_result)
VALUE = case(test_reading.test_every_value_of_an_answer_is_kept)

# -- text ----------------------------------------------------------------------------------------


def decode_by_type(patch: pytest.MonkeyPatch, charset: Callable[[str], str]) -> None:
    """Decode a body in the charset that this function reads from its Content-Type."""
    read = Peer.read

    async def by_type(self: Peer, response: Any) -> Answer:
        received = await read(self, response)
        name = charset(response.headers.get("Content-Type", ""))
        try:
            return replace(received, body=received.body.decode(name, "replace").encode())
        except LookupError:
            return received

    patch.setattr(Peer, "read", by_type)


def named(content_type: str) -> str:
    found = re.search("charset=([^; ]+)", content_type)
    return found[1].strip('"') if found else "utf-8"


alike(
    decode_by_type,
    "HTTP-05",
    killed_by=case(test_reading.test_a_body_is_utf_8_whatever_its_type_says),
    the_charset_of_a_type_counts=named,
    texts_without_a_charset_are_latin_1=lambda it: (
        "latin-1" if it.startswith("text/") and "charset" not in it else "utf-8"
    ),
    bodies_without_a_type_are_latin_1=lambda it: "utf-8" if it else "latin-1",
    bodies_that_are_not_json_are_latin_1=lambda it: "utf-8" if "json" in it else "latin-1",
)


def change_body(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Change the text of an answer before it is read."""
    text = Answer.text.fget  # type: ignore[attr-defined]
    patch.setattr(Answer, "text", property(lambda self: change(text(self))))


alike(
    change_body,
    "RES-03",
    killed_by=MESSAGE,
    also={
        "a_body_has_200_characters": {"BUG-41": "a body is cut before secrets are removed from it"}
    },
    a_body_is_trimmed=str.strip,
    a_body_loses_its_last_line_end=lambda it: it.rstrip("\r\n"),
    a_body_has_one_line_end=lambda it: it.replace("\r\n", "\n"),
    a_body_is_its_first_line=lambda it: it.partition("\n")[0] if it[:1] not in "{[" else it,
    a_body_of_html_is_its_text=lambda it: re.sub("<[^>]+>", "", it),
    a_body_of_blanks_is_empty=lambda it: it if it.strip() else "",
    a_body_has_200_characters=lambda it: it if it[:1] in "{[" else it[:200],
    a_body_has_4096_characters=lambda it: it if it[:1] in "{[" else it[:4_096],
    a_body_has_64_kib=lambda it: it if it[:1] in "{[" else it[:65_536],
)

# -- JSON ----------------------------------------------------------------------------------------


def read_json_if(patch: pytest.MonkeyPatch, is_json: Callable[[str], bool]) -> None:
    """Read a text as JSON only if it looks like it."""
    patch.setattr(
        answer, "parse_json", lambda it: parse_json(it) if is_json(it) else answer._UNPARSABLE
    )


alike(
    read_json_if,
    "RES-01",
    killed_by=case(test_reading.test_an_object_is_read_in_every_layout),
    also={"json_ends_with_a_brace": {"SSE-04": "the data of an event may end with an empty line"}},
    json_begins_with_a_brace=lambda it: it[:1] != " " and it[:1] != "\n",
    json_ends_with_a_brace=lambda it: it[-1:] not in " \n",
    json_has_one_line=lambda it: "\n" not in it.strip(),
    json_has_fewer_than_64_kib=lambda it: len(it) < 65_536,
)
alike(
    read_json_if,
    "RES-04",
    killed_by=RESULT,
    json_is_an_object_or_a_list=lambda it: it.strip()[:1] in ("{", "["),
    json_is_no_text=lambda it: it.strip()[:1] != '"',
    json_is_no_number=lambda it: not it.strip()[:1].isdigit(),
    json_is_no_literal=lambda it: it.strip() not in ("true", "false", "null"),
    null_is_no_json=lambda it: it.strip() != "null",
)


def read_json_as(patch: pytest.MonkeyPatch, read: Callable[[str], Any]) -> None:
    """Read a text that is no JSON in another way."""

    def lenient(text: str) -> Any:
        value = parse_json(text)
        if value is not answer._UNPARSABLE:
            return value
        try:
            return read(text)
        except (ValueError, IndexError):
            return value

    patch.setattr(answer, "parse_json", lenient)


def _first_of_lines(text: str) -> Any:
    return json.loads(text.splitlines()[0])


alike(
    read_json_as,
    "RES-03",
    killed_by=MESSAGE,
    an_empty_body_is_an_empty_object=lambda it: {} if not it else json.loads(it),
    an_empty_body_is_null=lambda it: None if not it else json.loads(it),
    json_may_have_comments=lambda it: json.loads(re.sub(r"/\*.*?\*/|//.*", "", it)),
    json_may_have_commas_at_its_end=lambda it: json.loads(re.sub(r",\s*([}\]])", r"\1", it)),
    json_may_have_controls=lambda it: json.loads(it, strict=False),
    json_may_follow_a_prefix=lambda it: json.loads(it[it.index("{") :]),
    json_may_be_in_lines=_first_of_lines,
    json_may_lack_its_end=lambda it: json.loads(it + "}"),
    json_may_have_single_quotes=lambda it: json.loads(it.replace("'", '"')),
    json_may_lack_quotes=lambda it: json.loads(re.sub(r"(\w+):", r'"\1":', it)),
    json_may_have_leading_zeros=lambda it: json.loads(re.sub(r"\b0+(\d)", r"\1", it)),
    json_may_have_a_plus=lambda it: json.loads(re.sub(r"\+(\d)", r"\1", it)),
    json_may_be_percent_encoded=lambda it: json.loads(it.replace("%22", '"')),
    yaml_is_json=lambda it: dict([it.split(": ", 1)]) if re.fullmatch(r"\w+: .+", it) else 1 / 0,
)

# -- members -------------------------------------------------------------------------------------


def each_value(change: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: each_value(change, it) for name, it in value.items()}
    if isinstance(value, list):
        return [each_value(change, it) for it in value]
    return change(value)


def change_values(patch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    change_answers(patch, partial(each_value, change))


def _is(kind: type, value: object) -> bool:
    return type(value) is kind


alike(
    change_values,
    "RES-01",
    killed_by=VALUE,
    also={
        "texts_of_digits_are_numbers": {
            "RES-02": "a code that is a text of digits counts as a status"
        },
        "texts_of_answers_have_1000_characters": {"RES-07": "an error is cut, too"},
    },
    numbers_of_answers_have_32_bits=lambda it: it & 0xFFFF_FFFF if _is(int, it) else it,
    numbers_of_answers_are_texts=lambda it: str(it) if _is(int, it) else it,
    large_numbers_of_answers_are_texts=lambda it: str(it) if _is(int, it) and it > 1 << 53 else it,
    fractions_of_answers_are_texts=lambda it: str(it) if _is(float, it) else it,
    fractions_of_answers_are_cut=lambda it: int(it) if _is(float, it) else it,
    fractions_of_answers_have_six_digits=lambda it: float(f"{it:.6g}") if _is(float, it) else it,
    truth_in_answers_is_a_text=lambda it: str(it).lower() if _is(bool, it) else it,
    truth_in_answers_is_a_number=lambda it: int(it) if _is(bool, it) else it,
    texts_of_digits_are_numbers=lambda it: int(it) if _is(str, it) and it.isdigit() else it,
    texts_of_true_are_truth=lambda it: True if it == "true" else it,
    empty_texts_are_null=lambda it: None if it == "" else it,
    nulls_in_answers_are_empty_texts=lambda it: "" if it is None else it,
    texts_that_are_json_are_read=lambda it: (
        json.loads(it) if _is(str, it) and it[:1] in ("{", "[") and it[-1:] in "}]" else it
    ),
    texts_of_answers_have_1000_characters=lambda it: it[:1_000] if _is(str, it) else it,
    texts_of_answers_have_no_line_ends=lambda it: it.replace("\n", " ") if _is(str, it) else it,
)


def change_object(patch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change an answer that is an object."""
    change_answers(patch, lambda it: change(it) if isinstance(it, dict) else it)


def _snake(name: str) -> str:
    return re.sub("(?<=[a-z])[A-Z]", lambda found: f"_{found[0].lower()}", name)


KNOWN = {"message", "deployment_id", "error", "operation_token", "results", "code", "result"}

alike(
    change_object,
    "RES-01",
    killed_by=VALUE,
    also={"false_members_of_answers_are_lost": {"RES-09": "an error that is false is lost, too"}},
    only_known_members_are_kept=lambda it: {n: v for n, v in it.items() if n in KNOWN},
    names_of_answers_are_lower_case=lambda it: {n.lower(): v for n, v in it.items()},
    names_of_answers_are_in_snake_case=lambda it: {_snake(n): v for n, v in it.items()},
    names_of_answers_are_trimmed=lambda it: {n.strip(): v for n, v in it.items()},
    names_with_dots_are_paths=lambda it: {n.partition(".")[0]: v for n, v in it.items()},
    hidden_members_of_answers_are_lost=lambda it: {n: v for n, v in it.items() if n[:1] != "_"},
    empty_members_of_answers_are_lost=lambda it: {
        n: v for n, v in it.items() if v not in ("", [], {})
    },
    false_members_of_answers_are_lost=lambda it: {n: v for n, v in it.items() if v is not False},
    zeros_of_answers_are_lost=lambda it: {n: v for n, v in it.items() if _is(bool, v) or v != 0},
    nested_members_of_answers_are_lost=lambda it: {
        n: v for n, v in it.items() if not isinstance(v, dict) or n in KNOWN
    },
    lists_of_answers_are_lost=lambda it: {
        n: v for n, v in it.items() if not isinstance(v, list) or n in KNOWN
    },
    nested_members_of_answers_are_printed=lambda it: {
        n: json.dumps(v) if isinstance(v, dict) and n not in KNOWN else v for n, v in it.items()
    },
    empty_objects_of_answers_are_null=lambda it: {n: v if v != {} else None for n, v in it.items()},
    members_named_data_are_spread=lambda it: (
        {**it, **it["data"]} if _is(dict, it.get("data")) else it
    ),
    members_named_result_are_spread=lambda it: (
        {**it, **it["result"]} if _is(dict, it.get("result")) and len(it) > 1 else it
    ),
    a_member_named_success_is_lost=lambda it: {n: v for n, v in it.items() if n != "success"},
    members_named_replicated_are_lost=lambda it: {n: v for n, v in it.items() if n != "replicated"},
    an_answer_has_at_most_thirty_members=lambda it: dict(list(it.items())[:30]),
    a_list_of_an_answer_has_at_most_100_items=lambda it: {
        n: v[:100] if _is(list, v) else v for n, v in it.items()
    },
    a_message_is_always_there=lambda it: {"message": "", **it},
)
alike(
    change_answers,
    "RES-04",
    killed_by=RESULT,
    a_list_of_one_object_is_the_object=lambda it: (
        it[0] if _is(list, it) and len(it) == 1 and _is(dict, it[0]) else it
    ),
    a_list_of_one_is_its_value=lambda it: it[0] if _is(list, it) and len(it) == 1 else it,
    a_text_is_a_message=lambda it: {"message": it} if _is(str, it) else it,
    null_is_an_empty_object=lambda it: {} if it is None else it,
    false_is_an_empty_object=lambda it: {} if it is False else it,
    zero_is_an_empty_object=lambda it: {} if it == 0 and it is not False else it,
    an_empty_list_is_an_empty_object=lambda it: {} if it == [] else it,
    nested_lists_are_texts=lambda it: (
        [str(x) if _is(list, x) else x for x in it] if _is(list, it) else it
    ),
    a_result_is_a_text=lambda it: str(it) if _is(int, it) else it,
)

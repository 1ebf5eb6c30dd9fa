"""Mutants of the reason of a refusal."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any

from deploy_relay_kit.relay.answer import readable
from tests.conformance import (
    test_reading,
    test_refusals,
)
from tests.mutants.mutant import alike, case
from tests.mutants.of_answers import change_reason

REASON = case(test_reading.test_the_reason_of_a_refusal_is_that_of_its_body)
Reason = Callable[[Any, str, str], str]


def of_an_object(change: Callable[[dict[str, Any], str, str], str]) -> Reason:
    """Change the reason of a refusal that is an object."""
    return lambda value, text, reason: (
        change(value, text, reason) if isinstance(value, dict) else reason
    )


def otherwise(*names: str) -> Reason:
    """Look for the reason in other members, too."""

    def found(value: dict[str, Any], _text: str, reason: str) -> str:
        if value.get("error") is None and value.get("message") is None:
            return next((str(value[n]) for n in names if isinstance(value.get(n), str)), reason)
        return reason

    return of_an_object(found)


def shown(how: Callable[[Any], str]) -> Reason:
    """Show an error that is no text in another way."""

    def changed(value: dict[str, Any], _text: str, reason: str) -> str:
        error = value.get("error")
        is_text = isinstance(error, str) or error is None
        if is_text or (isinstance(error, dict) and isinstance(error.get("message"), str)):
            return reason
        return how(error)

    return of_an_object(changed)


def _is_raw(value: Any) -> bool:
    """Whether the reason is the raw body."""
    return not isinstance(value, dict) or (
        value.get("error") is None and value.get("message") is None
    )


def of_raw(change: Callable[[str], str]) -> Reason:
    """Change the reason if it is the raw body."""
    return lambda value, text, reason: change(text) if _is_raw(value) else reason


def _first(value: dict[str, Any], *names: str) -> Any:
    return next((value[n] for n in names if value.get(n) is not None), None)


def _ignoring_case(value: dict[str, Any], _text: str, reason: str) -> str:
    lower = {name.lower(): it for name, it in value.items()}
    found = _first(lower, "error", "message")
    return reason if found is None else readable(found)


alike(
    change_reason,
    "RES-06",
    killed_by=REASON,
    a_raw_body_is_its_first_line=of_raw(lambda text: text[:200].partition("\n")[0]),
    a_message_comes_before_an_error=of_an_object(
        lambda value, _t, reason: (
            value["message"] if isinstance(value.get("message"), str) else reason
        )
    ),
    an_error_and_its_message_are_joined=of_an_object(
        lambda value, _t, reason: (
            f"{reason}: {value['message']}"
            if value.get("error") and value.get("message")
            else reason
        )
    ),
    names_of_a_refusal_ignore_case=of_an_object(_ignoring_case),
    a_detail_is_a_reason=otherwise("detail"),
    a_title_is_a_reason=otherwise("title"),
    a_description_is_a_reason=otherwise("error_description", "description"),
    a_reason_is_a_reason=otherwise("reason"),
    errors_are_a_reason=of_an_object(
        lambda value, _t, reason: str(value["errors"][0]) if value.get("errors") else reason
    ),
    a_text_of_the_status_is_the_reason=lambda _v, _t, reason: reason or "Internal Server Error",
    an_empty_refusal_has_a_reason_of_the_relay=lambda _v, _t, reason: reason or "no reason given",
    a_reason_is_its_last_line=lambda _v, _t, reason: reason.rstrip("\n").rpartition("\n")[2],
    a_reason_has_no_line_ends=lambda _v, _t, reason: re.sub(r"\s*\n\s*", " ", reason),
    a_reason_has_runs_of_blanks_as_one=lambda _v, _t, reason: re.sub("  +", " ", reason),
    a_reason_is_lower_case=lambda _v, _t, reason: reason.lower(),
    html_of_a_reason_is_removed=lambda _v, _t, reason: re.sub("<[^>]*>", "", reason),
    entities_of_a_reason_are_resolved=lambda _v, _t, reason: html.unescape(reason),
    json_without_a_reason_is_written_anew=of_raw(
        lambda text: json.dumps(json.loads(text)) if text[:1] == "{" else text[:200]
    ),
    json_without_a_reason_has_no_reason=of_raw(lambda text: "" if text[:1] == "{" else text[:200]),
    html_has_no_reason=of_raw(lambda text: "" if text[:1] == "<" else text[:200]),
    colours_of_a_terminal_are_removed=lambda _v, _t, reason: re.sub("\x1b\\[[0-9;]*m", "", reason),
    characters_of_a_reason_have_sixteen_bits=lambda _v, _t, reason: re.sub(
        "[^\0-\uffff]", "?", reason
    ),
)
alike(
    change_reason,
    "RES-06",
    killed_by=case(test_refusals.test_a_refusal_is_a_failed_record_with_reason_and_status),
    a_reason_names_the_status=lambda _v, _t, reason: f"HTTP 500: {reason}",
    a_reason_is_printed=lambda _v, _t, reason: reason and repr(reason),
    a_reason_ends_with_a_stop=lambda _v, _t, reason: reason and f"{reason}.",
    a_reason_is_in_quotes=lambda _v, _t, reason: reason and json.dumps(reason),
    only_message_is_a_reason=of_an_object(
        lambda value, text, _r: value.get("message") or text[:200]
    ),
)
alike(
    change_reason,
    *("RES-06", "RES-08"),
    killed_by=REASON,
    only_error_is_a_reason=of_an_object(
        lambda value, text, reason: reason if value.get("error") is not None else text[:200]
    ),
    a_reason_is_ascii=lambda _v, _t, reason: reason.encode("ascii", "replace").decode(),
)
alike(
    change_reason,
    *("RES-06", "RES-07"),
    killed_by=REASON,
    a_reason_is_trimmed=lambda _v, _t, reason: reason.strip(),
    json_without_a_reason_is_written_compactly=of_raw(
        lambda text: (
            json.dumps(json.loads(text), separators=(",", ":")) if text[:1] == "{" else text[:200]
        )
    ),
)
alike(
    change_reason,
    "RES-07",
    killed_by=case(test_refusals.test_an_error_text_is_not_cut),
    an_error_has_10000_characters=lambda _v, _t, reason: reason[:10_000],
)
alike(
    change_reason,
    "RES-07",
    killed_by=REASON,
    a_raw_body_has_199_characters=of_raw(lambda text: text[:199]),
    a_raw_body_has_201_characters=of_raw(lambda text: text[:201]),
    a_raw_body_has_256_characters=of_raw(lambda text: text[:256]),
    a_raw_body_that_is_cut_has_an_ellipsis=of_raw(
        lambda text: text if len(text) <= 200 else text[:199] + "\u2026"
    ),
    a_raw_body_that_is_cut_has_dots=of_raw(
        lambda text: text if len(text) <= 200 else text[:200] + "..."
    ),
    a_raw_body_of_200_characters_is_cut=of_raw(
        lambda text: text[:200] if len(text) < 200 else text[:197] + "..."
    ),
    json_without_a_reason_is_whole=of_raw(lambda text: text if text[:1] == "{" else text[:200]),
    a_list_is_whole=of_raw(lambda text: text if text[:1] == "[" else text[:200]),
    a_raw_body_is_cut_at_a_word=of_raw(
        lambda text: text if len(text) <= 200 else text[:200].rpartition(" ")[0]
    ),
    a_message_is_cut=of_an_object(
        lambda value, _t, reason: reason if value.get("error") is not None else reason[:200]
    ),
    an_error_is_cut=of_an_object(
        lambda value, _t, reason: reason[:200] if value.get("error") is not None else reason
    ),
    an_error_that_is_an_object_is_cut=of_an_object(
        lambda value, _t, reason: reason if isinstance(value.get("error"), str) else reason[:200]
    ),
)
alike(
    change_reason,
    "RES-08",
    killed_by=REASON,
    an_error_is_indented_json=shown(lambda it: json.dumps(it, indent=2)),
    an_error_is_json_with_blanks=shown(json.dumps),
    an_error_is_json_in_ascii=shown(lambda it: json.dumps(it, separators=(",", ":"))),
    an_error_is_sorted_json=shown(
        lambda it: json.dumps(it, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    ),
    a_list_of_errors_is_joined=shown(
        lambda it: ",".join(map(str, it)) if isinstance(it, list) else readable(it)
    ),
    a_list_of_errors_is_its_first=shown(
        lambda it: str(it[0]) if isinstance(it, list) and it else readable(it)
    ),
    an_error_in_an_error_is_the_reason=shown(
        lambda it: it["error"] if isinstance(it, dict) and "error" in it else readable(it)
    ),
    a_code_of_an_error_is_the_reason=shown(
        lambda it: str(it["code"]) if isinstance(it, dict) and "code" in it else readable(it)
    ),
    a_detail_of_an_error_is_the_reason=shown(
        lambda it: it["detail"] if isinstance(it, dict) and "detail" in it else readable(it)
    ),
    an_empty_object_is_no_error=shown(lambda it: readable(it) if it != {} else ""),
    an_empty_list_is_no_error=shown(lambda it: readable(it) if it != [] else ""),
    a_message_that_is_an_object_is_printed=of_an_object(
        lambda value, _t, reason: (
            json.dumps(value["message"])
            if value.get("error") is None and isinstance(value.get("message"), dict)
            else reason
        )
    ),
    an_error_with_a_message_is_printed=of_an_object(
        lambda value, _t, reason: (
            json.dumps(value["error"], separators=(",", ":"))
            if isinstance(value.get("error"), dict)
            else reason
        )
    ),
)
alike(
    change_reason, *("RES-08", "RES-09"), killed_by=REASON, an_error_is_printed_by_python=shown(str)
)
alike(
    change_reason,
    "RES-09",
    killed_by=REASON,
    a_number_is_no_error=shown(lambda it: "" if isinstance(it, int) else readable(it)),
    a_number_has_a_fraction=shown(lambda it: f"{it:.1f}" if isinstance(it, int) else readable(it)),
    false_is_no_error=shown(lambda it: "" if it is False else readable(it)),
    truth_is_an_error_of_python=shown(lambda it: str(it) if isinstance(it, bool) else readable(it)),
    quotes_around_a_refusal_are_taken_off=lambda value, _t, reason: (
        value if isinstance(value, str) else reason
    ),
    a_null_is_an_empty_refusal=lambda value, _t, reason: "" if value is None else reason,
    a_list_is_its_first_item=lambda value, _t, reason: (
        str(value[0]) if isinstance(value, list) and value else reason
    ),
    a_list_with_an_object_is_its_error=lambda value, _t, reason: (
        str(value[0].get("error", reason))
        if isinstance(value, list) and value and isinstance(value[0], dict)
        else reason
    ),
)

from __future__ import annotations

import math
from typing import Any

import pytest

from deploy_relay_kit.relay import OMIT, InputError
from deploy_relay_kit.relay.request import decoded, forwarded_fields

DEPLOY = {"operation": "deploy_component", "project": "demo"}
CYCLE: list[object] = []
CYCLE.append(CYCLE)


def test_fields_keep_the_order_of_the_request() -> None:
    request = {"restart": True, **DEPLOY, "unknown": None}
    assert list(forwarded_fields(request).items()) == [
        ("restart", True),
        ("operation", "deploy_component"),
        ("project", "demo"),
        ("unknown", None),
        ("replicated", False),
    ]


@pytest.mark.parametrize("given", [True, False, None, "False", 0])
def test_replicated_is_false_in_its_place(given: object) -> None:
    fields = forwarded_fields({"operation": "deploy_component", "replicated": given, "x": 1})
    assert list(fields) == ["operation", "replicated", "x"]
    assert fields["replicated"] is False


@pytest.mark.parametrize(
    "name",
    [
        *("_", "_stagedPayloadPath", "__proto__", "payload", "progress", "hdb_user"),
        *("fastifyResponse", "baseRequest", "baseResponse"),
        *("username", "password", "token", "operation_token", "refresh_token", "credentials"),
        *("hdbAuthHeader", "impersonate", "bypass_auth", "requestId"),
    ],
)
def test_these_members_are_never_sent(name: str) -> None:
    # Its value is not checked, because it is never sent.
    assert name not in forwarded_fields({**DEPLOY, name: object()})


@pytest.mark.parametrize("mark", ['"', "\r", "\n"])
@pytest.mark.parametrize("name", ["password", "_hidden", "payload", "replicated"])
def test_a_name_is_checked_as_a_peer_reads_it(name: str, mark: str) -> None:
    for odd in (name + mark, mark + name, f"{name[:3]}{mark}{name[3:]}"):
        fields = forwarded_fields({**DEPLOY, odd: True})
        assert fields == {**DEPLOY, "replicated": False}


def test_a_long_name_and_a_tab_in_a_name_are_accepted() -> None:
    assert list(forwarded_fields({**DEPLOY, "ä" * 8_000: 1, "a\tb": 1}))[2:4] == [
        "ä" * 8_000,
        "a\tb",
    ]


def test_an_omitted_member_is_not_sent() -> None:
    assert forwarded_fields({**DEPLOY, "project": OMIT, "restart": OMIT}) == {
        "operation": "deploy_component",
        "replicated": False,
    }
    assert repr(OMIT) == "relay.OMIT"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "operation must be 'deploy_component', not None"),
        ({"operation": "restart_service"}, "'restart_service'"),
        ({**DEPLOY, "x": object()}, "field 'x'"),
        ({**DEPLOY, "x": b"bytes"}, "field 'x'"),
        ({**DEPLOY, "x": math.nan}, "field 'x'"),
        ({**DEPLOY, "x": [math.inf]}, "field 'x'"),
        ({**DEPLOY, "x": CYCLE}, "field 'x'"),
        ({**DEPLOY, "x": "a" * 1_048_577}, "field 'x' has 1048577 bytes"),
        ({**DEPLOY, **{f"x{n}": 1 for n in range(62)}}, "65 fields"),
        ({**DEPLOY, "": 1}, "field name '' must be a non-empty string"),
        ({**DEPLOY, '"\r\n"': 1}, "quotes and line ends do not count"),
        ({**DEPLOY, "x": 1, 'x"': 2}, "duplicate field 'x'"),
        ({**DEPLOY, "replicated": True, 'replicated"': True}, "duplicate field 'replicated'"),
        (dict([*DEPLOY.items(), ("\ud800", 1), ("\ufffd", 2)]), "duplicate field '\ufffd'"),
        (dict([*DEPLOY.items(), (7, 1)]), "field name 7 must be a non-empty string"),
        ({**DEPLOY, "a\0b": 1}, "field name 'a\\x00b' must have no control characters"),
        ({**DEPLOY, "a\x7f": 1}, "no control characters"),
        (
            {**DEPLOY, "ä" * 8_001: 1},
            "…' must have no control characters, and no more",
        ),
        ({**DEPLOY, "project": 123}, "project must be a string, not 123"),
        ({**DEPLOY, "project": None}, "project must be a string, not None"),
        ({**DEPLOY, "project": "123"}, "'\"123\"'"),
        ({**DEPLOY, "project": "true"}, "read project 'true' as bool"),
        ({**DEPLOY, "project": "null"}, "read project 'null' as NoneType"),
        ({**DEPLOY, "project": "1e3"}, "read project '1e3' as float"),
        ({**DEPLOY, "project": "[1]"}, "read project '[1]' as list"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_invalid_request_is_refused(request_: Any, words: str) -> None:
    with pytest.raises(InputError) as refusal:
        forwarded_fields(request_)
    assert words in str(refusal.value)


@pytest.mark.parametrize("project", ["demo", "007", "12abc", '"123"', "-", "true ", "my.app", ""])
def test_a_project_that_stays_a_string_is_accepted(project: str) -> None:
    assert forwarded_fields({**DEPLOY, "project": project})["project"] == project


V1: list[tuple[str, object]] = [
    ("true", True),
    ("false", False),
    ("null", None),
    ("True", "True"),
    ("12", 12),
    ("-5", -5),
    ("-", "-"),
    ("-abc", "-abc"),
    ("1e3", 1000),
    ("007", "007"),
    ("1.5.2", "1.5.2"),
    ("5abc", "5abc"),
    ("2024-01-01", "2024-01-01"),
    ("0x10", "0x10"),
    ("+5", "+5"),
    (".5", ".5"),
    ("NaN", "NaN"),
    ("-Infinity", "-Infinity"),
    ("[NaN]", "[NaN]"),
    ("undefined", "undefined"),
    (" 5", " 5"),
    ("5 ", 5),
    ("true ", "true "),
    ('{"a":1}', {"a": 1}),
    ('{"__proto__":1}', {"__proto__": 1}),
    ("{bad", "{bad"),
    ('["a","b"]', ["a", "b"]),
    ('"quoted"', "quoted"),
    ('"', '"'),
    ("", ""),
    ("[" * 100_000, "[" * 100_000),
]
"""Texts of fields and the values that a peer takes from them."""


@pytest.mark.parametrize(
    ("text", "value"), [*V1, ("9" * 5000, math.inf)], ids=lambda value: ascii(value)[:20]
)
def test_how_a_peer_reads_the_text_of_a_field(text: str, value: object) -> None:
    assert decoded(text) == value
    assert type(decoded(text)) is type(value) or isinstance(value, int)

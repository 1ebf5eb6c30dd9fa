"""Faults as text: `ResetAfter:65536` for command lines, words for people. Pure."""

from __future__ import annotations

import re
from enum import Enum
from http import HTTPStatus
from http.client import responses
from typing import Any, Literal, get_args, get_origin

import attrs

from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.broken_answers import Held
from deploy_relay_kit.harness.faults.checks import check_status, check_text
from deploy_relay_kit.harness.faults.events import EventStream
from deploy_relay_kit.harness.faults.http1 import BODILESS
from deploy_relay_kit.harness.faults.kinds import (
    CertificateFlaw,
    Fault,
    HasHeader,
    InTurn,
    Matching,
    Sometimes,
    in_turn,
)
from deploy_relay_kit.harness.faults.network import is_random

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_LONGEST = 60  # characters of one value of a fault
_FLAWS = [flaw.value for flaw in CertificateFlaw]
_HEALTHY = "healthy"
_OTHERS = (CertificateFlaw, InTurn, Matching, Sometimes, Held)  # without a text of this form
_CLASSES: dict[str, type] = {kind.__name__: kind for kind in get_args(Fault) if kind not in _OTHERS}
_WRAPPERS = {
    "Sometimes:probability:seed:FAULT": "Show a fault with a probability, from 0 to 1.",
    "Matching:header:value:FAULT": "Show a fault to requests with this value in this header.",
    "FAULT,FAULT,…": "Show one fault after the other; the last one repeats.",
}


def fault_names() -> dict[str, str]:
    """The text form of each fault, with the first line of its documentation."""
    forms = dict.fromkeys(_FLAWS, "A certificate with this flaw.")
    for name, kind in _CLASSES.items():
        form = ":".join([name, *(parameter.name for parameter in _parameters(kind))])
        forms[form] = (kind.__doc__ or "").partition("\n")[0]  # -OO leaves none
    return forms


def wrapper_names() -> dict[str, str]:
    """The text form of each way to choose among faults, with its documentation."""
    return dict(_WRAPPERS)


def parse_fault(text: str) -> Fault:
    """The fault of a text: the name of its class, then its values in order, separated by colons.

    The value for an answer is its status. Values may be left out from the end where the fault has
    defaults. Commas separate the turns of `in_turn`; `healthy` is a healthy turn.
    `Sometimes:0.3:7:FAULT` has a probability and a seed, `Matching:NAME:VALUE:FAULT` a header.

    Raises:
        ValueError: the text names no fault, or a value does not fit.
    """
    check_text.validate("text", text)
    try:
        fault: Fault = _parse_choice(text)
    except ValueError as error:
        raise ValueError(f"fault {text!r}: {error}") from None
    return fault


def _parse_choice(text: str) -> Any:
    match text.split(":", 3):
        case ["Sometimes", probability, seed, fault]:
            return Sometimes(_value(float, probability), _parse_choice(fault), _value(int, seed))
        case ["Matching", name, value, fault]:
            return Matching(HasHeader(name, value), _parse_choice(fault))
        case ["Sometimes" | "Matching" as name, *_]:
            form = next(it for it in _WRAPPERS if it.startswith(name))
            raise ValueError(f"write it as {form}")
    if "," in text:
        turns = (None if it == _HEALTHY else _parse_choice(it) for it in text.split(","))
        return in_turn(*turns)
    name, *values = text.split(":")
    return _parse(name, values)


def _parse(name: str, values: list[str]) -> Fault:
    if name in _FLAWS:
        if values:
            raise ValueError(f"{name} takes no values")
        return CertificateFlaw(name)
    if name not in _CLASSES:
        forms = [*fault_names(), *_WRAPPERS]
        raise ValueError(f"no such fault; give one of {', '.join(forms)}")
    kind = _CLASSES[name]
    parameters = _parameters(kind)
    if len(values) > len(parameters):
        raise ValueError(f"{name} takes at most {len(parameters)} values")
    missing = [it.name for it in parameters[len(values) :] if it.default is attrs.NOTHING]
    if missing:
        raise ValueError(f"{name} needs a value for {missing[0]}")
    if kind is Answer:
        return _answer(*values)
    given = zip(parameters, values, strict=False)
    fault: Fault = kind(**{it.name: _value(it.type, value) for it, value in given})
    return fault


def _parameters(kind: type) -> list[attrs.Attribute[Any]]:
    """The fields that a text can give: numbers, words and answers; only the status of an answer."""
    fields = attrs.fields(attrs.resolve_types(kind))
    if kind in (Answer, EventStream):
        return [field for field in fields if field.name == "status"]
    return [field for field in fields if _is_simple(field.type)]


def _is_simple(hint: object) -> bool:
    parts = (hint, *get_args(hint))
    return any(part in (int, float, str, Answer) or get_origin(part) is Literal for part in parts)


def _value(hint: object, text: str) -> Any:
    """The value of a field; a text that is not a number stays, and the fault refuses it."""
    parts = (hint, *get_args(hint))
    if Answer in parts:
        return _answer(text)
    convert = float if float in parts else int if int in parts else str
    try:
        return convert(text)
    except ValueError:
        return text


def _answer(text: str = "200") -> Answer:
    status = _value(int, text)
    check_status.validate("status", status)
    if status in BODILESS:
        return Answer(status)
    member = "message" if status < HTTPStatus.BAD_REQUEST else "error"
    return Answer(status, json={member: responses.get(status, "no such status")})


def description(fault: object) -> str:
    """A fault in words: `answer early (answer 403, at file, then close)`."""
    if isinstance(fault, CertificateFlaw):
        return f"a certificate that is {fault.value}"
    if not attrs.has(type(fault)):
        return str(fault)
    words = _CAPITAL.sub(" ", type(fault).__name__).lower()
    if isinstance(fault, InTurn):
        return ", then ".join("nothing" if it is None else description(it) for it in fault.turns)
    if isinstance(fault, Answer | EventStream):
        return f"{words} {fault.status}"
    if isinstance(fault, Sometimes):
        chance = f"with probability {fault.probability:g} (seed {fault.seed})"
        return f"{description(fault.fault)}, {chance}"
    values = (
        _described(field.name, getattr(fault, field.name))
        for field in attrs.fields(type(fault))  # type: ignore[arg-type]  # it has any
        if (field.repr and getattr(fault, field.name) != field.default)
        or (field.name == "seed" and is_random(fault))
    )
    shown = ", ".join(filter(None, values))
    return f"{words} ({shown})" if shown else words


def _described(name: str, value: object) -> str:
    """One value of a fault; empty for one that says nothing to a person."""
    label = name.replace("_", " ")
    match value:
        case bool() | int() | float() | str():
            return f"{label} {value}"[:_LONGEST]
        case Enum():
            return f"{label} {value.value}"
        case _ if attrs.has(type(value)):
            return description(value)
    return ""

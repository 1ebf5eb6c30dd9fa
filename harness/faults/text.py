"""Faults as text, for command lines: `ResetAfter:65536`, `Answer:503`, `expired`. Pure."""

from __future__ import annotations

import dataclasses
import typing
from http import HTTPStatus
from http.client import responses

from harness.faults import kinds as faults
from harness.faults.answers import BODILESS, Answer, Held
from harness.faults.events import EventStream
from harness.faults.kinds import CertificateFlaw


def fault_names() -> dict[str, str]:
    """How each fault is written, with the first line of its documentation."""
    written = {flaw.value: "A certificate with this flaw." for flaw in CertificateFlaw}
    for name, kind in _kinds().items():
        parameters = [f":{field.name}" for field in _parameters(kind)]
        written[name + "".join(parameters)] = (kind.__doc__ or "").splitlines()[0]
    return written


def parse_fault(text: str) -> faults.Fault:
    """The fault that a text names: its class, then its values in order, separated by colons.

    A value that is an answer is written as its status. Values may be left out from the end where
    the fault has a default.

    Raises:
        ValueError: it names no fault, or its values do not fit; the text says what would.

    """
    name, *values = text.split(":")
    if name in {flaw.value for flaw in CertificateFlaw}:
        if values:
            raise ValueError(f"fault {text!r}: {name} takes no values")
        return CertificateFlaw(name)
    kind = _kinds().get(name)
    if kind is None:
        raise ValueError(f"fault {text!r}: no such fault; give one of {', '.join(fault_names())}")
    parameters = _parameters(kind)
    if len(values) > len(parameters):
        raise ValueError(f"fault {text!r}: {name} takes at most {len(parameters)} values")
    hints = typing.get_type_hints(kind) if values else {}
    if kind is Answer:
        return _answer(text, values[0] if values else "200")
    given = {
        parameter.name: _value(text, parameter.name, hints[parameter.name], value)
        for parameter, value in zip(parameters, values, strict=False)
    }
    try:
        fault: faults.Fault = kind(**given)
    except ValueError as error:
        raise ValueError(f"fault {text!r}: {error}") from None
    except TypeError:
        missing = [f.name for f in parameters if f.name not in given]
        raise ValueError(f"fault {text!r}: {name} needs a value for {missing[0]}") from None
    return fault


def _kinds() -> dict[str, type]:
    kinds = typing.get_args(faults.Fault)
    not_as_text = (CertificateFlaw, faults.InTurn, Held)
    return {kind.__name__: kind for kind in kinds if kind not in not_as_text}


def _parameters(kind: type) -> list[dataclasses.Field[object]]:
    """What can be given as text: an answer's status, and every number and word."""
    fields = dataclasses.fields(kind)
    if kind is Answer:
        return list(fields[:1])
    if kind is EventStream:
        return []
    hints = typing.get_type_hints(kind)
    return [field for field in fields if _is_simple(hints[field.name])]


def _is_simple(hint: object) -> bool:
    """Whether a value of this type can be a number, a word or the status of an answer."""
    parts = typing.get_args(hint)
    return hint in (int, float, str, Answer) or Answer in parts or bool(_words_of(hint))


def _words_of(hint: object) -> list[str]:
    """The words that a type allows, alone or beside others."""
    return [word for part in (hint, *typing.get_args(hint)) for word in _words(part)]


def _value(text: str, name: str, hint: object, value: str) -> object:
    if hint is Answer or Answer in typing.get_args(hint):
        return _answer(text, value)
    if hint in (int, float):
        return _number(text, name, hint, value)
    words = _words_of(hint)
    if int in typing.get_args(hint) and value not in words:
        return _number(text, name, int, value)
    if words and value not in words:
        raise ValueError(f"fault {text!r}: {name} is one of {', '.join(words)}, not {value!r}")
    return value


def _answer(text: str, value: str) -> Answer:
    status = int(_number(text, "status", int, value))
    phrase = responses.get(status, "no such status")
    member = "message" if status < HTTPStatus.BAD_REQUEST else "error"
    try:
        return Answer(status) if status in BODILESS else Answer(status, json={member: phrase})
    except ValueError as error:
        raise ValueError(f"fault {text!r}: {error}") from None


def _words(hint: object) -> list[str]:
    return list(typing.get_args(hint)) if typing.get_origin(hint) is typing.Literal else []


def _number(text: str, name: str, kind: object, value: str) -> float:
    try:
        return int(value) if kind is int else float(value)
    except ValueError:
        what = "whole number" if kind is int else "number"
        raise ValueError(f"fault {text!r}: {name} is a {what}, not {value!r}") from None

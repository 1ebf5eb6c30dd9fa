"""Pure: which members of a deploy request reach the peers, and which requests are refused.

A peer guesses the type of a field from its text (PARSE-12), silently drops everything beyond its
limits (PARSE-18, PARSE-19) and fans out again unless `replicated` is exactly false (FLD-03). So
a request is checked here, once for all peers.
"""

import enum
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from deploy_relay_kit.relay import formdata
from deploy_relay_kit.relay.errors import InputError, check_type

MAX_FIELDS = 64  # PARSE-19
MAX_VALUE_BYTES = 1_048_576  # PARSE-18
MAX_NAME_BYTES = 16_000  # PARSE-20: the header of its part may have 16,384
_CONTROL = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_SHOWN = 60  # characters of a name in a message

# FLD-01: state of the origin's own request, without a meaning elsewhere.
_LOCAL = {"payload", "progress", "hdb_user", "fastifyResponse", "baseRequest", "baseResponse"}
# FLD-05 and WIRE-16: credentials, and switches that would act for another user on the peer.
_DENIED = {"username", "password", "token", "operation_token", "refresh_token", "credentials"}
_DENIED |= {"hdbAuthHeader", "impersonate", "bypass_auth", "requestId"}


class Omit(enum.Enum):
    """The type of `OMIT`."""

    OMIT = "omit"

    def __repr__(self) -> str:
        return "relay.OMIT"


OMIT = Omit.OMIT
"""A member with this value is not sent; `None` is sent as `null` (WIRE-07)."""


def forwarded_fields(request: Mapping[str, object]) -> dict[str, object]:
    """The fields that every peer gets, in the order of the request (FLD-01…05).

    Raises:
        InputError: The request is not a deploy, or a peer would misread it.
    """
    check_type("request", request, Mapping, "a mapping of names to values")
    if request.get("operation") != "deploy_component":
        operation = request.get("operation")
        raise InputError(f"operation must be 'deploy_component', not {operation!r}")
    fields: dict[str, object] = {}
    for given, value in request.items():
        name = _cleaned(given)
        if stays_behind(name) or value is OMIT:
            continue
        if name in fields:
            raise InputError(f"duplicate field {name!r}")
        fields[name] = value
    fields["replicated"] = False  # FLD-02: in its place, or at the end
    if len(fields) > MAX_FIELDS:
        raise InputError(f"the request has {len(fields)} fields; a peer reads {MAX_FIELDS}")
    for name, value in fields.items():
        _check_value(name, value)
    _check_project(fields)
    return fields


def _cleaned(name: object) -> str:
    """A name as the peer reads it, so that `pass"word` is held back like `password` (WIRE-10)."""
    cleaned = formdata.name_bytes(name).decode() if isinstance(name, str) else ""
    if not cleaned:
        raise InputError(
            f"field name {name!r} must be a non-empty string (quotes and line ends do not count)"
        )
    if _CONTROL.search(cleaned) or len(cleaned.encode()) > MAX_NAME_BYTES:
        shown = cleaned if len(cleaned) <= _SHOWN else f"{cleaned[:_SHOWN]}…"
        raise InputError(
            f"field name {shown!r} must have no control characters, "
            f"and no more than {MAX_NAME_BYTES} bytes"
        )
    return cleaned


def stays_behind(name: str) -> bool:
    """Whether a member of this name is never sent (FLD-01, FLD-05)."""
    return name.startswith("_") or name in _LOCAL or name in _DENIED


def _check_value(name: str, value: object) -> None:
    try:
        size = len(formdata.value_bytes(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"field {name!r} cannot be sent as JSON: {error}") from error
    if size > MAX_VALUE_BYTES:
        raise InputError(f"field {name!r} has {size} bytes; a peer cuts it at {MAX_VALUE_BYTES}")


def _check_project(fields: Mapping[str, object]) -> None:
    if "project" not in fields:
        return  # the peer derives it, or refuses the deploy
    project = fields["project"]
    if not isinstance(project, str):
        raise InputError(f"project must be a string, not {project!r}")
    if not isinstance(decoded(project), str):
        raise InputError(
            f"a peer would read project {project!r} as {type(decoded(project)).__name__}; "
            f"rename it, or send it in JSON quotes: {json.dumps(project)!r}"
        )


def decoded(text: str, parse_int: Callable[[str], float] = float) -> Any:
    """Decode the text of a field as a peer does (PARSE-12), to check `project` (PARSE-32).

    In JavaScript every number is a double; `parse_int` makes another value of an integer.
    """
    if text not in {"true", "false", "null"} and text[:1] not in set('{["-0123456789'):
        return text
    try:
        return json.loads(text, parse_constant=_refuse, parse_int=parse_int)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")

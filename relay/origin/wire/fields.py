"""Pure: the value of a field, and what the fields of a deploy mean."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from deploy_relay_kit.relay import request
from deploy_relay_kit.relay.origin.answers import RefusalError

MAX_FIELDS = 64  # PARSE-19, but refused instead of dropped
MAX_VALUE_BYTES = 1_048_576  # PARSE-18, but refused instead of cut
FORBIDDEN = {"__proto__", "constructor", "prototype"}  # PARSE-27
_PROJECT = re.compile(r"[A-Za-z0-9_-]{1,240}", re.ASCII)


def decoded(text: str) -> object:
    """The value of a field (PARSE-12); an integer keeps all its digits on its way to the peers."""
    return request.decoded(text, parse_int=int)


def fans_out(fields: Mapping[str, object]) -> bool:
    """The gate: only `replicated` that is exactly false stays on this node (SEQ-02, FLD-03)."""
    return fields.get("replicated") is not False


def project_of(fields: Mapping[str, object]) -> str:
    """The project's name, without a path and an extension (DEP-02)."""
    given = fields.get("project")
    if given is None:
        raise RefusalError(400, "'project' is required")
    if not isinstance(given, str):
        raise RefusalError(400, "'project' must be a string")
    if not given:
        raise RefusalError(400, "'project' is not allowed to be empty")
    name = PurePosixPath(given).stem
    if not _PROJECT.fullmatch(name):
        raise RefusalError(
            400,
            "Project name can only contain alphanumeric, dash and underscores characters",
        )
    return name


def check_deploy(fields: Mapping[str, object]) -> str:
    """Check the fields of a deploy before its payload is read; return the project's name."""
    project = project_of(fields)
    if "package" in fields:
        raise RefusalError(400, "'package' is not supported by this node; send a payload")
    restart = fields.get("restart", False)
    if not isinstance(restart, bool) and restart != "rolling":  # DEP-05
        raise RefusalError(400, "'restart' must be one of [boolean, rolling]")
    if not isinstance(fields.get("ignore_replication_errors", False), bool):
        raise RefusalError(400, "'ignore_replication_errors' must be a boolean")
    return project


def operation_of(fields: Mapping[str, object]) -> str:
    operation = fields.get("operation")
    if operation is None or operation == "":
        raise RefusalError(400, "Request body must include an 'operation' property.")
    if not isinstance(operation, str):
        raise RefusalError(400, "'operation' must be a string")
    return operation

"""What Harper 5.1.14 makes of a `deploy_component` whose fields it has decoded. Pure."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from harness.faults.events import Event
from harness.profiles.archive import archive_error
from harness.profiles.jobs import JobBook
from harness.witness.wire import FilePart

_PROJECT = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_NAME = 255
_WINDOW = 256
_FIRST_WITH_EXPONENT = 1e21
CUT_FORM = "Unexpected end of form"
_COMPONENTS = "/srv/harper/components"
"""Stands where a real peer names its own directory."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a deploy failed.

    Attributes:
        message: the text.
        status: of a plain answer; in an event stream the answer is 200 whatever happened.
        code: what an event stream tells instead of the status, a number or a text.
        phase: where it failed; None before the deploy had begun, when it has no id either.
        install_output: what the install printed, when that failed.

    """

    message: str
    status: int = 400
    code: int | str | None = None
    phase: str | None = None
    install_output: dict[str, Any] | None = None

    def _details(self, deployment_id: str) -> dict[str, Any]:
        if self.phase is None:
            return {}
        output = {} if self.install_output is None else {"install_output": self.install_output}
        return {"phase": self.phase, **output, "deployment_id": deployment_id}

    def body(self, deployment_id: str) -> dict[str, Any]:
        """The body of a plain answer."""
        return {"error": self.message, **self._details(deployment_id)}

    def event(self, deployment_id: str) -> Event:
        """The event that tells it."""
        code = self.status if self.code is None else self.code
        said = {"message": self.message, "code": code}
        return Event("error", said | self._details(deployment_id))


@dataclass(frozen=True)
class Install:
    """An npm install that runs in the phase `prepare`.

    Attributes:
        lines: what it prints, as pairs of `stdout` or `stderr` and a line.
        exit_code: 0 is success.

    """

    lines: tuple[tuple[str, str], ...] = (("stderr", "npm error code ENOTFOUND"),)
    exit_code: int = 0

    def records(self) -> list[dict[str, str]]:
        return [{"manager": "npm", "stream": stream, "line": line} for stream, line in self.lines]


def check_fields(fields: Mapping[str, Any]) -> Failure | None:
    """The refusal of fields, as soon as they are in; only the first that is wrong is named."""
    project = fields.get("project")
    if project and not isinstance(project, str):  # path.parse throws, before anything is validated
        text = f'The "path" argument must be of type string. Received {_received(project)}'
        return Failure(text, 500, "ERR_INVALID_ARG_TYPE")
    return _check_project(fields) or _check_restart(fields) or _check_install_command(fields)


def _check_project(fields: Mapping[str, Any]) -> Failure | None:
    if "project" not in fields:
        return Failure("'project' is required")
    project = fields["project"]
    if not isinstance(project, str):
        return Failure("'project' must be a string")
    name = component_name(project)
    if not name:
        return Failure("'project' is not allowed to be empty")
    if not _PROJECT.fullmatch(name):
        return Failure(
            "Project name can only contain alphanumeric, dash and underscores characters"
        )
    return None


def _check_restart(fields: Mapping[str, Any]) -> Failure | None:
    restart = fields.get("restart", False)
    if isinstance(restart, bool):
        return None
    if not isinstance(restart, str):
        return Failure("'restart' does not match any of the allowed types")
    if restart == "rolling" or restart.lower() in ("true", "false"):
        return None
    return Failure("'restart' must be one of [boolean, rolling]")


def _check_install_command(fields: Mapping[str, Any]) -> Failure | None:
    if isinstance(fields.get("install_command", ""), str):
        return None
    return Failure("'install_command' must be a string")


def component_name(project: str) -> str:
    """The last segment without its extension, as path.parse gives it (DEP-02)."""
    return PurePosixPath(project.rpartition("/")[2] or project.rstrip("/")).stem


def _received(value: Any) -> str:
    """How Node names a value of the wrong type."""
    match value:
        case bool():
            return f"type boolean ({str(value).lower()})"
        case int() | float():
            return f"type number ({_js_number(value)})"
        case dict():
            return "an instance of Object"
        case _:
            return "an instance of Array"


def _js_number(value: float) -> str:
    """The number as JavaScript writes it, exact for whole ones up to 1e21."""
    if abs(value) < _FIRST_WITH_EXPONENT and value == int(value):
        return str(int(value))
    return re.sub(r"e([+-])0", r"e\1", repr(float(value)))


@dataclass(eq=False)
class Deploy:
    """One deploy whose fields were accepted; what becomes of it is known when its payload is in."""

    fields: Mapping[str, Any]
    jobs: JobBook
    install: Install | None = None
    product: str = "Harper"
    deployment_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def name(self) -> str:
        return component_name(self.fields["project"])

    def failure(self, file: FilePart | None) -> Failure | None:
        """Why it failed, now that the upload has ended; None when it succeeded."""
        if file is not None and not file.complete:
            return Failure(CUT_FORM, 500, phase="pending")
        if len(self.name) > _LONGEST_NAME:
            path = f"{_COMPONENTS}/{self.name}"
            text = f"ENAMETOOLONG: name too long, access '{path}'"
            return Failure(text, 500, "ENAMETOOLONG", "prepare")
        if file is None and not self.fields.get("payload") and not self.fields.get("package"):
            return Failure("Either payload or package must be provided", 500, phase="prepare")
        error = self._payload_error(file)
        return Failure(error, 500, phase="prepare") if error else self._install_failure()

    def _payload_error(self, file: FilePart | None) -> str | None:
        if file is not None:
            return archive_error(file.first, file.last, file.length)
        payload = self.fields.get("payload")
        if not isinstance(payload, str) or not payload:
            return None
        data = _from_base64(payload)
        return archive_error(data[:_WINDOW], data[-_WINDOW:], len(data))

    def _install_failure(self) -> Failure | None:
        if self.install is None or self.install.exit_code == 0:
            return None
        lines = self.install.records()
        return Failure(
            f"Failed to install dependencies for {self.name} using npm default. "
            f"Exit code: {self.install.exit_code}",
            500,
            phase="prepare",
            install_output={"lines": lines, "truncated": False, "dropped_lines": 0},
        )

    def result(self) -> dict[str, Any]:
        """The result of a deploy that succeeded; a restart is asked for by `true` or `rolling`."""
        restart = self.fields.get("restart")
        message = f"Successfully deployed: {self.name}"
        job = {}
        if restart is True or restart == "rolling":
            message += f", restarting {self.product}"
        if restart == "rolling":
            job = {"restartJobId": self.jobs.begin()}
        return {"message": message, **job, "deployment_id": self.deployment_id}

    def events(self, failure: Failure | None) -> Iterator[Event]:
        """What an event stream tells of it, in the order in which Harper told it (SSE-12)."""
        if failure is not None and failure.phase == "pending":  # the payload never came whole
            yield from _failed(failure, self.deployment_id)
            return
        yield _phase("prepare", "start")
        if self.install is not None and (failure is None or failure.install_output):
            yield from (Event("install", line) for line in self.install.records())
        if failure is not None:
            yield from _failed(failure, self.deployment_id)
            return
        yield _phase("prepare", "done")
        phases = ["replicate", *(["restart"] if self.fields.get("restart") is True else [])]
        for phase in phases:
            yield _phase(phase, "start")
            yield _phase(phase, "done")
        yield _phase("success", "done")
        yield Event("_recorder_finished", {"status": "success"})
        yield Event("done", {"result": self.result()})


def _failed(failure: Failure, deployment_id: str) -> Iterator[Event]:
    yield failure.event(deployment_id)
    yield Event("_recorder_finished", {"status": "failed"})


def _phase(phase: str, status: str) -> Event:
    return Event("phase", {"phase": phase, "status": status})


def _from_base64(text: str) -> bytes:
    """What Node makes of base64: what does not belong is skipped, a loose end is dropped."""
    clean = re.sub(r"[^A-Za-z0-9+/]", "", text.partition("=")[0].translate({45: 43, 95: 47}))
    clean = clean[: len(clean) - (len(clean) % 4 == 1)]
    try:
        return base64.b64decode(clean + "=" * (-len(clean) % 4))
    except binascii.Error:  # pragma: no cover - nothing but base64 is left
        return b""

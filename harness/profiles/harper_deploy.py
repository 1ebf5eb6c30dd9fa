"""A `deploy_component` in Harper 5.1.14, after its fields are decoded. Pure."""

import base64
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from attrs import define, field, frozen

from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.events import Event, finished_event, phase_event
from deploy_relay_kit.harness.profiles.archive import archive_error
from deploy_relay_kit.harness.profiles.jobs import JobBook
from deploy_relay_kit.harness.witness.wire import FilePart

_PROJECT = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_NAME = 255
_WINDOW = 256
_FIRST_WITH_EXPONENT = 1e21
CUT_FORM = "Unexpected end of form"
_COMPONENTS = "/srv/harper/components"
"""The directory of a real peer, in its error texts."""


@frozen
class Failure:
    """Why a deploy failed.

    Attributes:
        message: the text.
        status: of a plain answer; an event stream has 200.
        code: a number or a text instead of the status in an event stream.
        phase: where it failed; None before the deploy has begun and has an id.
        install_output: the output of an install that failed.
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

    def answer(self, deployment_id: str = "") -> Answer:
        """The failure as a plain answer."""
        return Answer(self.status, json={"error": self.message, **self._details(deployment_id)})

    def event(self, deployment_id: str = "") -> Event:
        """The failure as an event."""
        code = self.status if self.code is None else self.code
        error = {"message": self.message, "code": code}
        return Event("error", error | self._details(deployment_id))


@frozen
class Install:
    """An npm install that runs in the phase `prepare`.

    Attributes:
        lines: its output, as pairs of `stdout` or `stderr` and a line.
        exit_code: 0 is success.
    """

    lines: tuple[tuple[str, str], ...] = (("stderr", "npm error code ENOTFOUND"),)
    exit_code: int = 0

    def records(self) -> list[dict[str, str]]:
        return [{"manager": "npm", "stream": stream, "line": line} for stream, line in self.lines]


def check_fields(fields: Mapping[str, Any]) -> Failure | None:
    """The refusal of the first wrong field; None when all are right."""
    project = fields.get("project")
    if project and not isinstance(project, str):  # path.parse throws before the validation
        text = f'The "path" argument must be of type string. Received {_received(project)}'
        return Failure(text, 500, "ERR_INVALID_ARG_TYPE")
    problem = _wrong_project(fields) or _wrong_restart(fields.get("restart", False))
    if problem is None and not isinstance(fields.get("install_command", ""), str):
        problem = "'install_command' must be a string"
    return None if problem is None else Failure(problem)


def _wrong_project(fields: Mapping[str, Any]) -> str | None:
    if "project" not in fields:
        return "'project' is required"
    project = fields["project"]
    if not isinstance(project, str):
        return "'project' must be a string"
    name = component_name(project)
    if not name:
        return "'project' is not allowed to be empty"
    if not _PROJECT.fullmatch(name):
        return "Project name can only contain alphanumeric, dash and underscores characters"
    return None


def _wrong_restart(restart: object) -> str | None:
    if isinstance(restart, bool):
        return None
    if not isinstance(restart, str):
        return "'restart' does not match any of the allowed types"
    if restart == "rolling" or restart.lower() in ("true", "false"):
        return None
    return "'restart' must be one of [boolean, rolling]"


def component_name(project: str) -> str:
    """The last segment without its extension, like Node's path.parse (DEP-02)."""
    return PurePosixPath(project.rpartition("/")[2] or project.rstrip("/")).stem


def _received(value: Any) -> str:
    """Node's description of a value of the wrong type."""
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
    """The number as JavaScript writes it; integers are exact up to 1e21."""
    if abs(value) < _FIRST_WITH_EXPONENT and value == int(value):
        return str(int(value))
    return re.sub(r"e([+-])0", r"e\1", repr(float(value)))


@define(eq=False)
class Deploy:
    """One deploy with accepted fields; its payload decides whether it succeeds."""

    fields: Mapping[str, Any]
    jobs: JobBook
    install: Install | None = None
    product: str = "Harper"
    deployment_id: str = field(factory=lambda: str(uuid.uuid4()))

    @property
    def name(self) -> str:
        return component_name(self.fields["project"])

    def failure(self, file: FilePart | None) -> Failure | None:
        """Why it failed, after the end of the upload; None when it succeeded."""
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
        """The result of a successful deploy; `restart` true or `rolling` asks for a restart."""
        restart = self.fields.get("restart")
        message = f"Successfully deployed: {self.name}"
        job = {}
        if restart is True or restart == "rolling":
            message += f", restarting {self.product}"
        if restart == "rolling":
            job = {"restartJobId": self.jobs.begin()}
        return {"message": message, **job, "deployment_id": self.deployment_id}

    def answer(self, file: FilePart | None) -> Answer:
        """The plain answer, after the end of the upload."""
        failure = self.failure(file)
        return failure.answer(self.deployment_id) if failure else Answer(json=self.result())

    def events(self, file: FilePart | None) -> Iterator[Event]:
        """The events after the end of the upload, in Harper's order (SSE-12)."""
        failure = self.failure(file)
        is_cut = failure is not None and failure.phase == "pending"
        if not is_cut:
            yield phase_event("prepare", "start")
        if self.install is not None and (failure is None or failure.install_output):
            yield from (Event("install", line) for line in self.install.records())
        if failure is not None:
            yield failure.event(self.deployment_id)
            yield finished_event("failed")
            return
        yield phase_event("prepare", "done")
        phases = ["replicate", *(["restart"] if self.fields.get("restart") is True else [])]
        for phase in phases:
            yield phase_event(phase, "start")
            yield phase_event(phase, "done")
        yield phase_event("success", "done")
        yield finished_event("success")
        yield Event("done", {"result": self.result()})


def _from_base64(text: str) -> bytes:
    """Decode base64 like Node: skip other characters, drop an incomplete end."""
    clean = re.sub(r"[^A-Za-z0-9+/]", "", text.partition("=")[0].translate({45: 43, 95: 47}))
    clean = clean[: len(clean) - (len(clean) % 4 == 1)]
    return base64.b64decode(clean + "=" * (-len(clean) % 4))

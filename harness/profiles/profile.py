"""What a profile is: how a peer of a certain kind answers when no fault says otherwise. Pure.

A profile looks at an upload three times: at its head, when the headers of the file part are in, and
when it has seen enough to answer. At the first two it may refuse, at the third it must answer. What
is no upload is an operation in JSON: the profile says whether it may run, and dresses its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from harness.faults.answers import Answer, AnyAnswer
from harness.faults.events import MEDIA_TYPE, EventStream
from harness.profiles.jobs import JobBook
from harness.witness.connections import RequestWitness
from harness.witness.requests import UploadWitness
from harness.witness.wire import UploadReader

Then = Literal["drain", "stop", "close"]
Credential = Literal[
    "missing",
    "other scheme",
    "empty",
    "unknown",
    "refresh",
    "expired",
    "forbidden",
    "good",
    "password",
    "wrong password",
    "not base64",
]
"""What an Authorization header is worth at a peer; `good` and `password` allow to deploy."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer, and what becomes of the rest of the request and of the connection.

    Attributes:
        answer: what is answered.
        then: `drain` reads the rest and throws it away; `stop` reads no more than the profile's
            `read_ahead` and resets after its `reset_after`; `close` sends FIN at once.

    """

    answer: AnyAnswer | EventStream
    then: Then = "drain"


class Profile(Protocol):
    """How one kind of peer answers. Each peer has an object of its own.

    Attributes:
        version: what `registration_info` tells.
        jobs: the jobs of this peer.
        read_ahead: bytes of an upload that are still read after it was refused with `stop`.
        reset_after: seconds from such a refusal to the reset; None leaves the client waiting.
        request_limit: seconds for a whole request, after which it is answered 408; None has none.

    """

    version: str
    jobs: JobBook
    read_ahead: int
    reset_after: float | None
    request_limit: float | None

    def at_head(self, request: RequestWitness, credential: Credential) -> Decision | None:
        """Decide before a byte of the body is read; asked for every request."""

    def at_file(
        self, upload: UploadWitness, credential: Credential
    ) -> Decision | EventStream | None:
        """Decide when the fields and the headers of the file part are in.

        A Decision refuses; an EventStream is the answer, which begins now and waits for the rest.
        """

    def is_ready(self, reader: UploadReader) -> bool:
        """Whether enough of an upload is in for `at_end`."""

    def at_end(self, upload: UploadWitness, credential: Credential) -> Decision:
        """Answer the upload: it is ready, or the client has closed."""

    def at_body(
        self, request: RequestWitness, body: object, credential: Credential
    ) -> Decision | None:
        """Answer an operation in JSON, or let it run; `body` is `NO_JSON` if it is none."""

    def elsewhere(self, request: RequestWitness) -> Decision | None:
        """Answer what is no POST to the operations API; None is the plain 404."""

    def dress(self, answer: Answer, request: RequestWitness) -> Answer:
        """The answer to an operation with the head, and in the form, that this peer gives it."""


NO_JSON = object()
"""A body that cannot be read as JSON."""

MINT = "create_authentication_tokens"
OPERATIONS = (MINT, "registration_info", "restart_service", "get_job")
"""What a fake peer can do besides `deploy_component`."""

NOT_JSON = "Body is not valid JSON but content-type is set to 'application/json'"
NO_OPERATION = "Request body must include an 'operation' property."

GOOD: frozenset[Credential] = frozenset(("good", "password"))

_CREDENTIAL_TEXTS: dict[Credential, str] = {
    "missing": "Must login",
    "other scheme": "Must login",
    "empty": "invalid token",
    "unknown": "invalid token",
    "refresh": "invalid token",
    "expired": "token expired",
    "wrong password": "Login failed",
    "not base64": "Invalid character",
}
FORBIDDEN = Answer(
    403,
    json={
        "error": "This operation is not authorized due to role restrictions and/or invalid "
        "database items",
        "unauthorized_access": [],
        "invalid_schema_items": [],
    },
)


def refuse_credential(credential: Credential) -> Answer | None:
    """The refusal of a credential that does not allow to deploy (MINT-12, DEP-01)."""
    if credential in GOOD:
        return None
    if credential == "forbidden":
        return FORBIDDEN
    return Answer.error(401, _CREDENTIAL_TEXTS[credential])


def refuse_operation(body: dict[str, object], credential: Credential) -> Answer | None:
    """The refusal of an operation before it starts, in the order in which Harper looks."""
    operation = body.get("operation")
    if operation is None or operation == "":
        return Answer.error(400, NO_OPERATION)
    if not isinstance(operation, str):
        return Answer.error(500, "req.body?.operation?.startsWith is not a function")
    # A mint judges what it is given itself (MINT-11).
    if operation != MINT and (refusal := refuse_credential(credential)):
        return refusal
    if operation not in (*OPERATIONS, "deploy_component"):
        return Answer.error(400, f"Operation '{operation}' not found")
    return None


def run_operation(body: dict[str, Any], profile: Profile) -> tuple[Answer, bool]:
    """The answer to an operation that may run, and whether it ends the connection."""
    match body["operation"]:
        case "restart_service":
            message = f"Restarting {body.get('service', 'http')}"
            return Answer(json={"message": message, "job_id": profile.jobs.begin()}), True
        case "get_job":
            job = profile.jobs.ask(body.get("id"))
            unknown = Answer.error(404, f"Job '{body.get('id')}' not found")
            return (unknown if job is None else Answer(json=job)), False
        case _:
            return Answer(json={"version": profile.version, "deprecated": True}), False


def wants_events(request: RequestWitness) -> bool:
    """Whether the client asked for an event stream (SSE-01)."""
    return MEDIA_TYPE in (request.header("accept") or "")

"""A profile: how one kind of peer answers when no fault is due. Pure."""

from abc import ABC, abstractmethod
from typing import Any, Literal

from attrs import define, field, frozen

from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.broken_answers import AnyAnswer
from deploy_relay_kit.harness.faults.events import MEDIA_TYPE, EventStream
from deploy_relay_kit.harness.profiles.jobs import JobBook
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.requests import UploadWitness
from deploy_relay_kit.harness.witness.wire import UploadReader

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
"""The kinds of Authorization header; a client with `good` or `password` may deploy."""


@frozen
class Decision:
    """An answer, and how the peer treats the rest of the request.

    Attributes:
        answer: the answer.
        then: `drain` reads the rest and discards it; `stop` reads at most the profile's
            `read_ahead` more and resets after its `reset_after`; `close` sends FIN at once.
    """

    answer: AnyAnswer | EventStream
    then: Then = "drain"


@define(eq=False)
class Profile(ABC):
    """How one kind of peer answers; each peer has its own object.

    A profile sees an upload three times: after its head, after the headers of the file part, and
    when there is enough of it to answer. It may refuse the upload at the first two, and must answer
    at the third. Every other request is an operation in JSON: the profile refuses it or lets it
    run, and dresses the answer.

    Attributes:
        version: answered to `registration_info`.
        jobs: the jobs of this peer.
        read_ahead: bytes of an upload that the peer reads after a refusal with `stop`.
        reset_after: seconds from such a refusal to the reset; None leaves the connection open.
        request_limit: seconds for a whole request, then the peer answers 408; None sets no limit.
        takes_cbor: whether it reads an operation in CBOR; `payload` is then a `FilePart`.
    """

    version: str = "5.1.14"
    jobs: JobBook = field(factory=JobBook)
    read_ahead: int = 0
    reset_after: float | None = None
    request_limit: float | None = None
    takes_cbor: bool = False

    @abstractmethod
    def at_head(self, request: RequestWitness, credential: Credential) -> Decision | None:
        """Decide about any request before its body is read."""

    @abstractmethod
    def at_file(
        self, upload: UploadWitness, credential: Credential
    ) -> Decision | EventStream | None:
        """Decide after the fields and the headers of the file part.

        A Decision refuses the upload. An EventStream is the answer: it begins now and waits for the
        rest of the upload.
        """

    @abstractmethod
    def is_ready(self, reader: UploadReader) -> bool:
        """Whether enough of an upload has been read for `at_end`."""

    @abstractmethod
    def at_end(self, upload: UploadWitness, credential: Credential) -> Decision:
        """Answer an upload that is ready, or whose client has closed."""

    @abstractmethod
    def at_body(
        self, request: RequestWitness, body: object, credential: Credential
    ) -> Decision | None:
        """Answer an operation in JSON, or let it run; `body` may be `NO_JSON`."""

    def elsewhere(self, request: RequestWitness) -> Decision | None:
        """Answer a request that is not a POST to the operations API; None is a plain 404."""
        return None

    def refuse_mint(self, body: dict[str, object]) -> Answer | None:
        """The refusal of a mint whose credentials are good."""
        return None

    def dress(self, answer: Answer, request: RequestWitness, *, closes: bool = False) -> Answer:
        """The answer to an operation, with the head and in the form of this kind of peer.

        `closes`: whether the peer ends the connection after it.
        """
        return answer


NO_JSON = object()
"""Stands for a body that is not JSON."""

MINT = "create_authentication_tokens"
OPERATIONS = (MINT, "registration_info", "restart_service", "get_job")
"""The operations of a fake peer besides `deploy_component`."""

SERVICES = ("http", "http_workers")
"""The services that a fake peer restarts."""

NOT_JSON = "Body is not valid JSON but content-type is set to 'application/json'"
NO_OPERATION = "Request body must include an 'operation' property."

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
    """The refusal of a client that may not deploy (MINT-12, DEP-01)."""
    if credential in ("good", "password"):
        return None
    if credential == "forbidden":
        return FORBIDDEN
    return Answer.error(401, _CREDENTIAL_TEXTS[credential])


def refuse_operation(body: dict[str, object], credential: Credential) -> Answer | None:
    """The refusal of an operation before it runs; Harper's order of checks."""
    operation = body.get("operation")
    if operation is None or operation == "":
        return Answer.error(400, NO_OPERATION)
    if not isinstance(operation, str):
        return Answer.error(500, "req.body?.operation?.startsWith is not a function")
    # A mint checks its credentials itself (MINT-11).
    if operation != MINT and (refusal := refuse_credential(credential)):
        return refusal
    if operation not in (*OPERATIONS, "deploy_component"):
        return unknown_operation(operation)
    return None


def unknown_operation(operation: str) -> Answer:
    return Answer.error(400, f"Operation '{operation}' not found")


def run_operation(body: dict[str, Any], profile: Profile) -> tuple[Answer, bool]:
    """Run an operation: its answer, and whether it ends the connection."""
    match body["operation"]:
        case "restart_service":
            if body.get("service", "http") not in SERVICES:
                return Answer.error(400, "Invalid service"), True
            message = f"Restarting {body.get('service', 'http')}"
            return Answer(json={"message": message, "job_id": profile.jobs.begin()}), True
        case "get_job":
            if "id" not in body:
                return Answer.error(400, "'id' is required"), False
            job = profile.jobs.poll(body["id"])
            return (Answer(json=[], chunk_size=1024) if job is None else Answer(json=job)), False
        case _:
            return Answer(json={"version": profile.version, "deprecated": True}), False


def wants_events(request: RequestWitness) -> bool:
    """Whether the client asked for an event stream (SSE-01)."""
    return MEDIA_TYPE in (request.header("accept") or "")

"""The profile that judges instead of tolerating."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.faults.answers import Answer
from harness.faults.events import EventStream, success_events
from harness.profiles.jobs import JobBook
from harness.profiles.profile import (
    FORBIDDEN,
    NOT_JSON,
    OPERATIONS,
    Credential,
    Decision,
    refuse_credential,
    refuse_operation,
    wants_events,
)
from harness.witness.connections import RequestWitness
from harness.witness.requests import UploadWitness
from harness.witness.wire import UploadReader


@dataclass(eq=False)
class Strict:
    """An upload that breaks any rule is refused with the finding; whatever it was, it is drained.

    Of operations in JSON it knows those that a relay needs; a deploy comes as an upload.

    Attributes:
        refuses: whether it refuses what breaks a rule. Without, it notes the findings and answers
            any upload that came to its end as a success, so that one broken rule does not hide what
            else is to be seen of a relay.

    """

    refuses: bool = True
    version: str = "5.1.14"
    jobs: JobBook = field(default_factory=JobBook)
    read_ahead: int = 0
    reset_after: float | None = None
    request_limit: float | None = None

    def at_head(self, request: RequestWitness, credential: Credential) -> Decision | None:
        if not isinstance(request, UploadWitness) or credential == "forbidden":
            return None
        # HTTP-01: an upload carries a bearer token.
        refusal = refuse_credential("other scheme" if credential == "password" else credential)
        return None if refusal is None else Decision(refusal)

    def at_file(
        self, upload: UploadWitness, credential: Credential
    ) -> Decision | EventStream | None:
        del upload
        return Decision(FORBIDDEN) if credential == "forbidden" else None

    def is_ready(self, reader: UploadReader) -> bool:
        return reader.complete

    def at_end(self, upload: UploadWitness, credential: Credential) -> Decision:
        del credential
        if upload.findings and (self.refuses or not upload.reader.body_complete):
            return Decision(Answer.error(400, f"broken on the wire: {upload.findings[0]}"))
        project = upload.fields.get("project", b"").decode("utf-8", "replace")
        if wants_events(upload):
            return Decision(EventStream(success_events(project)))
        return Decision(Answer(json={"message": f"Successfully deployed: {project}"}))

    def at_body(
        self, request: RequestWitness, body: object, credential: Credential
    ) -> Decision | None:
        del request
        if not isinstance(body, dict):
            return Decision(Answer.error(400, NOT_JSON), "close")
        operation = body.get("operation")
        if operation == "deploy_component":
            return Decision(Answer.error(400, "deploy_component is taken as multipart only"))
        if isinstance(operation, str) and operation not in OPERATIONS:
            return Decision(Answer.error(400, f"Operation '{operation}' not found"))
        refusal = refuse_operation(body, credential)
        return None if refusal is None else Decision(refusal)

    def elsewhere(self, request: RequestWitness) -> Decision | None:
        del request
        return None

    def dress(self, answer: Answer, request: RequestWitness) -> Answer:
        del request
        return answer

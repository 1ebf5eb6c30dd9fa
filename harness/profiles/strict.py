"""The profile `strict`, which refuses every upload that breaks a rule."""

from attrs import define

from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.events import EventStream, success_events
from deploy_relay_kit.harness.profiles.profile import (
    FORBIDDEN,
    NOT_JSON,
    OPERATIONS,
    Credential,
    Decision,
    Profile,
    refuse_credential,
    refuse_operation,
    unknown_operation,
    wants_events,
)
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.requests import UploadWitness
from deploy_relay_kit.harness.witness.wire import UploadReader


@define(eq=False)
class Strict(Profile):
    """A peer that refuses an upload with its first finding, and reads every upload to its end.

    It knows the operations in JSON that a relay needs; it accepts a deploy only as an upload.

    Attributes:
        refuses: whether it refuses uploads with findings. Without, it answers every complete upload
            with a success, so that one broken rule does not hide another.
    """

    refuses: bool = True

    def at_head(self, request: RequestWitness, credential: Credential) -> Decision | None:
        if not isinstance(request, UploadWitness) or credential == "forbidden":
            return None
        # HTTP-01: an upload carries a bearer token.
        refusal = refuse_credential("other scheme" if credential == "password" else credential)
        return None if refusal is None else Decision(refusal)

    def at_file(
        self, upload: UploadWitness, credential: Credential
    ) -> Decision | EventStream | None:
        return Decision(FORBIDDEN) if credential == "forbidden" else None

    def is_ready(self, reader: UploadReader) -> bool:
        return reader.complete

    def at_end(self, upload: UploadWitness, credential: Credential) -> Decision:
        if upload.findings and (self.refuses or not upload.reader.body_complete):
            return Decision(
                Answer.error(400, f"broken on the wire: {upload.findings[0].explained}")
            )
        project = upload.fields.get("project", b"").decode("utf-8", "replace")
        if wants_events(upload):
            return Decision(EventStream(success_events(project)))
        return Decision(Answer(json={"message": f"Successfully deployed: {project}"}))

    def at_body(
        self, request: RequestWitness, body: object, credential: Credential
    ) -> Decision | None:
        if not isinstance(body, dict):
            return Decision(Answer.error(400, NOT_JSON), "close")
        operation = body.get("operation")
        if operation == "deploy_component":
            return Decision(Answer.error(400, "deploy_component is accepted as multipart only"))
        if isinstance(operation, str) and operation not in OPERATIONS:
            return Decision(unknown_operation(operation))
        refusal = refuse_operation(body, credential)
        return None if refusal is None else Decision(refusal)

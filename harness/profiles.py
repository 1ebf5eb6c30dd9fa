"""How a peer of a certain kind answers when no fault says otherwise. Pure.

A profile looks at an upload three times: at its head, when the headers of the file part are in, and
at its end. At the first two it may refuse, at the third it must answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from harness.answers import Answer
from harness.events import EventStream, success

if TYPE_CHECKING:
    from harness.tokens import Credential
    from harness.witness import UploadWitness


@dataclass(frozen=True, slots=True)
class Refusal:
    """An early answer, and what becomes of the rest of the upload (as in `AnswerEarly.then`)."""

    answer: Answer
    then: Literal["drain", "stop", "close"] = "drain"


class Profile(Protocol):
    """How one kind of peer answers uploads."""

    name: str

    def at_head(self, upload: UploadWitness, credential: Credential) -> Refusal | None:
        """Decide before a byte of the body is read."""

    def at_file(self, upload: UploadWitness, credential: Credential) -> Refusal | None:
        """Decide when the fields and the headers of the file part are in."""

    def at_end(self, upload: UploadWitness) -> Answer | EventStream:
        """Answer the whole upload."""


_CREDENTIAL_TEXTS: dict[Credential, str] = {
    "missing": "Must login",
    "other scheme": "Must login",
    "unknown": "invalid token",
    "refresh": "invalid token",
    "expired": "token expired",
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


class Strict:
    """Judges instead of tolerating: an upload that breaks any rule is refused with the finding."""

    name = "strict"

    def at_head(self, upload: UploadWitness, credential: Credential) -> Refusal | None:
        del upload
        text = _CREDENTIAL_TEXTS.get(credential)
        return None if text is None else Refusal(Answer.error(401, text))

    def at_file(self, upload: UploadWitness, credential: Credential) -> Refusal | None:
        del upload
        return Refusal(FORBIDDEN) if credential == "forbidden" else None

    def at_end(self, upload: UploadWitness) -> Answer | EventStream:
        if upload.findings:
            return Answer.error(400, f"broken on the wire: {upload.findings[0]}")
        project = upload.fields.get("project", b"").decode()
        if "text/event-stream" in (upload.header("accept") or ""):
            return EventStream(success(project))
        return Answer(json={"message": f"Successfully deployed: {project}"})


PROFILES: dict[str, Profile] = {profile.name: profile for profile in (Strict(),)}

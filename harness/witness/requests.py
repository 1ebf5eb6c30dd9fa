"""What a peer saw of uploads, mints and other operations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.expectation import differences
from deploy_relay_kit.harness.witness.wire import (
    Field,
    FilePart,
    Finding,
    Framing,
    MessageReader,
    NoFile,
    OperationReader,
    UploadReader,
)
from deploy_relay_kit.harness.witness.wire.finding import MAX_SHOWN, show


@dataclass(slots=True, kw_only=True)
class BodyWitness(RequestWitness):
    """A request whose body is read and judged while it arrives."""

    reader: MessageReader = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether the whole body was received."""
        return self.reader.complete

    @property
    def framing(self) -> Framing:
        return self.reader.framing

    @property
    def findings(self) -> list[Finding]:
        """Every rule that the request broke; of an operation in JSON, rules of HTTP only."""
        return self.reader.findings


@dataclass(slots=True, kw_only=True)
class OperationWitness(BodyWitness):
    """One POST to the operations API that is no upload: an operation in JSON, or meant as one."""

    reader: OperationReader = field(repr=False)


@dataclass(slots=True, kw_only=True)
class MintWitness(OperationWitness):
    """One `create_authentication_tokens` at the operations API, complete or not."""

    body: dict[str, object] = field(default_factory=dict, repr=False)
    """The operation; empty when the body is incomplete or not JSON."""
    token: str | None = field(default=None, repr=False)
    """The issued token; None when the peer issued none."""

    @property
    def username(self) -> str | None:
        """The user name in the body; None without one."""
        name = self.body.get("username")
        return name if isinstance(name, str) else None

    def summary(self) -> str:
        """One line about the mint, and one for each finding; no credential is shown."""
        name = (self.username or "").encode("utf-8", "surrogatepass")
        user = f"user {show(name)}" if len(name) in range(1, MAX_SHOWN + 1) else "no user name"
        password = "with" if "password" in self.body else "without"
        issued = "no token" if self.token is None else "a token"
        line = f"mint: {user}, {password} a password in the body; {issued} issued"
        return "\n".join([line, *(f"finding: {finding}" for finding in self.findings)])


class Fields(dict[str, bytes]):
    """Field values by name; a missing field raises Unseen."""

    def __missing__(self, name: str) -> bytes:
        __tracebackhide__ = True
        raise Unseen(f'no field "{name}" was sent; sent were {", ".join(self) or "none"}')


@dataclass(slots=True, kw_only=True)
class UploadWitness(BodyWitness):
    """One upload, read by the strict reader."""

    reader: UploadReader = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether the whole body was received: closing delimiter and end of the message."""
        return self.reader.body_complete and self.reader.complete

    @property
    def fields(self) -> Fields:
        """Field values by name, in the order of the upload."""
        return Fields((part.name, part.value) for part in self.reader.fields)

    @property
    def field_parts(self) -> list[Field]:
        return self.reader.fields

    @property
    def file(self) -> FilePart:
        """The file part; false without one, and then reading an attribute of it raises Unseen."""
        return self.reader.file or NoFile(part.name for part in self.reader.fields)

    @property
    def received_after_answer(self) -> int:
        """Bytes of the raw body that were read after the answer had begun."""
        at_answer = self.received_at_answer
        return 0 if at_answer is None else self.reader.received - at_answer

    def check(self, request: Mapping[str, Any], payload: bytes | Path) -> None:
        """Compare wire format, head, fields and file with what this upload must carry.

        Args:
            request: the members that must arrive; `operation` may be left out, and `replicated`
                must arrive as `false` whatever is given (FLD-02).
            payload: the bytes of the staged payload, or their file.

        Raises:
            AssertionError: the upload differs; the text has a line for each difference.
        """
        __tracebackhide__ = True
        lines = list(differences(self, request, payload))
        if lines:
            raise AssertionError("\n  ".join(["the upload is not the expected one:", *lines]))

    def summary(self) -> str:
        """One line about the upload, and one for each finding; no value of a field is shown."""
        names = ", ".join(show(part.name.encode()) for part in self.reader.fields) or "none"
        file = "no file part"
        if self.file:
            whole = f"SHA-256 {self.file.sha256[:16]}…" if self.file.complete else "cut"
            file = f"file {self.file.length:,} bytes, {whole}"
        end = "complete" if self.complete else "not complete"
        line = f"upload: fields {names}; {file}; {self.framing.kind}, {end}"
        return "\n".join([line, *(f"finding: {finding}" for finding in self.findings)])

    @property
    def token(self) -> str | None:
        """The bearer token of the upload."""
        scheme, _, token = (self.header("authorization") or "").partition(" ")
        return token if scheme.lower() == "bearer" else None

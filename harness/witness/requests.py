"""What a peer saw of uploads, mints and other operations."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.witness.connections import RequestWitness
from harness.witness.wire import Field, FilePart, Finding, Framing, OperationReader, UploadReader
from harness.witness.wire.finding import show


@dataclass(slots=True, kw_only=True)
class OperationWitness(RequestWitness):
    """One POST to the operations API that is no upload: an operation in JSON, or meant as one."""

    reader: OperationReader = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether the body came whole."""
        return self.reader.complete

    @property
    def framing(self) -> Framing:
        return self.reader.framing

    @property
    def findings(self) -> list[Finding]:
        """What of its framing HTTP forbids."""
        return self.reader.findings


@dataclass(slots=True, kw_only=True)
class MintWitness(OperationWitness):
    """One `create_authentication_tokens` that reached the operations API, whole or not."""

    body: dict[str, object] = field(default_factory=dict, repr=False)
    """The operation; empty when what came is not whole or not JSON."""
    token: str | None = field(default=None, repr=False)
    """The token handed out; None when the peer gave none."""


class Fields(dict[str, bytes]):
    """Field values by name; to ask for one that did not come fails as an assertion does."""

    def __missing__(self, name: str) -> bytes:
        __tracebackhide__ = True
        raise AssertionError(f"no field {name!r} came; there are {', '.join(self) or 'none'}")


@dataclass(slots=True, kw_only=True)
class UploadWitness(RequestWitness):
    """One upload, read by the strict reader while it came."""

    reader: UploadReader = field(repr=False)

    @property
    def findings(self) -> list[Finding]:
        """Every rule of the wire format that this upload broke."""
        return self.reader.findings

    @property
    def complete(self) -> bool:
        """Whether the body came whole: closing delimiter and end of the message."""
        return self.reader.body_complete and self.reader.complete

    @property
    def fields(self) -> Fields:
        """Field values as they came, by name, in order."""
        return Fields((part.name, part.value) for part in self.reader.fields)

    @property
    def field_parts(self) -> list[Field]:
        return self.reader.fields

    @property
    def file(self) -> FilePart | None:
        return self.reader.file

    @property
    def framing(self) -> Framing:
        return self.reader.framing

    @property
    def received_after_answer(self) -> int:
        """Bytes of the raw body that were read after the answer had begun."""
        return (
            0 if self.received_at_answer is None else self.reader.received - self.received_at_answer
        )

    def summary(self) -> str:
        """What came, in a line, and each finding in another; no value of a field is shown."""
        names = ", ".join(show(part.name.encode()) for part in self.reader.fields) or "none"
        file = "no file part"
        if self.file is not None:
            whole = f"SHA-256 {self.file.sha256[:16]}…" if self.file.complete else "not to its end"
            file = f"file {self.file.length:,} bytes, {whole}"
        end = "complete" if self.complete else "not complete"
        lines = [f"upload: fields {names}; {file}; {self.framing.kind}, {end}"]
        return "\n".join([*lines, *(f"finding: {found}" for found in self.findings)])

    @property
    def token(self) -> str | None:
        """The bearer token that came with the upload."""
        scheme, _, token = (self.header("authorization") or "").partition(" ")
        return token if scheme.lower() == "bearer" else None

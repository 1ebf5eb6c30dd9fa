"""How an upload differs from the request and the payload that it must carry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from deploy_relay_kit.harness.witness.wire import Field, FilePart, Finding
from deploy_relay_kit.harness.witness.wire.finding import show

_MEMBERS_OF_ALL = {"operation": "deploy_component"}
_REPLICATED = {"replicated": False}


class Upload(Protocol):
    """What is read of an `UploadWitness`."""

    method: str

    @property
    def complete(self) -> bool: ...
    @property
    def findings(self) -> Sequence[Finding]: ...
    @property
    def token(self) -> str | None: ...
    @property
    def fields(self) -> Mapping[str, bytes]: ...
    @property
    def field_parts(self) -> Sequence[Field]: ...
    @property
    def file(self) -> FilePart: ...


def differences(upload: Upload, request: Mapping[str, Any], payload: bytes | Path) -> Iterator[str]:
    """Each difference in one line, in the order of the upload.

    Args:
        upload: what a peer saw.
        request: the members that must arrive. `operation` is `deploy_component` if left out;
            `replicated` must arrive as `false`, whatever is given (FLD-02).
        payload: the bytes of the staged payload, or their file, which is read in blocks.
    """
    if not isinstance(request, Mapping):
        raise TypeError(f"request must be a mapping of names to values, not {request!r}")
    given: Any = payload  # a test without a type checker may give anything
    if not isinstance(given, (bytes, Path)):
        kind = type(given).__name__
        raise TypeError(f"payload must be bytes or a Path, as in payload.path, not {kind}")
    if not upload.complete:
        yield "the body is not complete"
    for finding in upload.findings:
        yield finding.explained
    if upload.method != "POST":
        yield f"method: expected POST, got {upload.method}"
    if upload.token is None:
        yield "authorization: expected a bearer token, got none"
    yield from _of_fields(upload, {**_MEMBERS_OF_ALL, **request, **_REPLICATED})
    yield from _of_file(upload, payload)


def _of_fields(upload: Upload, expected: Mapping[str, Any]) -> Iterator[str]:
    sent = [part.name for part in upload.field_parts]
    for name in sorted({name for name in sent if sent.count(name) > 1}):
        yield f"field {_named(name)}: sent {sent.count(name)} times"
    for name, value in upload.fields.items():
        if name not in expected:
            yield f"field {_named(name)}: not part of the request"
        elif value != (wanted := _encoded(expected[name])):
            yield f"field {_named(name)}: expected {show(wanted)}, got {show(value)}{_rule(name)}"
    for name in expected:
        if name not in upload.fields:
            missing = show(_encoded(expected[name]))
            yield f"field {_named(name)}: not sent, expected {missing}{_rule(name)}"


def _of_file(upload: Upload, payload: bytes | Path) -> Iterator[str]:
    if not upload.file:
        yield "file: not sent"
        return
    if isinstance(payload, Path):
        with payload.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        length = payload.stat().st_size
    else:
        digest, length = hashlib.sha256(payload).hexdigest(), len(payload)
    if upload.file.length != length:
        yield f"file: expected {length:,} bytes, got {upload.file.length:,}"
    elif upload.file.sha256 != digest:
        yield f"file: expected SHA-256 {digest}, got {upload.file.sha256}"


def _encoded(value: Any) -> bytes:
    """A text as it is, any other value as compact JSON (WIRE-06, WIRE-07)."""
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _rule(name: str) -> str:
    """The requirement of a field that is expected whatever the test gives; empty for others."""
    return " (FLD-02)" if name in _REPLICATED else ""


def _named(name: str) -> str:
    return show(name.encode())

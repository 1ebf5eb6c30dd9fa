"""What a peer answers, and how it can misbehave: frozen, named, exact.

A `FakePeer` takes one of these as its `fault`. Each is proven on the wire, with a raw client, in
`tests/harness/test_faults.py`.
"""

from __future__ import annotations

import json as _json
from dataclasses import dataclass, field
from typing import Any

_UNSET: Any = object()


@dataclass(frozen=True)
class Fault:
    """Anything that a peer can be told to do other than to succeed."""


@dataclass(frozen=True)
class Answer(Fault):
    """Read the whole upload, then answer it so.

    Attributes:
        status: HTTP status code.
        json: the body as a JSON value; leave out to give `body`.
        body: the body as it goes on the wire.
        content_type: sent as Content-Type; None sends none. `json` sets it.
        headers: further header lines, in order.

    """

    status: int = 200
    json: Any = field(default=_UNSET, repr=False)
    body: bytes | str = b""
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def content(self) -> bytes:
        """The bytes of the body."""
        if self.json is not _UNSET:
            return _json.dumps(self.json, separators=(",", ":"), ensure_ascii=False).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body

    @property
    def media_type(self) -> str | None:
        return "application/json" if self.json is not _UNSET else self.content_type

    @classmethod
    def error(cls, status: int, message: str) -> Answer:
        """A refusal in the form that Harper gives it: a JSON object with the text under `error`."""
        return cls(status, json={"error": message})


@dataclass(frozen=True)
class CloseWithoutAnswer(Fault):
    """Read the whole upload, then close the connection with FIN and say nothing."""


@dataclass(frozen=True)
class ResetAfter(Fault):
    """Read exactly this many bytes of the raw body (chunk framing included), then reset."""

    received: int


@dataclass(frozen=True)
class ReadSlowly(Fault):
    """Read the upload at this many bytes per second, then answer as a healthy peer."""

    bytes_per_second: int


@dataclass(frozen=True)
class MintAnswer(Fault):
    """Answer every mint so, whatever the credentials are."""

    answer: Answer


def mint_refused(message: str = "invalid credentials", status: int = 401) -> MintAnswer:
    """The mint is refused with an error text of Harper's (MINT-11, MINT-12)."""
    return MintAnswer(Answer.error(status, message))


def mint_without_token() -> MintAnswer:
    """The mint succeeds, but its answer holds no `operation_token` (MINT-03)."""
    return MintAnswer(Answer(json={"refresh_token": "not-what-was-asked-for"}))

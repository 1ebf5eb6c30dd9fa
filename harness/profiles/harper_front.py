"""The layers before Harper's operations API, which refuse a request by its head alone. Pure."""

from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.profiles.layers import (
    EarlyAnswer,
    FrameworkAnswer,
    ParserAnswer,
    ServerAnswer,
)
from deploy_relay_kit.harness.profiles.profile import (
    Credential,
    Decision,
    refuse_credential,
    wants_events,
)
from deploy_relay_kit.harness.witness.connections import RequestWitness

_HEAD_BYTES = 16 * 1024  # the default of Node
CBOR = "application/cbor"
_WRONG: frozenset[Credential] = frozenset(("unknown", "wrong password", "not base64"))
"""Refused by the authentication layer; the operations API refuses the others (MINT-13)."""


def refuse_head(request: RequestWitness) -> Decision | None:
    """A refusal of the HTTP server, for any path and credential."""
    if len(request.raw_head) > _HEAD_BYTES:
        return Decision(ParserAnswer(431), "close")
    lengths = (request.header("content-length"), request.header("transfer-encoding"))
    if None not in lengths:
        return Decision(ParserAnswer(400), "close")
    is_newest = request.raw_head.partition(b"\n")[0].rstrip().endswith(b"HTTP/1.1")
    if is_newest and request.header("host") is None:
        return Decision(ServerAnswer(400), "close")
    expected = request.header("expect")
    if expected is not None and expected.lower() != "100-continue":
        return Decision(ServerAnswer(417))
    return None


def refuse_early(request: RequestWitness, credential: Credential) -> Decision | None:
    """A refusal of the authentication layer."""
    refusal = refuse_credential(credential) if credential in _WRONG else None
    if refusal is None:
        return None
    body = framed(refusal.content) if wants_events(request) else refusal.content
    return Decision(EarlyAnswer(refusal.status, body=body))


def content_type(request: RequestWitness) -> tuple[str, str]:
    """The media type in lower case, and its parameters."""
    media_type, _, parameters = (request.header("content-type") or "").partition(";")
    return media_type.strip().lower(), parameters


def has_body(request: RequestWitness) -> bool:
    length = request.header("content-length")
    return request.header("transfer-encoding") is not None or length not in (None, "0")


def framed(content: bytes) -> bytes:
    """A JSON answer to a client that asked for events: one nameless event."""
    return b"data: " + content + b"\n\n"


def framework_error(message: str, request: RequestWitness, *, hangs_up: bool = False) -> Decision:
    """A refusal of the framework, in its own form."""
    answer = Answer(json={"statusCode": 400, "error": "Bad Request", "message": message})
    return Decision(
        FrameworkAnswer(
            400,
            body=answer.content,
            content_type="application/json; charset=utf-8",
            origin=request.header("origin"),
            hangs_up=hangs_up,
        )
    )

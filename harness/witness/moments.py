"""The things that can happen at a peer, each with its place in an exchange and its text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from deploy_relay_kit.harness.witness.clock import now


class Part(Enum):
    """The part of an exchange that a moment belongs to, with the title of a legend."""

    CONNECTION = "connection and handshake"
    REQUEST = "what the relay sends"
    ANSWER = "what the peer answers"
    END = "end of the connection, and which side ended it"
    OTHER = "anything else"


class MomentKind(Enum):
    """What happened. `text` has a place for each value in the data of its moments."""

    ACCEPTED = Part.CONNECTION, "accepted from {client}"
    CLIENT_HELLO = Part.CONNECTION, "ClientHello read ({size} bytes)"
    HANDSHAKE_DONE = Part.CONNECTION, "{version} handshake done, {sni}"
    HANDSHAKE_FAILED = Part.CONNECTION, "TLS handshake failed: {reason}"
    ALERT_SENT = Part.CONNECTION, "TLS alert sent: {name}"
    ALERT_RECEIVED = Part.CONNECTION, "TLS alert received: {name}"
    HEAD = Part.REQUEST, "request head: {method} {target} ({size} bytes)"
    NOT_FOUND = Part.OTHER, "404: this peer serves {serves}, the request was {target}"
    HEAD_MALFORMED = Part.OTHER, "malformed request head: {problem}"
    HEAD_CUT = Part.OTHER, "closed after {size} bytes of a request head"
    BODY = Part.REQUEST, "first bytes of the body"
    FILE = Part.REQUEST, "the file part begins"
    BODY_END = Part.REQUEST, "end of the body ({size} bytes with framing)"
    READ_LIMIT = Part.OTHER, "read exactly {size} bytes of the body"
    STOPPED_READING = Part.OTHER, "stops reading"
    LOST = Part.OTHER, "loses the connection without a word; the next bytes are reset"
    SLOW_CLOSE = Part.OTHER, "closes only after {seconds:g} s"
    SILENT = Part.OTHER, "from now on, reads and sends nothing"
    HELD_OPEN = Part.OTHER, "reads no more, and keeps the connection without a reset"
    TIMED_OUT = Part.OTHER, "gave up: {purpose} took more than {seconds:g} s"
    CONTINUE = Part.OTHER, "100 Continue sent"
    ANSWER = Part.ANSWER, "answer begins: {line}"
    ANSWER_END = Part.ANSWER, "answer sent ({size} bytes)"
    ANSWER_QUOTED = Part.ANSWER, "answer sent ({size} bytes): {quote}"
    CLOSED = Part.END, "closed by the {by} with {how}"
    # On a replication socket.
    UPGRADED = Part.ANSWER, "upgraded to a WebSocket"
    MESSAGE_RECEIVED = Part.REQUEST, "message received: {message}"
    MESSAGE_SENT = Part.ANSWER, "message sent: {message}"
    FRAME_BEGUN = Part.ANSWER, "a frame of {size} bytes begins"
    PING_SENT = Part.OTHER, "ping sent"
    PING_RECEIVED = Part.OTHER, "ping received, pong sent"
    PONG_RECEIVED = Part.OTHER, "pong received"
    NOT_ANSWERED = Part.OTHER, "the request is not answered, as the fault says"
    CLIENT_SILENT = Part.OTHER, "the client was silent for {seconds:g} s"
    CLOSE_SENT = Part.END, "close frame of the peer: {code} {reason}"
    CLOSE_RECEIVED = Part.END, "close frame of the client: {code} {reason}"
    AFTER_CLOSE = Part.OTHER, "after the close frame: {problem}"
    SOCKET_ENDED = Part.END, "ended: {reason}"

    def __init__(self, part: Part, text: str) -> None:
        self.part = part
        self.text = text


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened at a peer.

    Attributes:
        kind: what it was.
        data: the values for the text of the kind.
        at: seconds of `time.monotonic`.
    """

    kind: MomentKind
    data: Mapping[str, Any] = field(default_factory=dict)
    at: float = field(default_factory=now)

    def __str__(self) -> str:
        return self.kind.text.format_map(self.data).rstrip()

"""How a replication socket can misbehave in a mint: frozen, named, each proven on the wire.

A fault of an answer knows the messages that it sends; what else there is to do is done by
`harness.replication.conversation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from harness.faults import checks
from harness.faults.answers import End
from harness.faults.kinds import CertificateFlaw
from harness.replication.frames import OTHER_CODES, pack, response, response_before_padding

Issue = Callable[[], dict[str, Any]]
"""Mints one more pair of tokens: `operation_token` and `refresh_token` (MINT-04)."""
Messages = Iterator[bytes]
_LARGEST = (1 << 32) - 1  # of a msgpack bin
_LONGEST_REASON = 123  # bytes in a close frame (WS-05)

# -- the connection ------------------------------------------------------------------------------


@dataclass(frozen=True)
class UpgradeRefused:
    """Answer the upgrade with an HTTP status instead of 101."""

    status: int = 503

    def __post_init__(self) -> None:
        checks.status(self.status)


@dataclass(frozen=True)
class UpgradeHangs:
    """Read the upgrade and never answer it."""


@dataclass(frozen=True)
class Subprotocol:
    """Accept the upgrade, naming another subprotocol in the answer, or none (WS-03)."""

    echo: str | None = None


@dataclass(frozen=True)
class WrongAccept:
    """Accept the upgrade like a cache that has not read the client's key (RFC 6455 section 4.1)."""


@dataclass(frozen=True)
class Unauthorized:
    """Close with 1008: before any message, or upon the first one as Harper does (WS-05)."""

    when: Literal["at once", "first message"] = "first message"
    reason: str = "Unauthorized"

    def __post_init__(self) -> None:
        checks.word("when", self.when, ("at once", "first message"))
        if len(self.reason.encode()) > _LONGEST_REASON:
            raise ValueError(f"reason {self.reason!r}: give at most {_LONGEST_REASON} bytes")


@dataclass(frozen=True)
class Dropped:
    """End the TCP connection without a close frame.

    Attributes:
        at: `upgrade` right behind the 101, `request` when the request has been read, `answer` in
            the middle of the frame of the answer.
        how: `End.RESET` or `End.CLOSE`.

    """

    at: Literal["upgrade", "request", "answer"] = "request"
    how: Literal[End.RESET, End.CLOSE] = End.RESET

    def __post_init__(self) -> None:
        checks.word("at", self.at, ("upgrade", "request", "answer"))
        checks.word("how", self.how, (End.RESET, End.CLOSE))


# -- time ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoAnswer:
    """Read the request, answer every ping, and never the request."""


@dataclass(frozen=True)
class LateAnswer:
    """Work long on the request, and end a connection that is silent meanwhile (WS-19, BUG-17).

    Attributes:
        after_pings: answer when so many pings have come behind the request,
        after_seconds: and so many seconds have passed.
        silence_limit: seconds without a frame of the client after which the connection is ended
            without a close frame, so that the client sees 1006.

    """

    after_pings: int = 1
    after_seconds: float = 0.0
    silence_limit: float = 5.0

    def __post_init__(self) -> None:
        checks.whole("after_pings", self.after_pings, least=0)
        checks.number("after_seconds", self.after_seconds)
        checks.number("silence_limit", self.silence_limit, above=0)


# -- the answer ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ErrorAnswer:
    """The operation fails with this text (WS-12)."""

    error: str = "ClientError: invalid credentials"

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        del issue
        yield response(request_id, {"error": self.error})


@dataclass(frozen=True)
class UnknownRequestId:
    """Answer a request that nobody made, with a token of its own (WS-17); then perhaps the real."""

    then_answer: bool = True

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        # A number that no counter of one connection reaches, and that fits any width of integer.
        yield response(request_id + 1_000_000, issue())
        if self.then_answer:
            yield response(request_id, issue())


@dataclass(frozen=True)
class WithoutToken:
    """The answer holds no `operation_token` (MINT-03)."""

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        yield response(request_id, {"refresh_token": issue()["refresh_token"]})


@dataclass(frozen=True)
class WithToken:
    """The answer holds this in the place of the token (MINT-03): a number, an empty text, a map."""

    token: Any

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        del issue
        yield response(request_id, {"operation_token": self.token})


@dataclass(frozen=True)
class NestedToken:
    """The token stands inside `results` (MINT-02): odd, but right."""

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        yield response(request_id, {"results": issue()})


@dataclass(frozen=True)
class ListAnswer:
    """The tokens come as the only item of a list, which stands under `results` (WS-11)."""

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        yield response(request_id, {"results": [issue()]})


@dataclass(frozen=True)
class WideMaps:
    """Answer rightly, with maps encoded as map16 like Harper's own (WS-09)."""

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        yield response(request_id, issue(), map16=True)


@dataclass(frozen=True)
class OthersFirst:
    """Answer rightly, behind messages that are not for whoever mints (WS-13, WS-15).

    Attributes:
        codes: one message each.
        data: then one message of replication data, which begins with a byte under 128 (WS-08).

    """

    codes: tuple[int, ...] = OTHER_CODES
    data: bytes = b"\x00replication data"

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        for code in self.codes:
            yield pack([code, {"operation_token": "not a token of anybody's"}])
        yield self.data
        yield response(request_id, issue())


@dataclass(frozen=True)
class Garbage:
    """Send a message that is not msgpack, and nothing else."""

    message: bytes = b"\xc1 never a msgpack value"

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        del request_id, issue
        yield self.message


@dataclass(frozen=True)
class Fragments:
    """Answer rightly, the message split into frames of so many bytes (RFC 6455 §5.4)."""

    size: int = 100

    def __post_init__(self) -> None:
        checks.whole("size", self.size, least=1)


@dataclass(frozen=True)
class PingFirst:
    """Ping once the request has come, and then answer rightly, pong or not."""

    data: bytes = b"are you there?"

    def __post_init__(self) -> None:
        checks.whole("bytes of data", len(self.data), least=0, most=125)


@dataclass(frozen=True)
class HugeAnswer:
    """A right answer with this many bytes of padding in one frame; nobody holds it in memory."""

    padding: int

    def __post_init__(self) -> None:
        checks.whole("padding", self.padding, least=0, most=_LARGEST)

    def before_padding(self, request_id: Any, issue: Issue) -> bytes:
        """The message up to its padding."""
        return response_before_padding(request_id, issue(), self.padding)


AnswerFault = (
    ErrorAnswer
    | UnknownRequestId
    | WithoutToken
    | WithToken
    | NestedToken
    | ListAnswer
    | WideMaps
    | OthersFirst
    | Garbage
)
ReplicationFault = (
    CertificateFlaw
    | UpgradeRefused
    | UpgradeHangs
    | Subprotocol
    | WrongAccept
    | Unauthorized
    | Dropped
    | NoAnswer
    | LateAnswer
    | AnswerFault
    | Fragments
    | PingFirst
    | HugeAnswer
)

"""How a replication socket can misbehave in a mint.

A fault of the answer knows the messages that it sends; `harness.replication.conversation` shows
every other fault.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Literal

from attrs import field, frozen
from attrs.validators import optional

from deploy_relay_kit.harness.faults.answers import End
from deploy_relay_kit.harness.faults.checks import (
    check_bool,
    check_bytes,
    check_choice,
    check_each,
    check_function,
    check_int,
    check_json,
    check_line,
    check_number,
    check_size,
    check_status,
    check_text,
)
from deploy_relay_kit.harness.faults.kinds import CertificateFlaw, SocketFault
from deploy_relay_kit.harness.replication.frames import OTHER_CODES, pack, response

Issue = Callable[[], dict[str, Any]]
"""Mints a pair of tokens: `operation_token` and `refresh_token` (MINT-04)."""
Messages = Iterator[bytes]
When = Literal["at once", "first message"]
DropPlace = Literal["upgrade", "request", "answer"]
DropEnd = Literal[End.RESET, End.CLOSE]
_LARGEST = (1 << 32) - 1  # of a msgpack bin

# -- the connection ------------------------------------------------------------------------------


@frozen
class UpgradeRefused(SocketFault):
    """Answer the upgrade with an HTTP status instead of 101.

    Attributes:
        status: of the answer.
        location: URL in its header `Location`; empty without the header.
    """

    status: int = field(default=503, validator=check_status)
    location: str = field(default="", validator=check_line)


@frozen
class UpgradeHangs(SocketFault):
    """Read the upgrade and never answer it."""


@frozen
class Subprotocol(SocketFault):
    """Accept the upgrade with another subprotocol in the answer, or none (WS-03)."""

    echo: str | None = field(default=None, validator=optional(check_line))


@frozen
class WrongAccept(SocketFault):
    """Accept the upgrade with the accept key of another client (RFC 6455 section 4.1)."""


@frozen
class RawUpgrade(SocketFault):
    """Accept the upgrade with these bytes, a head and what follows it.

    Attributes:
        head: makes the bytes of the accept key and the subprotocol.
    """

    head: Callable[[str, str], bytes] = field(validator=check_function)


@frozen
class Unauthorized(SocketFault):
    """Close with 1008 at once, or upon the first message as Harper does (WS-05)."""

    when: When = field(default="first message", validator=check_choice(When))
    reason: str = field(default="Unauthorized", validator=check_size(123))  # WS-05


@frozen
class Dropped(SocketFault):
    """End the TCP connection without a close frame.

    Attributes:
        at: `upgrade` after the 101, `request` after the request, `answer` in the middle of the
            frame of the answer.
        how: `End.RESET` or `End.CLOSE`.
    """

    at: DropPlace = field(default="request", validator=check_choice(DropPlace))
    how: DropEnd = field(default=End.RESET, validator=check_choice(DropEnd))


# -- time ----------------------------------------------------------------------------------------


@frozen
class NoAnswer(SocketFault):
    """Answer every ping and never the request."""


@frozen
class LateAnswer(SocketFault):
    """Answer late, and end a connection on which the client is silent (WS-19, BUG-17).

    Attributes:
        after_pings: answer after this many pings that follow the request,
        after_seconds: and after this many seconds.
        silence_limit: after this many seconds without a frame of the client, end the connection
            without a close frame; the client sees 1006.
    """

    after_pings: int = field(default=1, validator=check_int(least=0))
    after_seconds: float = field(default=0.0, validator=check_number())
    silence_limit: float = field(default=5.0, validator=check_number(above=0))


# -- the answer ----------------------------------------------------------------------------------


class AnswerFault(SocketFault, ABC):
    """A fault of the answer, or an unusual right answer."""

    @abstractmethod
    def messages(self, request_id: Any, issue: Issue) -> Messages:
        """The messages that answer a request."""


@frozen
class ErrorAnswer(AnswerFault):
    """Answer that the operation failed, with this text (WS-12)."""

    error: str = field(default="ClientError: invalid credentials", validator=check_text)

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        yield response(request_id, {"error": self.error})


@frozen
class UnknownRequestId(AnswerFault):
    """Answer with an id that the client did not send (WS-17), then perhaps with the right id."""

    then_answer: bool = field(default=True, validator=check_bool)

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        # No counter of one connection reaches this number, and it fits any width of integer.
        yield response(request_id + 1_000_000, issue())
        if self.then_answer:
            yield response(request_id, issue())


@frozen
class WithoutToken(AnswerFault):
    """Answer without an `operation_token` (MINT-03)."""

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        yield response(request_id, {"refresh_token": issue()["refresh_token"]})


@frozen
class WithToken(AnswerFault):
    """Answer with this value as the token (MINT-03): a number, an empty text, a map."""

    token: Any = field(validator=check_json | check_bytes)

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        yield response(request_id, {"operation_token": self.token})


@frozen
class NestedToken(AnswerFault):
    """Answer with the token inside `results` (MINT-02); a relay must accept it."""

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        yield response(request_id, {"results": issue()})


@frozen
class ListAnswer(AnswerFault):
    """Answer with the tokens as the only item of a list under `results` (WS-11)."""

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        yield response(request_id, {"results": [issue()]})


@frozen
class WideMaps(AnswerFault):
    """Answer with maps encoded as map16, like Harper (WS-09); a relay must accept it."""

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        yield response(request_id, issue(), map16=True)


@frozen
class OthersFirst(AnswerFault):
    """Send other messages before the answer; a relay must skip them (WS-13, WS-15).

    Attributes:
        codes: one message for each of these codes.
        data: then a message of replication data, which begins with a byte under 128 (WS-08).
    """

    codes: tuple[int, ...] = field(
        default=OTHER_CODES, validator=check_each(check_int(least=0), "a tuple of integers")
    )
    data: bytes = field(default=b"\x00replication data", validator=check_bytes)

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        for code in self.codes:
            yield pack([code, {"operation_token": "not a token of anybody's"}])
        yield self.data
        yield response(request_id, issue())


@frozen
class Garbage(AnswerFault):
    """Send only a message that is not msgpack."""

    message: bytes = field(default=b"\xc1 never a msgpack value", validator=check_bytes)

    def messages(self, request_id: Any, issue: Issue) -> Messages:
        yield self.message


@frozen
class Fragments(SocketFault):
    """Answer in frames of this many bytes (RFC 6455 section 5.4); a relay must join them."""

    size: int = field(default=100, validator=check_int(least=1))


@frozen
class PingFirst(SocketFault):
    """Send a ping after the request, and then the answer, with or without a pong."""

    data: bytes = field(default=b"are you there?", validator=check_size(125))


@frozen
class RawFrames(SocketFault):
    """Answer with these bytes, frames of a WebSocket and what is between them.

    Attributes:
        frames: makes the bytes of the id of the request and the pair of tokens.
    """

    frames: Callable[[Any, dict[str, Any]], bytes] = field(validator=check_function)


@frozen
class Repeated(SocketFault):
    """Send these bytes of frames twenty times a second, for 20 s, and never the answer."""

    frames: bytes = field(validator=check_bytes)


@frozen
class HugeAnswer(SocketFault):
    """Answer in one frame with this many bytes of padding; the peer does not hold it in memory."""

    padding: int = field(validator=check_int(least=0, most=_LARGEST))


ReplicationFault = SocketFault | CertificateFlaw

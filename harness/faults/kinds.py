"""Faults: how a peer misbehaves.

A `FakePeer` takes one fault, or a tuple of faults that concern different things. Every
`CertificateFlaw`, and every answer in `harness.faults.answers`, is also a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import UnionType
from typing import Literal, get_args

from attrs import field, frozen
from attrs.validators import optional

from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.broken_answers import AnyAnswer
from deploy_relay_kit.harness.faults.checks import (
    Check,
    check_choice,
    check_function,
    check_int,
    check_number,
    check_type,
)
from deploy_relay_kit.harness.faults.events import EventStream

TlsVersion = Literal["1.2", "1.3"]
Place = Literal["head", "file"]
Rest = Literal["drain", "stop", "close", "grace"]


class CertificateFlaw(Enum):
    """How the certificate of a peer is wrong; it is otherwise valid."""

    WRONG_AUTHORITY = "wrong-authority"
    """Signed by an authority outside the cluster."""
    EXPIRED = "expired"
    """Valid until yesterday."""
    NOT_YET_VALID = "not-yet-valid"
    """Valid from tomorrow."""
    WRONG_HOST = "wrong-host"
    """For another host name."""
    WRONG_ADDRESS = "wrong-address"
    """For another IP address."""
    MISSING_INTERMEDIATE = "missing-intermediate"
    """Signed by an intermediate authority that the peer does not send."""
    SELF_SIGNED = "self-signed"
    """Signed by its own key."""


class SocketFault:
    """A fault of a replication socket; see `harness.replication.faults`."""


# -- connections ---------------------------------------------------------------------------------


@frozen
class Refuse:
    """Refuse every connection: the port is bound, and nothing listens."""


@frozen
class SilentAfterAccept:
    """Accept every connection, and read and send nothing."""


@frozen
class ResetAtAccept:
    """Accept every connection and reset it at once."""


# -- TLS handshakes ------------------------------------------------------------------------------


@frozen
class HangInHandshake:
    """Read the ClientHello and never answer it."""


@frozen
class CloseInHandshake:
    """Read the ClientHello and close with FIN."""


@frozen
class TlsOnly:
    """Speak only this version of TLS."""

    version: TlsVersion = field(validator=check_choice(TlsVersion))


@frozen
class ClientCertificateRequired:
    """Refuse clients without a certificate of the cluster's authority."""


# -- uploads -------------------------------------------------------------------------------------


@frozen
class ResetAfter:
    """Read exactly this many bytes of the raw body (with chunk framing), then reset."""

    received: int = field(validator=check_int(least=0))


@frozen
class StopReadingAfter:
    """Read exactly this many bytes of the raw body, then stop reading.

    Attributes:
        received: bytes, with chunk framing.
        until: None never reads again. The peer calls a function in the thread of the connection:
            when it returns, the peer continues like a healthy peer; when it raises TimeoutError,
            the peer resets the connection. Give it a limit.
    """

    received: int = field(validator=check_int(least=0))
    until: Callable[[], object] | None = field(default=None, validator=optional(check_function))


@frozen
class ReadSlowly:
    """Read the upload at this many bytes per second, then answer like a healthy peer."""

    bytes_per_second: int = field(validator=check_int(least=1))


@frozen
class CloseWithoutAnswer:
    """Read the whole upload, then close the connection with FIN instead of an answer."""


@frozen
class AnswerEarly:
    """Send the final answer before the end of the upload (EARLY-01 to EARLY-07).

    Attributes:
        answer: the answer.
        at: `head` before the body, `file` after the headers of the file part (where Harper
            decides), or after exactly this many bytes of the raw body.
        then: `drain` reads the rest and discards it; `stop` never reads again; `close` sends FIN
            at once, leaves the rest unread, and resets only after the client hangs up or after the
            peer's timeout; `grace` drains for `grace` seconds, then resets. A client that sends
            `Connection: close` gets `close` in every case.
        grace: seconds.
    """

    answer: AnyAnswer | EventStream = field(validator=check_type(AnyAnswer | EventStream))
    at: Place | int = field(default="file", validator=check_choice(Place) | check_int(least=0))
    then: Rest = field(default="drain", validator=check_choice(Rest))
    grace: float = field(default=1.0, validator=check_number())


# -- mints and tokens ----------------------------------------------------------------------------


@frozen
class MintAnswer:
    """Answer every mint with this, whatever the credentials are."""

    answer: AnyAnswer = field(validator=check_type(AnyAnswer))


@frozen
class MintHangs:
    """Read the mint and never answer it."""


@frozen
class MintDropped:
    """Read the mint and close the connection without an answer."""


@frozen
class MintNested:
    """Answer the mint with the token inside `results` (MINT-02); a relay must accept it."""


@frozen
class MintForAnotherUser:
    """Mint tokens of a user who may not deploy: the upload is refused with 403 (DEP-01)."""


@frozen
class TokensExpire:
    """This many tokens, from the first one, are expired when they are used (MINT-12, MINT-13)."""

    first: int = field(default=1, validator=check_int(least=1))


def mint_refused(message: str = "invalid credentials", status: int = 401) -> MintAnswer:
    """Refuse the mint with an error text of Harper (MINT-11, MINT-12)."""
    return MintAnswer(Answer.error(status, message))


def mint_without_token() -> MintAnswer:
    """Answer the mint with a success without an `operation_token` (MINT-03)."""
    return MintAnswer(Answer(json={"refresh_token": "not-what-was-asked-for"}))


def mint_with_token(token: object) -> MintAnswer:
    """Answer the mint with this value as its token: a number, null, an object."""
    return MintAnswer(Answer(json={"operation_token": token}))


# -- sequences -----------------------------------------------------------------------------------


def _are_turns(turns: tuple[object, ...]) -> bool:
    groups = {group_of(turn) for turn in turns if turn is not None}
    return len(groups) == 1 and groups <= set(get_args(TurnGroup)) and Refuse() not in turns


@frozen
class InTurn:
    """Show one fault after the other, then repeat the last one; None is a healthy turn.

    All turns are faults of uploads, or all of mints, or all of accepted connections. Each upload,
    mint or connection takes one turn; setting the peer's fault starts again.
    """

    turns: tuple[OneFault | None, ...] = field(
        validator=Check(
            _are_turns,
            "faults of uploads, or of mints, or of accepted connections, with None for a healthy "
            "turn",
        )
    )

    @property
    def group(self) -> Group:
        """What the faults concern."""
        group = next(group_of(turn) for turn in self.turns if turn is not None)
        assert group is not None
        return group


def in_turn(*turns: OneFault | None) -> InTurn:
    """One fault after the other; the last turn repeats for all later uploads.

    `in_turn(Answer(503), None)`: the first upload fails, the later ones succeed.
    """
    return InTurn(turns)


ConnectionFault = Refuse | SilentAfterAccept | ResetAtAccept | HangInHandshake | CloseInHandshake
OneUploadFault = (
    AnyAnswer
    | EventStream
    | ResetAfter
    | StopReadingAfter
    | ReadSlowly
    | CloseWithoutAnswer
    | AnswerEarly
)
MintFault = MintAnswer | MintHangs | MintDropped | MintNested | MintForAnotherUser | TokensExpire
OneFault = (
    ConnectionFault
    | TlsOnly
    | ClientCertificateRequired
    | CertificateFlaw
    | OneUploadFault
    | MintFault
)
Fault = OneFault | InTurn

TurnGroup = Literal["connection", "upload", "mint"]
Group = TurnGroup | Literal["version of TLS", "client certificate", "certificate"]
"""What a fault concerns; a peer shows at most one fault of each group."""
_GROUPS: dict[Group, type | UnionType] = {
    "connection": ConnectionFault,
    "version of TLS": TlsOnly,
    "client certificate": ClientCertificateRequired,
    "certificate": CertificateFlaw,
    "upload": OneUploadFault,
    "mint": MintFault,
}
READ_AT_START = (Refuse, TlsOnly, ClientCertificateRequired, CertificateFlaw)
"""Faults that a running peer cannot begin to show."""


def group_of(fault: object) -> Group | None:
    """The group of a fault; None for an object that is not a fault of a peer."""
    if isinstance(fault, InTurn):
        return fault.group
    return next((group for group, kinds in _GROUPS.items() if isinstance(fault, kinds)), None)

"""How a peer can misbehave: frozen, named, exact. Each is proven on the wire by a raw client.

A `FakePeer` takes one of these as its `fault`, or a tuple of several that do not contradict each
other. A `CertificateFlaw` and every kind of answer in `harness.faults.answers` is a fault too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal, get_args

from harness.faults import checks
from harness.faults.answers import Answer, AnyAnswer
from harness.faults.events import EventStream

TlsVersion = Literal["1.2", "1.3"]


class CertificateFlaw(Enum):
    """What is wrong with the certificate that a peer shows."""

    WRONG_AUTHORITY = "wrong-authority"
    """Right in all else, but signed by an authority outside the cluster."""
    EXPIRED = "expired"
    """Its validity ended yesterday."""
    NOT_YET_VALID = "not-yet-valid"
    """Its validity begins tomorrow."""
    WRONG_HOST = "wrong-host"
    """It names another host."""
    WRONG_ADDRESS = "wrong-address"
    """It names another IP address."""
    MISSING_INTERMEDIATE = "missing-intermediate"
    """Signed by an intermediate authority that the peer forgets to send."""
    SELF_SIGNED = "self-signed"
    """Signed by its own key."""


# -- before there is a connection ----------------------------------------------------------------


@dataclass(frozen=True)
class Refuse:
    """Refuse every connection: the port is taken, and nobody listens."""


@dataclass(frozen=True)
class SilentAfterAccept:
    """Accept every connection and never read or send a byte."""


@dataclass(frozen=True)
class ResetAtAccept:
    """Accept every connection and reset it at once."""


# -- in the TLS handshake ------------------------------------------------------------------------


@dataclass(frozen=True)
class HangInHandshake:
    """Read the ClientHello and never answer it."""


@dataclass(frozen=True)
class CloseInHandshake:
    """Read the ClientHello and close with FIN."""


@dataclass(frozen=True)
class TlsOnly:
    """Speak this version of TLS and no other."""

    version: TlsVersion

    def __post_init__(self) -> None:
        checks.word("version", self.version, get_args(TlsVersion))


@dataclass(frozen=True)
class ClientCertificateRequired:
    """Refuse clients that show no certificate of the cluster's authority."""


# -- during an upload ----------------------------------------------------------------------------


@dataclass(frozen=True)
class ResetAfter:
    """Read exactly this many bytes of the raw body (chunk framing included), then reset."""

    received: int

    def __post_init__(self) -> None:
        checks.whole("received", self.received, least=0)


@dataclass(frozen=True)
class StopReadingAfter:
    """Read exactly this many bytes of the raw body, and then nothing more, for good.

    Attributes:
        received: bytes, chunk framing included.
        until: called then, in the thread of the connection: the peer goes on as a healthy one when
            it returns, and resets the connection when it raises TimeoutError. Give it a limit.

    """

    received: int
    until: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        checks.whole("received", self.received, least=0)
        if self.until is not None:
            checks.function("until", self.until)


@dataclass(frozen=True)
class ReadSlowly:
    """Read the upload at this many bytes per second, evenly, then answer as a healthy peer."""

    bytes_per_second: int

    def __post_init__(self) -> None:
        checks.whole("bytes_per_second", self.bytes_per_second, least=1)


@dataclass(frozen=True)
class CloseWithoutAnswer:
    """Read the whole upload, then close the connection with FIN and say nothing."""


@dataclass(frozen=True)
class AnswerEarly:
    """Give the final answer before the upload has ended (EARLY-01…07).

    Attributes:
        answer: what is answered.
        at: `head` before a byte of the body is read, `file` when the headers of the file part are
            in (where Harper decides), or after exactly so many bytes of the raw body.
        then: `drain` reads the rest and throws it away; `stop` never reads again; `close` sends FIN
            at once and leaves the rest unread, without a reset before the client has hung up or
            the peer's timeout is over; `grace` drains for `grace` seconds, then resets. To a client
            that asks for `Connection: close`, each of them is `close`.
        grace: seconds.

    """

    answer: AnyAnswer | EventStream
    at: Literal["head", "file"] | int = "file"
    then: Literal["drain", "stop", "close", "grace"] = "drain"
    grace: float = 1.0

    def __post_init__(self) -> None:
        checks.kind("answer", self.answer, (*get_args(AnyAnswer), EventStream))
        if self.at not in ("head", "file"):
            checks.whole("at", self.at, least=0)
        checks.word("then", self.then, ("drain", "stop", "close", "grace"))
        checks.number("grace", self.grace)


# -- when a token is minted or used --------------------------------------------------------------


@dataclass(frozen=True)
class MintAnswer:
    """Answer every mint so, whatever the credentials are."""

    answer: AnyAnswer

    def __post_init__(self) -> None:
        checks.kind("answer", self.answer, get_args(AnyAnswer))


@dataclass(frozen=True)
class MintHangs:
    """Read the mint and never answer it."""


@dataclass(frozen=True)
class MintDropped:
    """Read the mint and close the connection without an answer."""


@dataclass(frozen=True)
class MintNested:
    """Answer the mint with the token inside `results` (MINT-02): odd, but right."""


@dataclass(frozen=True)
class MintForAnotherUser:
    """Mint tokens of a user who may not deploy: the upload is refused with 403 (DEP-01)."""


@dataclass(frozen=True)
class TokensExpire:
    """The first so many tokens have expired by the time they are used (MINT-12, MINT-13)."""

    first: int = 1

    def __post_init__(self) -> None:
        checks.whole("first", self.first, least=1)


def mint_refused(message: str = "invalid credentials", status: int = 401) -> MintAnswer:
    """The mint is refused with an error text of Harper's (MINT-11, MINT-12)."""
    return MintAnswer(Answer.error(status, message))


def mint_without_token() -> MintAnswer:
    """The mint succeeds, but its answer holds no `operation_token` (MINT-03)."""
    return MintAnswer(Answer(json={"refresh_token": "not-what-was-asked-for"}))


def mint_with_token(token: object) -> MintAnswer:
    """The mint succeeds, but with this in the place of the token: a number, null, an object."""
    return MintAnswer(Answer(json={"operation_token": token}))


# -- one after the other -------------------------------------------------------------------------


@dataclass(frozen=True)
class InTurn:
    """Show one fault after the other, and the last one from then on; None is a healthy turn.

    All turns are faults of uploads, or all of mints, or all of connections: there is a turn for
    each upload, each mint or each accepted connection since the peer was given this fault.
    """

    turns: tuple[OneFault | None, ...]

    def __post_init__(self) -> None:
        groups = {group_of(turn) for turn in self.turns if turn is not None}
        if len(groups) != 1 or not groups <= set(get_args(TurnGroup)) or Refuse() in self.turns:
            raise ValueError(
                f"turns {self.turns!r}: give faults of uploads, or of mints, or of accepted "
                "connections, and None for healthy turns"
            )

    @property
    def group(self) -> Group:
        """What takes turns."""
        group = next(group_of(turn) for turn in self.turns if turn is not None)
        assert group is not None
        return group


def in_turn(*turns: OneFault | None) -> InTurn:
    """`in_turn(Answer(503), None)`: the first upload fails, the later ones succeed."""
    return InTurn(turns)


ConnectFault = Refuse | SilentAfterAccept | ResetAtAccept
TlsFault = (
    HangInHandshake | CloseInHandshake | TlsOnly | ClientCertificateRequired | CertificateFlaw
)
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
OneFault = ConnectFault | TlsFault | OneUploadFault | MintFault
Fault = OneFault | InTurn

TurnGroup = Literal["connection", "upload", "mint"]
Group = TurnGroup | Literal["version of TLS", "client certificate", "certificate"]
"""Of the faults that concern the same thing, a peer shows one."""
_GROUPS: dict[Group, tuple[type, ...]] = {
    "connection": (*get_args(ConnectFault), HangInHandshake, CloseInHandshake),
    "version of TLS": (TlsOnly,),
    "client certificate": (ClientCertificateRequired,),
    "certificate": (CertificateFlaw,),
    "upload": get_args(OneUploadFault),
    "mint": get_args(MintFault),
}
READ_AT_START = (Refuse, TlsOnly, ClientCertificateRequired, CertificateFlaw)
"""What a peer cannot begin to show while it is running."""


def group_of(fault: object) -> Group | None:
    """What a fault concerns; None when it is no fault of a peer."""
    if isinstance(fault, InTurn):
        return fault.group
    return next((group for group, kinds in _GROUPS.items() if isinstance(fault, kinds)), None)

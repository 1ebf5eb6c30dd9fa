"""Faults: how a peer misbehaves.

A `FakePeer` takes one fault, or a tuple of faults that concern different things. Every
`CertificateFlaw`, and every answer in `harness.faults.answers`, is also a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import UnionType
from typing import Any, Literal, get_args

from attrs import field, frozen
from attrs.validators import optional

from deploy_relay_kit.harness.faults.broken_answers import AnyAnswer
from deploy_relay_kit.harness.faults.checks import (
    Check,
    check_choice,
    check_filled,
    check_int,
    check_number,
    check_text,
)
from deploy_relay_kit.harness.faults.events import EventStream
from deploy_relay_kit.harness.faults.mints import (
    MintAnswer as MintAnswer,
    MintDropped as MintDropped,
    MintForAnotherUser as MintForAnotherUser,
    MintHangs as MintHangs,
    MintNested as MintNested,
    TokensExpire as TokensExpire,
    mint_refused as mint_refused,
    mint_with_token as mint_with_token,
    mint_without_token as mint_without_token,
)
from deploy_relay_kit.harness.faults.network import (
    Bandwidth as Bandwidth,
    HalfOpen as HalfOpen,
    Latency as Latency,
    NetworkFault,
    NetworkGroup,
    Slices as Slices,
    SlowClose as SlowClose,
    network_group,
)
from deploy_relay_kit.harness.faults.uploads import (
    AnswerEarly as AnswerEarly,
    CloseWithoutAnswer as CloseWithoutAnswer,
    ReadSlowly as ReadSlowly,
    ResetAfter as ResetAfter,
    StopReadingAfter as StopReadingAfter,
)

TlsVersion = Literal["1.2", "1.3"]


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
    """Refuse every connection: the port is bound, and nothing listens.

    Attributes:
        seconds: how long, from the start of the peer; None for good. As a turn of `in_turn`, from
            the connection before; nobody can count refused connections, so a turn is a time.
    """

    seconds: float | None = field(default=None, validator=optional(check_number(above=0)))


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


# -- sequences -----------------------------------------------------------------------------------


def _are_turns(turns: tuple[object, ...]) -> bool:
    groups = {group_of(turn) for turn in turns if turn is not None}
    return (
        len(groups) == 1
        and groups <= _TURN_GROUPS
        and not any(isinstance(turn, InTurn | Sometimes | Matching) for turn in turns)
        and Refuse() not in turns[:-1]
    )


@frozen
class InTurn:
    """Show one fault after the other, then repeat the last one; None is a healthy turn.

    All turns are faults of uploads, or all of mints, or all of accepted connections, or all of the
    same thing in the network. Each upload, mint or connection takes one turn; setting the peer's
    fault starts again.
    """

    turns: tuple[OneFault | None, ...] = field(
        validator=Check(
            _are_turns,
            "faults of uploads, or of mints, or of accepted connections, or of the same thing in "
            "the network, with None for a healthy turn; Refuse() without seconds is the last turn",
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


# -- choices -------------------------------------------------------------------------------------


@frozen
class HasHeader:
    """A predicate: whether a request has a header with this value."""

    name: str = field(validator=check_filled)
    value: str = field(validator=check_text)

    def __call__(self, request: Any) -> bool:
        """Look at a `RequestWitness`."""
        found: object = request.header(self.name)
        return found == self.value


@frozen
class Matching:
    """Show a fault of uploads, or of mints, to the requests that a predicate picks.

    Attributes:
        picks: called with the `UploadWitness` of each upload, of which only the head has arrived,
            or with the whole `MintWitness` of each mint, in the thread of the connection.
        fault: one fault, or `in_turn(…)`, of which each picked request takes one turn.
    """

    picks: Callable[[Any], bool] = field(
        validator=Check(callable, "a function that takes a request")
    )
    fault: OneFault | InTurn = field(
        validator=Check(
            lambda fault: group_of(fault) in {"upload", "mint"}, "a fault of uploads or of mints"
        )
    )


@frozen
class Sometimes:
    """Show a fault of uploads, mints, connections or the network with a probability.

    Attributes:
        probability: from 0 to 1, for each upload, mint or connection.
        fault: the fault.
        seed: of the draws, which the timeline of the peer names; the same seed makes the same
            choices in the same order.
    """

    probability: float = field(
        validator=Check(lambda p: _is_probability(p), "a number from 0 to 1")  # noqa: PLW0108
    )
    fault: OneFault = field(
        validator=Check(
            lambda fault: (
                group_of(fault) in _TURN_GROUPS
                and not isinstance(fault, Refuse | InTurn | Sometimes | Matching)
            ),
            "a single fault of uploads, mints, connections or the network, and not Refuse",
        )
    )
    seed: int = field(default=0, validator=check_int(least=0))


def _is_probability(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


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
    | NetworkFault
)
Fault = OneFault | InTurn | Matching | Sometimes

TurnGroup = Literal["connection", "upload", "mint"] | NetworkGroup
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
_TURN_GROUPS: set[object] = {"connection", "upload", "mint", *get_args(NetworkGroup)}
READ_AT_START = (Refuse, TlsOnly, ClientCertificateRequired, CertificateFlaw)
"""Faults that a running peer cannot begin to show."""


def is_read_at_start(fault: Fault) -> bool:
    """Whether a running peer cannot begin to show a fault."""
    first = fault.turns[0] if isinstance(fault, InTurn) else fault
    return isinstance(first, READ_AT_START)


def group_of(fault: object) -> Group | None:
    """The group of a fault; None for an object that is not a fault of a peer."""
    match fault:
        case InTurn():
            return fault.group
        case Matching() | Sometimes():
            return group_of(fault.fault)
    groups = (group for group, kinds in _GROUPS.items() if isinstance(fault, kinds))
    return next(groups, network_group(fault))

"""Which fault of a peer is due at each connection, upload and mint."""

import math
import threading
from collections import Counter
from random import Random
from typing import Any, TypeVar

from deploy_relay_kit.harness.faults.kinds import (
    Fault,
    Group,
    InTurn,
    Matching,
    OneFault,
    Refuse,
    SocketFault,
    Sometimes,
    group_of,
)
from deploy_relay_kit.harness.faults.network import is_random

_F = TypeVar("_F")


class FaultSchedule:
    """The faults of one peer, and the turns that each sequence has taken; safe among threads."""

    def __init__(self, fault: Fault | tuple[Fault, ...] | None) -> None:
        """Check and schedule the faults of a peer.

        Raises:
            TypeError: an object is not a fault of a peer.
            ValueError: two faults concern the same thing.
        """
        self._by_group = _by_group(fault)
        self.faults: tuple[Fault, ...] = tuple(self._by_group.values())
        self._begun: Counter[Group] = Counter()
        self._shown: set[Group] = set()
        self._random: dict[object, Random] = {}
        self._lock = threading.RLock()

    def standing(self, kind: type[_F]) -> _F | None:
        """The fault of this class, if it is always shown."""
        return next((fault for fault in self.faults if isinstance(fault, kind)), None)

    def has(self, *groups: Group) -> bool:
        """Whether there is a fault of one of these groups."""
        return any(group in self._by_group for group in groups)

    def show(self, group: Group) -> None:
        """Note that a client saw the fault of this group, or one of its turns."""
        self._shown.add(group)

    def not_shown(self, *others: Group) -> Fault | None:
        """The first fault that no client saw; those of the groups `others` were seen.

        A fault that is shown sometimes need not be seen.
        """
        seen = self._shown | {*others}
        missing = (fault for group, fault in self._by_group.items() if group not in seen)
        return next((fault for fault in missing if not isinstance(fault, Sometimes)), None)

    @property
    def seeded(self) -> tuple[Fault, ...]:
        """The faults that draw from their seeds."""
        return tuple(it for it in self.faults if isinstance(it, Sometimes) or is_random(it))

    def random(self, group: Group, fault: Any) -> Random:
        """The source of the draws of a fault; use it under `lock`."""
        return self._random.setdefault(group, Random(fault.seed))  # noqa: S311 - repeatable

    @property
    def lock(self) -> threading.RLock:
        """Held while a number is drawn."""
        return self._lock

    def due(self, group: Group, request: object = None) -> OneFault | None:
        """The fault for the next connection, upload or mint; call it once for each.

        Args:
            group: what it concerns.
            request: the witness of the upload or the mint, for a `Matching`.
        """
        with self._lock:
            return self._resolved(self._by_group.get(group), group, request)

    def _resolved(self, fault: Fault | None, group: Group, request: object) -> OneFault | None:
        match fault:
            case InTurn(turns):
                turn = self._begun[group]
                self._begun[group] += 1
                return turns[min(turn, len(turns) - 1)]
            case Matching():
                picked = request is not None and fault.picks(request)
                return self._resolved(fault.fault, group, request) if picked else None
            case Sometimes():
                shown = self.random(group, fault).random() < fault.probability
                return fault.fault if shown else None
        return fault

    @property
    def refuses(self) -> bool:
        """Whether a turn of its connections is refused."""
        fault = self._by_group.get("connection")
        turns = fault.turns if isinstance(fault, InTurn) else (fault,)
        return any(isinstance(turn, Refuse) for turn in turns)

    def refusal(self) -> float | None:
        """How many seconds to refuse connections now; None to accept the next one.

        Call it at the start and after each connection; it takes the turns of `Refuse`.
        """
        with self._lock:
            fault = self._by_group.get("connection")
            turns = fault.turns if isinstance(fault, InTurn) else (fault, None)
            turn = turns[min(self._begun["connection"], len(turns) - 1)]
            if not isinstance(turn, Refuse):
                return None
            self._begun["connection"] += 1
            self.show("connection")  # nobody can see a refused connection
            return math.inf if turn.seconds is None else turn.seconds


def _by_group(fault: object) -> dict[Group, Any]:
    faults = fault if isinstance(fault, tuple) else () if fault is None else (fault,)
    by_group: dict[Group, Any] = {}
    for it in faults:
        group = group_of(it)
        if group is None:
            raise TypeError(f"fault {it!r} {_problem(it)}")
        if group in by_group:
            raise ValueError(
                f"faults {by_group[group]!r} and {it!r} concern the same {group}: give one of "
                "them, or in_turn(…) to show one after the other"
            )
        by_group[group] = it
    return by_group


def _problem(it: object) -> str:
    """Why an object is not a fault of a peer, and the remedy."""
    match it:
        case str():
            return f"is a text: write parse_fault({it!r})"
        case type():
            return f"is a class: give an object of it, {it.__name__}(…)"
        case list():
            return "is a list: give a tuple"
        case SocketFault():
            return "is a fault of a replication socket: give it to FakeReplicationSocket"
        case _:
            return "is not a fault of a peer: see deploy_relay_kit.harness.faults"

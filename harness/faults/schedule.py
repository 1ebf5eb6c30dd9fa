"""Which fault of a peer is due at each connection, upload and mint."""

import threading
from collections import Counter
from typing import Any, TypeVar

from deploy_relay_kit.harness.faults.kinds import (
    Fault,
    Group,
    InTurn,
    OneFault,
    SocketFault,
    group_of,
)

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
        self._lock = threading.Lock()

    def standing(self, kind: type[_F]) -> _F | None:
        """The fault of this class, if it is always shown."""
        return next((fault for fault in self.faults if isinstance(fault, kind)), None)

    def has(self, *groups: Group) -> bool:
        """Whether there is a fault of one of these groups."""
        return any(group in self._by_group for group in groups)

    def show(self, group: Group) -> None:
        """Note that a client came to see the fault of this group, or one of its turns."""
        self._shown.add(group)

    def not_shown(self, *others: Group) -> Fault | None:
        """The first fault that no client came to see; those of the groups `others` were seen."""
        seen = self._shown | {*others}
        return next((fault for group, fault in self._by_group.items() if group not in seen), None)

    def due(self, group: Group) -> OneFault | None:
        """The fault for the next connection, upload or mint; call it once for each."""
        fault = self._by_group.get(group)
        if not isinstance(fault, InTurn):
            return fault
        with self._lock:
            turn = self._begun[group]
            self._begun[group] += 1
        return fault.turns[min(turn, len(fault.turns) - 1)]


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

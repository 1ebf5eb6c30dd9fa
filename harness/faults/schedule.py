"""Which fault of a peer is due at which connection, upload and mint."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TypeVar

from harness.faults.kinds import Fault, Group, InTurn, OneFault, group_of

_F = TypeVar("_F")


class FaultSchedule:
    """The faults of one peer, and how often each of a sequence has been due; safe among threads."""

    def __init__(self, fault: Fault | tuple[Fault, ...] | None) -> None:
        """Check what a peer was given as its fault.

        Raises:
            TypeError: it is no fault of a peer.
            ValueError: two of the faults contradict each other.

        """
        self.faults = _checked(fault)
        self._by_group = {group_of(it): it for it in self.faults}
        self._begun: Counter[Group] = Counter()
        self._lock = threading.Lock()

    def standing(self, kind: type[_F]) -> _F | None:
        """The fault of this kind that is shown all the time."""
        return next((fault for fault in self.faults if isinstance(fault, kind)), None)

    def due(self, group: Group) -> OneFault | None:
        """The fault for the next connection, upload or mint; asked once for each."""
        fault = self._by_group.get(group)
        if not isinstance(fault, InTurn):
            return fault
        with self._lock:
            turn = self._begun[group]
            self._begun[group] += 1
        return fault.turns[min(turn, len(fault.turns) - 1)]


def _checked(fault: object) -> tuple[Fault, ...]:
    if fault is None:
        return ()
    seen: dict[Group, object] = {}
    faults = fault if isinstance(fault, tuple) else (fault,)
    for it in faults:
        group = group_of(it)
        if group is None:
            raise TypeError(f"fault {it!r} {_remedy(it)}")
        if group in seen:
            raise ValueError(
                f"faults {seen[group]!r} and {it!r} concern the same {group}: give one of them, or "
                "in_turn(…) to show one after the other"
            )
        seen[group] = it
    return faults


def _remedy(it: object) -> str:
    if isinstance(it, str):
        return f"is a text: write parse_fault({it!r})"
    if isinstance(it, type):
        return f"is a class: give an object of it, {it.__name__}(…)"
    if isinstance(it, list):
        return "is a list: give a tuple"
    if type(it).__module__.startswith("harness.replication"):
        return "is one of a replication socket: give it to FakeReplicationSocket"
    return "is not a fault of a peer: see harness.faults"

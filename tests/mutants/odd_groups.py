"""All odd but correct relays, and groups of them: a relay of a group uses all their freedoms.

Groups find a case that demands too much with few runs. Which freedom it was shows a run with one
alone: `relay-harness run --relay "cmd:python -m tests.mutants.relay NAME"`.
"""

from __future__ import annotations

from collections import Counter

from tests.mutants import (  # noqa: F401 - they register their relays
    odd_connecting,
    odd_files,
    odd_libraries,
    odd_minting,
    odd_order,
    odd_reaching,
    odd_reading,
    odd_sending,
)
from tests.mutants.odd import ODD, Odd

ODD_BY_NAME = {relay.name: relay for relay in ODD}


def _place(relay: Odd) -> tuple[str, int]:
    """Where it is defined: a relay is registered when any test imports its module."""
    return relay.apply.__module__, relay.apply.__code__.co_firstlineno


def grouped(relays: list[Odd]) -> list[list[Odd]]:
    """As few groups as possible, of nearly one size, each with no two that change the same."""
    number = max(Counter(of for it in relays for of in it.of).values())
    groups: list[list[Odd]] = [[] for _ in range(number)]
    # Those that change most come first, while there is room for them.
    for relay in sorted(relays, key=lambda it: (-len(it.of), _place(it))):
        free = [group for group in groups if not any(it.of & relay.of for it in group)]
        min(free, key=len).append(relay)
    return [sorted(group, key=_place) for group in groups]


GROUPS = grouped(ODD)

"""All odd but correct relays, and groups of them: a relay of a group uses all their freedoms.

Groups find a case that demands too much with few runs. Which freedom it was shows a run with one
alone: `relay-harness run --relay "cmd:python -m tests.mutants.relay NAME"`.
"""

from __future__ import annotations

from collections import Counter

from tests.mutants import (  # noqa: F401 - they register their relays
    odd_minting,
    odd_reaching,
    odd_reading,
    odd_sending,
)
from tests.mutants.odd import ODD, Odd

ODD_BY_NAME = {relay.name: relay for relay in ODD}


def grouped(relays: list[Odd]) -> list[list[Odd]]:
    """As few groups as possible, of nearly one size, each with no two that change the same."""
    groups: list[list[Odd]] = [[] for _ in range(max(Counter(it.of for it in relays).values()))]
    for relay in relays:
        free = [group for group in groups if all(it.of != relay.of for it in group)]
        min(free, key=len).append(relay)
    return groups


GROUPS = grouped(ODD)

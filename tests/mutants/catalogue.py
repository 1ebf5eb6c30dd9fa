"""All mutants, and the shorter waits with which the cases judge them."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.mutants import (  # noqa: F401 - they register their mutants
    of_answers,
    of_attempts,
    of_care,
    of_fields,
    of_giving_up,
    of_habits,
    of_limits,
    of_minting,
    of_nodes,
    of_posture,
    of_records,
    of_requests,
    of_sending,
    of_sockets,
    of_statuses,
    of_streams,
    of_texts,
    of_trust,
    of_urls,
    of_values,
    of_ways,
    of_wire,
)
from tests.mutants.mutant import MUTANTS, Mutant

__all__ = ["BY_NAME", "MUTANTS", "shorten"]

BY_NAME: dict[str, Mutant] = {mutant.name: mutant for mutant in MUTANTS}

SHORTER = {
    "IN_TIME": 0.5,
    "SOON": 0.4,
    "LIMIT": 0.1,
    "PATIENCE": 0.5,
    "CANCELLED_AFTER": (0.2, 0.4),
    "HUGE": 40,
    "MUCH": 40,
}


def shorten(module: ModuleType, patch: pytest.MonkeyPatch) -> None:
    """Give the cases of a module shorter waits and smaller payloads, so that mutants fail soon."""
    for name, value in SHORTER.items():
        if hasattr(module, name):
            patch.setattr(module, name, value)

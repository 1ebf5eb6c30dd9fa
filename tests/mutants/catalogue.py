"""All mutants, and the shorter waits with which the cases judge them."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest

from tests.mutants import (  # noqa: F401 - they register their mutants
    of_answers,
    of_attempts,
    of_cancels,
    of_care,
    of_changes,
    of_circumstances,
    of_codes,
    of_combinations,
    of_company,
    of_corners,
    of_downgrades,
    of_drips,
    of_edges,
    of_everywhere,
    of_fields,
    of_forms,
    of_frames,
    of_frames_apart,
    of_giving_up,
    of_grammars,
    of_habits,
    of_hosts,
    of_later_mints,
    of_leftovers,
    of_limits,
    of_look_alikes,
    of_members,
    of_minting,
    of_mints,
    of_names,
    of_near_misses,
    of_neighbours,
    of_nodes,
    of_odd_answers,
    of_odd_forms,
    of_odd_streams,
    of_pauses,
    of_posture,
    of_quotes,
    of_rare_forms,
    of_rare_quotes,
    of_rare_secrets,
    of_rare_uploads,
    of_rare_values,
    of_reading,
    of_reasons,
    of_records,
    of_requests,
    of_secrets,
    of_sending,
    of_small_print,
    of_sockets,
    of_split_streams,
    of_statuses,
    of_streams,
    of_targets,
    of_texts,
    of_time,
    of_tokens,
    of_trust,
    of_turns,
    of_urls,
    of_values,
    of_ways,
    of_wire,
)
from tests.mutants.mutant import MUTANTS, Mutant

__all__ = ["BY_PLACE", "MUTANTS", "shorten"]

BY_PLACE: dict[str, Mutant] = {}
"""The mutants by their places; what is registered twice breaks the requirements of both."""

for _mutant in MUTANTS:
    _other = BY_PLACE.get(_mutant.place, _mutant)
    _both = dict.fromkeys((*_other.requirements, *_mutant.requirements))
    _cases = {case.name: case for case in (*_other.killed_by, *_mutant.killed_by)}
    BY_PLACE[_mutant.place] = replace(
        _mutant,
        requirements=tuple(_both),
        killed_by=tuple(
            {case.name: case for case in (*_other.killed_by, *_mutant.killed_by)}.values()
        ),
        also={**_other.also, **_mutant.also},
    )

SHORTER = {
    "IN_TIME": 1.5,
    "NO_DELAY": 3.0,
    "SOON": 0.4,
    "LIMIT": 0.1,
    "LONG_PAUSE": 7,
    "PATIENCE": 0.5,
    "CANCELLED_AFTER": (0.2, 0.4),
    "HUGE": 80,
    "MUCH": 80,
}


def shorten(module: ModuleType, patch: pytest.MonkeyPatch) -> None:
    """Give the cases of a module shorter waits and smaller payloads, so that mutants fail soon."""
    for name, value in SHORTER.items():
        if hasattr(module, name):
            patch.setattr(module, name, value)

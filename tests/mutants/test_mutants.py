"""Every mutant is killed by the cases that claim to see its bug, and by those alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.catalogue import requirements
from harness.targets import TargetBrokeError
from tests.mutants import (  # noqa: F401 - they register their mutants
    of_answers,
    of_fields,
    of_minting,
    of_records,
    of_sending,
    of_sockets,
    of_streams,
    of_urls,
    of_wire,
)
from tests.mutants.mutant import MUTANTS, Case, Mutant

# What has no mutant yet. Take an id out when it has one; add none without a reason.
NO_MUTANT_YET = {
    line.split()[0]
    for line in (Path(__file__).parent / "no-mutant-yet.txt").read_text().splitlines()
    if line and not line.startswith("#")
}

# How a case fails.
CAUGHT = (AssertionError, TargetBrokeError, TimeoutError)

KILLS = [
    pytest.param(mutant, case, id=f"{mutant.name}-{case.function.__name__}")
    for mutant in MUTANTS
    for case in mutant.killed_by
]


@pytest.mark.parametrize(("mutant", "case"), KILLS)
def test_a_mutant_is_killed(
    mutant: Mutant, case: Case, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant.apply(monkeypatch)
    with pytest.raises(CAUGHT):
        case.run(request)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_passes_where_its_bug_does_not_matter(
    mutant: Mutant, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant.apply(monkeypatch)
    mutant.spares.run(request)


def test_every_must_has_a_mutant() -> None:
    broken = {id_ for mutant in MUTANTS for id_ in mutant.requirements}
    assert broken <= set(requirements())
    musts = {id_ for id_, requirement in requirements().items() if requirement.level == "must"}
    assert musts - broken == NO_MUTANT_YET


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_case_claims_what_its_mutant_breaks(mutant: Mutant) -> None:
    """A case that kills a mutant by chance, in the name of something else, proves nothing."""
    claimed = set[str]().union(*(case.requirements for case in mutant.killed_by))
    assert set(mutant.requirements) <= claimed

"""What a relay does not declare turns no red green: a mutant fails, or its case does not apply."""

from __future__ import annotations

import sys
import zlib

import pytest

from deploy_relay_kit.harness.judge.model import Verdict
from deploy_relay_kit.harness.targets.capabilities import CAPABILITIES
from deploy_relay_kit.harness.targets.reference import ReferenceTarget
from tests.mutants.catalogue import MUTANTS, shorten
from tests.mutants.mutant import Case, Mutant
from tests.mutants.test_mutants import failed_in
from tests.programs import LONG

SHARE = 40 if LONG else 400
"""One of so many mutants meets each of its cases without each capability."""
WITHOUT = {f"without-{name}": CAPABILITIES.keys() - {name} for name in CAPABILITIES}
"""The capabilities of a relay that lacks one, and of one that has nothing but one way to mint."""
WITHOUT |= {f"only-{name}": {name} for name in CAPABILITIES if name.startswith("mint.")}

SAMPLE = [
    pytest.param(
        mutant, case, declared, id=f"{what}-{mutant.name}-{case.name}", marks=case.conditions
    )
    for what, declared in WITHOUT.items()
    for mutant in MUTANTS
    if zlib.crc32(f"{what} {mutant.place}".encode()) % SHARE == 0
    if "KIT-04" not in mutant.requirements  # on a loaded machine a pause is long by itself
    for case in mutant.killed_by[: None if LONG else 1]
]


@pytest.mark.parametrize(("mutant", "case", "declared"), SAMPLE)
def test_no_red_turns_green_without_a_capability(
    mutant: Mutant,
    case: Case,
    declared: set[str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = ReferenceTarget.capabilities - CAPABILITIES.keys()
    monkeypatch.setattr(ReferenceTarget, "capabilities", usual | declared)
    mutant.apply(monkeypatch)
    shorten(sys.modules[case.function.__module__], monkeypatch)
    judged = case.run(request)
    assert judged.verdict is Verdict.NOT_APPLICABLE or failed_in(judged), judged.checks

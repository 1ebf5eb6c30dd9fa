"""Every mutant of the reference origin is killed by its case; origins that are right are not."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from deploy_relay_kit.harness.judge.catalogue import requirements_of_origins
from deploy_relay_kit.harness.judge.explain import cases_by_requirement
from deploy_relay_kit.harness.judge.model import Verdict
from deploy_relay_kit.harness.judge.shipped_paths import origin_cases
from deploy_relay_kit.harness.targets.origin.target import OriginTarget
from tests.mutants.mutant import Case
from tests.origin.verdicts.mutants import MUTANTS
from tests.origin.verdicts.odd import ODD
from tests.programs import LONG


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Iterator[OriginTarget]:
    kind, name = ("mutants", request.param) if request.param in MUTANTS else ("odd", request.param)
    target = OriginTarget([sys.executable, "-m", f"tests.origin.verdicts.{kind}", name])
    yield target
    target.close()


NAMES = [pytest.param(it, it, id=it) for it in [*MUTANTS][:: 1 if LONG else 4]]


@pytest.mark.parametrize(("target", "name"), NAMES, indirect=["target"])
@pytest.mark.usefixtures("target")
def test_a_mutant_is_killed(name: str, request: pytest.FixtureRequest) -> None:
    _, requirement, case = MUTANTS[name]
    judged = case.run(request)
    failed = {it.requirement for it in judged.checks if it.verdict is Verdict.FAILED}
    shown = "\n".join(map(str, judged.checks))
    assert failed - {"AGG-02"} == {requirement}, shown  # AGG-02: an answer is missing altogether
    assert not judged.error, judged.error


ODD_CASES = [
    pytest.param(name, case, id=f"{name}-{number}")
    for name, (_, cases) in ODD.items()
    for number, case in enumerate(cases[:: 1 if LONG else 3])
]


@pytest.mark.parametrize(("target", "case"), ODD_CASES, indirect=["target"])
@pytest.mark.usefixtures("target")
def test_an_odd_origin_passes(case: Case, request: pytest.FixtureRequest) -> None:
    judged = case.run(request)
    shown = "\n".join(map(str, judged.checks))
    assert {it.verdict for it in judged.checks} == {Verdict.PASSED}, shown
    assert not judged.error, judged.error


def test_every_must_has_a_mutant_and_every_requirement_a_case() -> None:
    of_origins = requirements_of_origins()
    musts = {id_ for id_, it in of_origins.items() if it.level == "must"}
    assert musts <= {requirement for _, requirement, _ in MUTANTS.values()}
    cases = cases_by_requirement(origin_cases())
    assert set(cases) == set(of_origins)
    places = {it.replace(".py::", ".") for places in cases.values() for it in places}
    assert places == {case.name for _, _, case in MUTANTS.values()}

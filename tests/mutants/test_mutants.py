"""Every mutant is killed by the cases that it names, for its own bug alone, with its own hint."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_relay_kit.harness.judge.catalogue import requirements
from deploy_relay_kit.harness.judge.explain import after_every_case, cases_by_requirement
from deploy_relay_kit.harness.judge.model import Case as Judged
from deploy_relay_kit.harness.judge.model import Verdict
from tests.mutants.catalogue import MUTANTS, shorten
from tests.mutants.hinted import check_hints
from tests.mutants.mutant import A_HEALTHY_DEPLOY, Case, Mutant
from tests.programs import LONG

# Requirements without a mutant. Remove an id when it has one; add none without a reason.
NO_MUTANT_YET = {
    line.split()[0]
    for line in (Path(__file__).parent / "no-mutant-yet.txt").read_text().splitlines()
    if line and not line.startswith("#")
}

KILLS_NONE = {
    # The HTTP library itself stops writing once a whole answer has come.
    "test_early.test_the_rest_of_a_refused_payload_is_not_sent",
}
"""Cases that no mutant of the reference can fail, with the reason."""

EVERY_ONE = 8
"""Of a case, so many mutants are run by default; of the others, one in three."""


ACCIDENT = re.compile(r"\b(AttributeError|NameError|UnboundLocalError)\b")
"""What the patch of a mutant raises when the reference has changed below it."""


def kills() -> Iterator[tuple[Mutant, Case]]:
    """Each mutant with the cases that must detect it; by default not all of one large table."""
    of_case = Counter[str]()
    for mutant in MUTANTS:
        for case in mutant.killed_by:
            of_case[case.name] += 1
            if LONG or of_case[case.name] <= EVERY_ONE or of_case[case.name] % 3 == 0:
                yield mutant, case


KILLS = [
    pytest.param(mutant, case, id=f"{mutant.name}-{case.function.__name__}", marks=case.conditions)
    for mutant, case in kills()
]


@pytest.mark.parametrize(("mutant", "case"), KILLS)
def test_a_mutant_is_killed(
    mutant: Mutant, case: Case, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant.apply(monkeypatch)
    shorten(sys.modules[case.function.__module__], monkeypatch)
    judged = case.run(request)
    failed = failed_in(judged)
    shown = "\n".join(map(str, judged.checks))
    assert failed & set(mutant.requirements), (
        f"the case {case.name} does not detect the mutant:\n{shown}"
    )
    assert failed <= set(mutant.requirements), (
        "the case charges requirements that @mutant(…) does not name: correct the case, or the "
        f"mutant:\n{shown}"
    )
    check_hints(mutant, case, judged)
    reported = "\n".join(judged.evidence.reported if judged.evidence else ())
    assert not ACCIDENT.search(reported), f"the mutant has a second bug by accident:\n{reported}"


@pytest.mark.parametrize("mutant", MUTANTS[:: 1 if LONG else 3], ids=lambda mutant: mutant.name)
def test_a_healthy_deploy_is_charged_with_the_bug_alone(
    mutant: Mutant, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant.apply(monkeypatch)
    judged = A_HEALTHY_DEPLOY.run(request)
    more = failed_in(judged) - set(mutant.requirements)
    assert more == set(), f"the mutant breaks these, too: name them in @mutant(…): {judged.checks}"


def failed_in(judged: Judged) -> set[str]:
    return {check.requirement for check in judged.checks if check.verdict is Verdict.FAILED}


def test_every_must_has_a_mutant() -> None:
    broken = {id_ for mutant in MUTANTS for id_ in mutant.requirements}
    assert broken <= set(requirements()), "a mutant names an unknown requirement"
    musts = {id_ for id_, requirement in requirements().items() if requirement.level == "must"}
    missing = musts - broken - NO_MUTANT_YET
    assert missing == set(), "add a mutant for these to tests/mutants/of_….py"
    assert NO_MUTANT_YET - (musts - broken) == set(), "remove these from no-mutant-yet.txt"


def test_every_case_kills_a_mutant() -> None:
    """A case that cannot fail proves nothing."""
    killing = {case.name for mutant in MUTANTS for case in mutant.killed_by}
    cases = {
        place.replace(".py::", ".")
        for places in cases_by_requirement().values()
        for place in places
    }
    missing = cases - killing - KILLS_NONE
    assert missing == set(), "add a mutant to tests/mutants/of_….py that is killed by these"
    assert KILLS_NONE - (cases - killing) == set(), "remove these from KILLS_NONE in this file"


def test_a_case_claims_what_its_mutant_breaks() -> None:
    """A case must not kill a mutant by chance, while it checks another requirement."""
    for mutant in MUTANTS:
        claimed = after_every_case().union(*(case.requirements for case in mutant.killed_by))
        assert set(mutant.requirements) <= claimed, (
            f"no case in killed_by of {mutant.name} checks these; correct its @mutant(…)"
        )

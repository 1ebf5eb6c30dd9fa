"""Each hint is shown for a relay that makes its mistake.

That no mutant gets another hint is checked where the mutants are judged, in `test_mutants.py`.
"""

from __future__ import annotations

import sys

import pytest

from deploy_relay_kit.harness.judge.hints import hints
from tests.mutants.catalogue import MUTANTS, shorten
from tests.mutants.hinted import HINTS_OF, MAKE_IT, hints_in
from tests.mutants.of_libraries import MISTAKES, Mistake
from tests.mutants.test_mutants import failed_in


@pytest.mark.parametrize("it", MISTAKES, ids=lambda it: it.apply.__name__)
def test_a_default_of_a_library_gets_its_hint_alone(
    it: Mistake, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    it.apply(monkeypatch)
    shorten(sys.modules[it.seen_in.function.__module__], monkeypatch)
    judged = it.seen_in.run(request)
    assert failed_in(judged), "the case sees no mistake"
    assert hints_in(judged) == {it.hint} | {it.beside} - {""}, judged.checks


def test_every_hint_is_proven() -> None:
    proven = set(MAKE_IT) | {it.hint for it in MISTAKES}
    assert set(hints()) - proven == set(), "add these to MAKE_IT, or a relay to of_libraries.py"
    assert proven - set(hints()) == set(), "add these to harness/judge/hints.toml"
    unknown = set(HINTS_OF) - {mutant.place for mutant in MUTANTS}
    assert unknown == set(), "no such mutants: correct MAKE_IT"

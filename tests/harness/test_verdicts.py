"""From pytest reports to verdicts: what failed is said, and nothing run is not "all passed"."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.judge.report.text import lines
from harness.judge.results import Result
from harness.judge.verdicts import Case, Verdict
from tests.harness.driving import evidence, judged_in_here

pytest_plugins = ["pytester"]

CASES = """
import pytest
requirement = pytest.mark.requirement

@pytest.fixture
def broken():
    raise RuntimeError("the harness is at fault")

@requirement("WIRE-03", "WIRE-04")
def test_good(): pass

@requirement("WIRE-04")
def test_bad(): assert "came" == "expected"

@requirement("URL-08")
def test_ours(broken): pass

@requirement("SEQ-05")
def test_skipping_target():
    from harness.targets import TargetSkippedError
    raise TargetSkippedError("not today")

@pytest.fixture
def target():
    from harness.targets import TargetBrokeError
    raise TargetBrokeError("it does not start")

@requirement("SEQ-06")
def test_broken_target(target): pass

@requirement("AGG-01")
def test_absent(): pytest.skip("the target does not declare it")
"""


FILE = "test_it.py"


def run(pytester: pytest.Pytester, cases: str, *options: str) -> Result:
    verdicts = judged_in_here(pytester.makepyfile(**{FILE.removesuffix(".py"): cases}), *options)
    ran = list(verdicts.cases.values())
    return Result("reference", "0", "", 0.0, cases=ran, broken=verdicts.broken)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_worst_case_of_a_requirement_is_its_verdict(
    pytester: pytest.Pytester, workers: str
) -> None:
    result = run(pytester, CASES, f"--numprocesses={workers}")
    shown = [line for line in lines(result) if line and line[0] != "\n"][1:]
    assert shown[0].startswith("passed         WIRE-03")
    assert shown[1].startswith("failed         WIRE-04")
    assert shown[1].endswith("(1 of 2 cases failed)")
    assert shown[2].startswith("untestable     SEQ-05")
    assert shown[3].startswith("failed         SEQ-06")
    assert shown[4].startswith("harness error  URL-08")
    assert shown[5].startswith("not applicable AGG-01")
    assert list(lines(result))[-1] == (
        "\n6 requirements: 1 not applicable, 1 passed, 1 untestable, 2 failed, "
        "1 harness error (6 cases)"
    )
    assert not result.passed


def test_what_a_case_left_behind_is_no_failure_of_what_it_checks(
    pytester: pytest.Pytester,
) -> None:
    cases = """
import pytest
from harness.judge.leaks import TaintError

@pytest.mark.requirement("WIRE-04")
@pytest.mark.parametrize("number", range(30))
def test_good(fake_cluster, number):
    raise TaintError("the relay wrote a token")

@pytest.mark.requirement("BUG-41")
def test_leaks():
    raise TaintError("a file holds a token")
"""
    result = run(pytester, cases)
    assert (result.outcomes["WIRE-04"], result.outcomes["BUG-41"]) == ("passed", "failed")
    assert len(result.by_requirement["BUG-41"]) == 31
    text = "\n".join(lines(result))
    assert text.count("the same came in 29 other cases") == 1
    assert "test_good[20]  (BUG-41)" in text
    assert "test_good[21]" not in text
    assert "… and 9 more" in text


def test_what_a_case_that_fails_left_behind_is_a_failure_besides(
    pytester: pytest.Pytester,
) -> None:
    cases = """
import pytest

@pytest.mark.requirement("WIRE-04")
def test_bad(fake_cluster, request):
    request.node.user_properties.append(("also leaked", "a file holds a token"))
    assert "came" == "expected"
"""
    result = run(pytester, cases)
    assert (result.outcomes["WIRE-04"], result.outcomes["BUG-41"]) == ("failed", "failed")
    [_, left_behind] = result.cases
    assert left_behind.evidence
    assert left_behind.evidence["came"] == "a file holds a token"


def test_a_run_in_which_no_case_applies_says_so(pytester: pytest.Pytester) -> None:
    absent = "import pytest\n@pytest.mark.requirement('AGG-01')\ndef test_it(): pytest.skip('no')"
    result = run(pytester, absent)
    assert not result.passed
    assert "nothing was judged" in list(lines(result))[-1]


def test_what_was_not_judged_is_named_with_the_capability_that_it_takes(
    pytester: pytest.Pytester,
) -> None:
    cases = """
import pytest

@pytest.mark.requirement("RTY-02", "RTY-03", "HTTP-03", "AGG-01")
def test_it():
    pytest.skip("not applicable: no")
"""
    *_, title, limits, retry, _ = lines(run(pytester, cases))
    assert title == "\nnot judged, for what the relay does not declare:"
    assert [limits, retry] == ["  limits: HTTP-03", "  retry: RTY-02 RTY-03"]


def test_a_failure_is_shown_with_the_sentence_it_breaks(pytester: pytest.Pytester) -> None:
    text = "\n".join(lines(run(pytester, CASES)))
    assert "\nfailed: test_bad\n" in text
    assert "WIRE-04 (must): A field part has one header" in text
    assert 'assert "came" == "expected"' in text or "assert 'came' == 'expected'" in text
    assert "the harness is at fault" in text
    assert f"relay-harness run --relay reference --case {FILE}::test_bad\n" in text


def test_what_is_red_is_named_again_at_the_end(pytester: pytest.Pytester) -> None:
    *_, untestable, failed, ours, _ = lines(run(pytester, CASES))
    assert [untestable, failed, ours] == [
        "\nuntestable: SEQ-05",
        "\nfailed: WIRE-04 SEQ-06",
        "\nharness error: URL-08",
    ]


def test_what_breaks_the_target_in_every_case_is_told_once() -> None:
    broken = evidence(came="the target reported an error of its own", broke=True)
    cases = [
        Case(f"t.py::test_{n}", ["WIRE-03"], Verdict.FAILED, evidence=broken) for n in range(3)
    ]
    cases.append(Case("t.py::test_by_itself", ["WIRE-03"], Verdict.FAILED, evidence=evidence()))
    cases += [Case(f"t.py::test_{n}", ["URL-08"], Verdict.UNTESTABLE, text="no") for n in "ab"]
    text = "\n".join(lines(Result("reference", "0", "", 0.0, cases=cases)))
    assert text.count("an error of its own") == 1
    alike = "    test_1  (WIRE-03)\n    test_2  (WIRE-03)\n"
    assert f"  the same came in 2 other cases:\n{alike}" in text
    assert "\nfailed: test_by_itself\n" in text
    assert "  the same came in 1 other case:\n    test_b  (URL-08)\n" in text


def test_slow_cases_are_named() -> None:
    cases = [Case(f"t.py::test_{n}", ["WIRE-03"], seconds=n) for n in (1, 7, 31)]
    text = "\n".join(lines(Result("reference", "0", "", 0.0, cases=cases)))
    assert "\nslowest of 2 slow cases: test_31 31 s, test_7 7 s\n" in text


def test_all_good_is_all_passed(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_one(): pass")
    assert result.passed
    assert [case.verdict for case in result.cases] == [Verdict.PASSED]


@pytest.mark.parametrize(
    "cases",
    ["", "import no_such_module", "import pytest\ndef test_one(): pytest.skip('all skipped')"],
    ids=["no cases", "not importable", "only skipped"],
)
def test_nothing_run_is_not_all_passed(pytester: pytest.Pytester, cases: str) -> None:
    assert not run(pytester, cases).passed


def test_what_cannot_be_collected_is_shown(pytester: pytest.Pytester, tmp_path: Path) -> None:
    del tmp_path
    text = "\n".join(lines(run(pytester, "import no_such_module")))
    assert "harness error: the cases could not run" in text
    assert "no_such_module" in text

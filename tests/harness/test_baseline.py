"""The baseline: known failures stay quiet, and entries that no longer hold turn red."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.judge.baseline import Baseline, Entry, apply, draft, parse
from deploy_relay_kit.harness.judge.model import Case, Check, Verdict

TODAY = dt.date(2027, 1, 10)
LATER = dt.date(2027, 2, 1)
Look = tuple[Case, Check]


def look(
    verdict: Verdict = Verdict.FAILED,
    name: str = "test_one[a]",
    requirement: str = "WIRE-03",
    rule: str = "",
) -> Look:
    check = Check(requirement, verdict, rule=rule)
    return Case(f"test_x.py::{name}", checks=[check]), check


def entry(**members: object) -> Entry:
    given = {"requirement": "WIRE-03", "reason": "old parser", "until": LATER, **members}
    return Entry(**given)  # type: ignore[arg-type]  # a test's short form


def known(*entries: Entry) -> Baseline:
    return Baseline(known=entries)


def flaky(*entries: Entry) -> Baseline:
    return Baseline(flaky=entries)


@pytest.mark.parametrize(
    ("baseline", "ran", "verdict"),
    [
        (known(entry()), look(), "known failure"),
        (known(entry(case="test_one")), look(), "known failure"),
        (known(entry(case="test_one[a]")), look(), "known failure"),
        (known(entry(finding="PREAMBLE")), look(rule="PREAMBLE"), "known failure"),
        (known(entry()), look(Verdict.UNTESTABLE), "known failure"),
        (flaky(entry()), look(), "known flaky"),
        (flaky(entry()), look(Verdict.PASSED), "passed"),
    ],
)
def test_a_known_failure_stays_quiet(baseline: Baseline, ran: Look, verdict: str) -> None:
    assert apply(baseline, [ran], today=TODAY, whole=True) == []
    assert ran[1].verdict == verdict
    assert not ran[1].verdict.is_red
    assert ran[1].known == ("old parser" if verdict != "passed" else "")


@pytest.mark.parametrize(
    ("baseline", "ran", "red", "stale"),
    [
        (known(entry()), look(Verdict.PASSED), False, "WIRE-03: passes; remove it"),
        (known(entry()), look(Verdict.NOT_APPLICABLE), False, "not applicable to this relay"),
        (known(entry()), look(Verdict.HARNESS_ERROR), True, "fails in another way"),
        (known(entry(requirement="URL-08")), look(), True, "URL-08: matches no case"),
        (known(entry(requirement="WIRE-04")), look(), True, "WIRE-04: matches no case"),
        (known(entry(case="test_two")), look(), True, "WIRE-03 .case test_two.: matches no case"),
        (known(entry(case="test_one[b]")), look(), True, "matches no case"),
        (known(entry(finding="PREAMBLE")), look(rule="EPILOGUE"), True, "fails in another way"),
        (known(entry(until=dt.date(2027, 1, 9))), look(), False, "until 2027-01-09 only: old p"),
        (flaky(entry(until=dt.date(2027, 1, 9))), look(), False, "until 2027-01-09 only"),
    ],
)
def test_what_no_longer_holds_is_stale(
    baseline: Baseline, ran: Look, stale: str, *, red: bool
) -> None:
    [text] = apply(baseline, [ran], today=TODAY, whole=True)
    assert pytest.raises(AssertionError, match=stale).matches(AssertionError(text)), text
    assert ran[1].verdict.is_red == red


def test_an_entry_is_good_on_its_last_day() -> None:
    assert apply(known(entry(until=TODAY)), [look()], today=TODAY, whole=True) == []


def test_what_was_not_selected_is_not_stale() -> None:
    other = known(entry(requirement="URL-08"))
    assert apply(other, [look(Verdict.PASSED)], today=TODAY, whole=False) == []
    assert apply(known(entry()), [look(Verdict.PASSED)], today=TODAY, whole=False) == []
    of_case = known(entry(case="test_one"))
    [passes] = apply(of_case, [look(Verdict.PASSED)], today=TODAY, whole=False)
    assert "passes" in passes


def test_a_failure_of_one_requirement_excuses_no_other_of_the_same_case() -> None:
    check, other = Check("WIRE-03", Verdict.FAILED), Check("WIRE-04", Verdict.FAILED)
    case = Case("test_x.py::test_one", checks=[check, other])
    apply(known(entry()), [(case, check), (case, other)], today=TODAY, whole=True)
    assert [it.verdict for it in case.checks] == [Verdict.KNOWN_FAILURE, Verdict.FAILED]
    assert case.verdict is Verdict.FAILED


def test_a_draft_makes_every_failure_known_and_keeps_what_holds() -> None:
    kept = entry(case="test_two", reason='says "no" \\ ünd\nmore')
    sometimes = entry(requirement="WIRE-04", case="test_three")
    gone = entry(requirement="SEQ-05")
    looks = [
        look(),
        look(name="test_one[b]"),
        look(name="test_two"),
        look(Verdict.PASSED, "test_three"),
        look(name="test_all", requirement="URL-08"),
    ]
    baseline = Baseline(known=(kept, gone), flaky=(sometimes,))
    apply(baseline, looks, today=TODAY, whole=True)
    again = parse(draft(baseline, looks, today=TODAY, whole=True), "draft")
    assert again.flaky == (sometimes,)
    assert [(it.requirement, it.case) for it in again.known] == [
        ("WIRE-03", "test_two"),
        ("WIRE-03", "test_one"),
        ("URL-08", None),
    ]
    assert again.known[0] == kept
    assert again.known[1].until > TODAY
    for _, check in looks:
        if check.verdict is Verdict.KNOWN_FAILURE:
            check.verdict = Verdict.FAILED
    assert apply(again, looks, today=TODAY, whole=True) == [
        "WIRE-04 (case test_three): matches no case; remove it from the baseline"
    ]
    assert not any(check.verdict.is_red for _, check in looks)


def test_a_draft_excuses_nothing_that_passes() -> None:
    looks = [look(name="test_one[a]"), look(Verdict.PASSED, "test_one[b]")]
    [entry_] = parse(draft(Baseline(), looks, today=TODAY, whole=True), "draft").known
    assert entry_.case == "test_one[a]"


def test_a_draft_excuses_no_error_of_the_harness_and_no_case_that_did_not_run() -> None:
    case, check = look(Verdict.UNTESTABLE)
    case.error = "not run"
    looks = [(case, check), look(Verdict.HARNESS_ERROR)]
    assert parse(draft(Baseline(), looks, today=TODAY, whole=True), "draft") == Baseline()


GOOD = 'requirement = "WIRE-03"\nreason = "r"\nuntil = 2027-01-31\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[known]", "b.toml: not TOML"),
        ("[[knwon]]", "unknown field `knwon`"),
        ("known = 3", "Expected `array`, got `int` - at `known`"),
        ("known = [3]", r"Expected `object`, got `int` - at `known[0]`"),
        (f"[[known]]\n{GOOD}[[known]]\n", "missing required field `requirement`"),
        ('[[flaky]]\nrequirement = "WIRE-03"\nreason = "r"', "missing required field `until`"),
        (f"[[known]]\n{GOOD}cases = 3", "unknown field `cases`"),
        (f"[[known]]\n{GOOD}case = 3", "Expected `str | null`, got `int`"),
        (f'[[known]]\n{GOOD}case = ""', "length >= 1"),
        (f"[[known]]\n{GOOD}".replace("2027-01-31", '"soon"'), "a date such as 2027-01-31"),
        (f"[[known]]\n{GOOD}".replace("WIRE-03", "WIRE-99"), "'WIRE-99' is not a requirement"),
    ],
)
def test_what_is_not_a_baseline_is_refused_where_it_is_wrong(text: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        parse(text, "b.toml")


def test_an_empty_baseline_knows_nothing() -> None:
    assert parse("", "b.toml") == Baseline()

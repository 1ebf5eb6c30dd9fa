"""The baseline: what is known stays quiet, what is no longer true turns red."""

from __future__ import annotations

import datetime as dt

import pytest

from harness.errors import InputError
from harness.judge.baseline import Entry, apply, draft, parse
from harness.judge.verdicts import Case, Verdict
from tests.harness.driving import evidence

TODAY = dt.date(2027, 1, 10)
LATER = dt.date(2027, 2, 1)


def case(
    verdict: Verdict = Verdict.FAILED, name: str = "test_one[a]", findings: tuple[str, ...] = ()
) -> Case:
    known = evidence(findings=list(findings))
    return Case(f"test_x.py::{name}", ["WIRE-03", "WIRE-04"], verdict, evidence=known)


def entry(**members: object) -> Entry:
    given = {"requirement": "WIRE-03", "reason": "old parser", "until": LATER, **members}
    return Entry(**given)  # type: ignore[arg-type]  # a test's short form


@pytest.mark.parametrize(
    ("known", "ran", "outcome"),
    [
        (entry(), case(), "known failure"),
        (entry(requirement="WIRE-04"), case(), "known failure"),
        (entry(case="test_one"), case(), "known failure"),
        (entry(case="test_one[a]"), case(), "known failure"),
        (entry(finding="WIRE-07"), case(findings=("WIRE-07",)), "known failure"),
        (entry(), case(Verdict.UNTESTABLE), "known failure"),
        (entry(flaky=True), case(), "known flaky"),
        (entry(flaky=True), case(Verdict.PASSED), "passed"),
    ],
)
def test_a_known_failure_stays_quiet(known: Entry, ran: Case, outcome: str) -> None:
    assert apply([known], [ran], today=TODAY, whole=True) == []
    assert ran.outcome == outcome
    assert not ran.is_red


@pytest.mark.parametrize(
    ("known", "ran", "red", "stale"),
    [
        (entry(), case(Verdict.PASSED), False, "WIRE-03: passes; take it out"),
        (entry(), case(Verdict.NOT_APPLICABLE), False, "not applicable to this relay"),
        (entry(), case(Verdict.HARNESS_ERROR), True, "fails in another way"),
        (entry(requirement="URL-08"), case(), True, "URL-08: matches no case"),
        (entry(case="test_two"), case(), True, r"WIRE-03 \(case test_two\): matches no case"),
        (entry(case="test_one[b]"), case(), True, "matches no case"),
        (entry(finding="WIRE-07"), case(findings=("WIRE-01",)), True, "fails in another way"),
        (entry(until=dt.date(2027, 1, 9)), case(), False, "until 2027-01-09 only: old parser"),
        (entry(until=dt.date(2027, 1, 9), flaky=True), case(), False, "until 2027-01-09 only"),
    ],
)
def test_what_no_longer_holds_is_stale(known: Entry, ran: Case, stale: str, *, red: bool) -> None:
    [text] = apply([known], [ran], today=TODAY, whole=True)
    assert pytest.raises(AssertionError, match=stale).matches(AssertionError(text)), text
    assert ran.is_red == red


def test_an_entry_is_good_on_its_last_day() -> None:
    assert apply([entry(until=TODAY)], [case()], today=TODAY, whole=True) == []


def test_what_was_not_selected_is_not_stale() -> None:
    other = entry(requirement="URL-08")
    assert apply([other], [case(Verdict.PASSED)], today=TODAY, whole=False) == []
    [passes] = apply([entry()], [case(Verdict.PASSED)], today=TODAY, whole=False)
    assert "passes" in passes


def test_a_draft_makes_every_failure_known_and_keeps_what_holds() -> None:
    kept = entry(case="test_two", reason='says "no" \\ ünd\nmore')
    flaky = entry(requirement="WIRE-04", flaky=True, case="test_three")
    gone = entry(requirement="SEQ-05")
    cases = [
        case(),
        case(name="test_one[b]"),
        case(name="test_two"),
        case(Verdict.PASSED, "test_three"),
        case(Verdict.HARNESS_ERROR, "test_four"),
    ]
    entries = [kept, flaky, gone]
    apply(entries, cases, today=TODAY, whole=True)
    again = parse(draft(entries, cases, today=TODAY), "draft")
    assert again[0] == kept
    assert again[1].case == "test_one"
    assert again[1].until > TODAY
    assert again[2:] == [flaky]
    for ran in cases:
        ran.known = ran.flaky = None
    assert apply(again, cases, today=TODAY, whole=True) == []
    assert [ran.is_red for ran in cases] == [False, False, False, False, True]


def test_a_draft_excuses_nothing_that_passes() -> None:
    cases = [case(name="test_one[a]"), case(Verdict.PASSED, "test_one[b]")]
    [known] = parse(draft([], cases, today=TODAY), "draft")
    assert known.case == "test_one[a]"


GOOD = 'requirement = "WIRE-03"\nreason = "r"\nuntil = 2027-01-31\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[known]", "b.toml: not TOML"),
        ("[[knwon]]", r"'knwon' is no list of a baseline; use \[\[known\]\]"),
        ("known = 3", r"under \[\[known\]\]"),
        ("known = [3]", "known entry 1: expected a table, came 3"),
        (f"[[known]]\n{GOOD}[[known]]\n", "known entry 2: 'requirement' is missing"),
        ('[[flaky]]\nrequirement = "WIRE-03"\nreason = "r"', "flaky entry 1: 'until' is missing"),
        (f"[[known]]\n{GOOD}cases = 3", "unknown member 'cases'; use requirement, case"),
        (f"[[known]]\n{GOOD}case = 3", "case is 3; give some text"),
        (f'[[known]]\n{GOOD}case = ""', "case is ''; give some text"),
        (f"[[known]]\n{GOOD}".replace("01-31", "01-31T10:00:00"), "give a date such as 2027-01-31"),
        (f"[[known]]\n{GOOD}".replace("WIRE-03", "WIRE-99"), "'WIRE-99' is no requirement"),
    ],
)
def test_what_is_no_baseline_is_refused_where_it_is_wrong(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse(text, "b.toml")


def test_an_empty_baseline_knows_nothing() -> None:
    assert parse("", "b.toml") == []

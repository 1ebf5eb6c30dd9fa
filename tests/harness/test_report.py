"""What is made of a result: the same truth as JSON, text, JUnit, page and badge."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import msgspec
import pytest

from deploy_relay_kit.harness.cli.main import main
from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.judge import report
from deploy_relay_kit.harness.judge.catalogue import requirements
from deploy_relay_kit.harness.judge.causes import causes, summary
from deploy_relay_kit.harness.judge.model import Case, Check, Evidence, Result, Verdict
from deploy_relay_kit.harness.judge.report import badge, junit, page, text
from deploy_relay_kit.harness.judge.report.result import from_json, read, result_schema, to_json
from deploy_relay_kit.harness.witness.printable import printable
from deploy_relay_kit.harness.witness.timeline import ConnectionTimeline, TimelineMoment
from tests.harness.driving import case, failed, result_of

HOSTILE = "<script>alert('&')</script> \x00\x1b[31m \ud800 ünd 漢"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)


def timeline(node: str) -> ConnectionTimeline:
    first: TimelineMoment = {
        "ms": 0.0,
        "kind": "accepted",
        "part": "connection",
        "text": "accepted",
    }
    last: TimelineMoment = {
        "ms": 12.5,
        "kind": "closed",
        "part": "end",
        "text": f"closed {HOSTILE}",
    }
    return {"node": node, "client": "127.0.0.1:9", "moments": [first, last]}


@pytest.fixture
def result() -> Result:
    evidence = Evidence(
        reported=["{}"], seen=f"node a {HOSTILE}", timelines=[timeline("a"), timeline("b")]
    )
    bad = failed(
        "WIRE-04",
        subject="the status",
        expected='"success"',
        got=f'"failed" {HOSTILE}',
        where="test_a.py:7",
        hint="send no header but one",
    )
    cases = [
        Case("t/test_a.py::test_good", checks=[Check("WIRE-03", Verdict.PASSED)], seconds=0.25),
        case("test_bad[<1>]", bad, Check("WIRE-03", Verdict.PASSED), evidence=evidence),
        Case(
            "t/test_a.py::test_ours",
            checks=[Check("URL-08", Verdict.HARNESS_ERROR)],
            error="our fault",
        ),
        case("test_known", Check("SEQ-05", Verdict.KNOWN_FAILURE, got="x", known="old & slow")),
        case("test_flaky", Check("SEQ-06", Verdict.KNOWN_FLAKY, got="x", known="now & then")),
        case("test_skips", Check("AGG-02", Verdict.UNTESTABLE, blocked_by="no such node 7")),
        case("test_absent", Check("AGG-01", Verdict.NOT_APPLICABLE, blocked_by="retry")),
    ]
    return Result(
        "cmd:./relay --flag", "0.1.0", "2026-11-24T08:00:00+00:00", 1.5,
        cases=cases, stale=["WIRE-07: passes"],
    )  # fmt: skip


def test_the_document_is_as_its_schema_says_and_is_read_back(
    result: Result, tmp_path: Path
) -> None:
    written = to_json(result)
    jsonschema.validate(json.loads(written), result_schema())
    assert from_json(written, "it") == result
    (tmp_path / "marked.json").write_text(written, "utf-8-sig")
    assert read([tmp_path / "marked.json"]) == [result]
    document = json.loads(written)
    verdicts = {it["id"]: it["verdict"] for it in document["requirements"]}
    assert verdicts == result.verdicts
    assert set(verdicts.values()) == {*Verdict}, "each verdict is shown here"
    assert document["summary"].startswith("judged 5 of ")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{", "it: not JSON"),
        pytest.param("[" * 100_000, "it: not JSON", id="deep"),
        ("[]", "it: not the result of a run: Expected `object`, got `array`"),
        ('{"format": 2}', "it: not the result of a run"),
    ],
)
def test_what_is_no_result_is_refused(written: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        from_json(written, "it")


def test_a_requirement_that_this_version_does_not_know_is_named(result: Result) -> None:
    result.cases = [case("test", Check("WIRE-99", Verdict.PASSED))]
    with pytest.raises(InputError, match="'WIRE-99' is not a requirement of this kit's version"):
        from_json(json.dumps(msgspec.to_builtins(result)), "it")


def test_the_text_shows_causes_and_counts_the_rest(result: Result) -> None:
    shown = "\n".join(text.lines(result))
    assert "\nfailed (must; 1 requirement, 1 case): WIRE-04\n" in shown
    assert '  the status: expected "success"\n' in shown
    assert '  got "failed" <script>' in shown
    assert "  hint: send no header but one\n" in shown
    assert "test_known" not in shown
    assert "test_good" not in shown
    alone = "relay-harness run --relay 'cmd:./relay --flag' --case 'test_x.py::test_bad[<1>]'"
    assert f"  run it alone: {alone}\n" in shown
    assert "blocked: no such node 7" in shown
    assert "stale in the baseline:\n  WIRE-07: passes" in shown
    assert "\nnot judged:\n  without retry: AGG-01\n" in shown
    assert " ".join(shown.split("\n\n")[-1].split()) == (
        f"judged 5 of {len(requirements())} requirements, "
        "1 passed, 1 must failed, 1 known failure, 1 known flaky, "
        "1 harness error, 3 causes, 1 untestable (what a case looks at did not happen), "
        "1 not applicable (needs a capability that is not declared), 1 stale in the baseline "
        "(7 cases, 2 s)"
    )
    every = "\n".join(text.lines(result, verbose=True))
    assert "\nknown failure  SEQ-05   " in every


def test_a_requirement_that_one_case_could_not_judge_and_another_saw_hold_is_told(
    result: Result,
) -> None:
    seen, blocked = Check("SEQ-08", Verdict.PASSED), Check("SEQ-08", Verdict.UNTESTABLE)
    result.cases = [case("test_a", seen), case("test_b", blocked), case("test_c", seen)]
    last = " ".join("\n".join(text.lines(result)).split("\n\n")[-1].split())
    assert (
        "1 untestable (what a case looks at did not happen; 1 of them held in other cases)" in last
    )
    every = "\n".join(text.lines(result, verbose=True))
    assert re.search(r"\nuntestable +SEQ-08 .*\(3 cases, 1 of them untestable\)", every)


def test_the_text_is_safe_on_a_terminal(result: Result) -> None:
    shown = printable("\n".join(text.lines(result)))
    assert "\x1b" not in shown
    assert "\\x1b[31m" in shown
    assert shown.encode(), "no lone surrogate is left"
    assert printable("a\u202eb\x9b\u2028") == "a\\u202eb\\x9b\\u2028"


def test_failures_that_share_a_cause_are_one_block() -> None:
    cases = [case(f"test_{n}", failed(rule="PREAMBLE", got=f"{n} bytes")) for n in range(30)]
    cases += [
        case(f"test_b{n}", Check("URL-08", Verdict.UNTESTABLE, blocked_by=f"node-{n} saw nothing"))
        for n in range(30)
    ]
    cases.append(case("test_c", failed("KIT-04", subject="the pause", expected="5", got="6")))
    result = Result("reference", "0", "", 0.0, cases=cases)
    found = causes(result)
    assert [(it.requirements, len(it.cases), it.level) for it in found] == [
        (["WIRE-03"], 30, "must"),
        (["KIT-04"], 1, "should"),
        (["URL-08"], 30, "must"),
    ]
    assert len(list(text.lines(result))) < 60
    assert "1 must failed, 1 should failed" in summary(result)


def test_what_is_left_of_a_requirement_stands_with_its_only_known_mistake() -> None:
    hinted = failed("RES-06", subject="the reason", expected="boom", got="HTTP 500", hint="read it")
    others = [failed("RES-06", subject=f"reason {n}", expected="x", got="y") for n in "abc"]
    same_words = [
        failed(id_, subject="the status", reason="Expecting value 7")
        for id_ in ("RES-01", "SSE-03")
    ]
    own_words = failed("RES-06", subject="the reason", reason="HTTP 100")
    cases = case("test_a", *others, *same_words, own_words), case("test_b", hinted)
    found = causes(result_of(*cases))
    assert [it.requirements for it in found] == [["RES-01", "SSE-03"], ["RES-06"]]
    shown = "\n".join(text.lines(result_of(case("test_a", *others), case("test_b", hinted))))
    assert "hint: read it" in shown
    assert "  also RES-06: reason a: expected x, got y\n" in shown
    assert "… and 1 more look at the same\n" in shown


def test_looks_without_a_hint_stand_with_the_one_cause_that_their_cases_show() -> None:
    named_twice = failed("KIT-09", subject="the fields named note", expected="at most 1", got="2")
    by_rule = failed("KIT-09", subject="the upload", rule="FIELD_TWICE")
    elsewhere = case("test_b", failed("KIT-09", subject="the other fields"))
    assert len(causes(result_of(case("test_a", named_twice, by_rule)))) == 1
    assert len(causes(result_of(case("test_a", named_twice, by_rule), elsewhere))) == 2


def test_the_example_of_a_cause_is_its_simplest_case() -> None:
    def with_deploys(name: str, number: int) -> Case:
        made = case(name, failed("URL-08", subject="the targets"))
        made.evidence = Evidence(["{}"] * number, [], "", "", [])
        return made

    (cause,) = causes(result_of(with_deploys("test_a", 8), with_deploys("test_b", 1)))
    assert cause.case.name == "test_b"


def test_the_least_that_is_missing_is_told_of_what_was_not_judged() -> None:
    missing = ["limits, retry", "retry", "mint.given", "cancel, events"]
    checks = [Check("RTY-02", Verdict.NOT_APPLICABLE, blocked_by=it) for it in missing]
    shown = "\n".join(text.lines(result_of(case("test_a", *checks))))
    assert "  without cancel and events or mint.given or retry: RTY-02\n" in shown


def test_what_is_stricter_than_upstream_is_counted_apart() -> None:
    in_one = "test_a_forbidden_name_with_quotes_or_line_breaks_is_not_forwarded[x]"
    result = result_of(
        case("test", failed("MINT-07"), failed("KIT-04")),
        case(in_one, failed("FLD-01"), failed("FLD-08")),
    )
    words = "1 must failed, 1 should failed, 2 failed that are stricter than upstream, 4 causes"
    assert words in summary(result)
    assert words in html.unescape(page.render([result]))
    reason = requirements()["FLD-01"].stricter
    shown = " ".join("\n".join(text.lines(result, verbose=True)).split())
    assert "failed, stricter than upstream (must; 1 requirement, 1 case): FLD-01 " in shown
    assert f" upstream: {reason}" in shown
    assert "failed, stricter than upstream FLD-01 " in shown
    assert f"<p>Upstream: {html.escape(reason)}</p>" in page.render([result])
    assert page.render([result]).count("✗ failed, stricter than upstream") == 4  # rows and causes
    document = json.loads(to_json(result))
    assert document["failed"] == {"must": 1, "should": 1, "may": 0, "stricter": 2}
    assert document["causes"] == 4
    [suite] = ET.fromstring(junit.render(result))
    properties = {it.get("name"): it.get("value") for it in suite.findall("properties/property")}
    assert properties == {
        "failed: must": "1",
        "failed: should": "1",
        "failed: may": "0",
        "failed: stricter": "2",
    }
    junit_text = "".join(it.text or "" for it in suite.iter("failure"))
    assert "failed, stricter than upstream: FLD-01 (must)" in junit_text
    stricter = {it["id"] for it in document["requirements"] if it["stricter"]}
    assert stricter == {"MINT-07", "FLD-01"}
    result.cases.append(case("test_another", failed("FLD-01")))
    assert "2 musts failed" in summary(result), "the original does not fail there"


def test_a_cause_names_what_of_it_asks_more_than_the_original() -> None:
    both = [failed(id_, rule="FIELD_HEADER") for id_ in ("FLD-08", "MINT-07")]
    result = result_of(case("test_a", *both))
    shown = "\n".join(text.lines(result))
    assert "\nfailed (must; 2 requirements, 1 case): MINT-07 FLD-08" not in shown
    [cause] = causes(result)
    assert (cause.title, cause.level, cause.stricter) == ("failed", "must", ["MINT-07"])
    assert cause.ids.endswith(" (stricter than upstream: MINT-07)")


def test_a_first_cause_comes_first() -> None:
    result = Result("reference", "0", "", 0.0, prerequisite="the relay trusted nobody")
    shown = list(text.lines(result))
    assert shown[:2] == [
        "failed: reference: first cause: the relay trusted nobody",
        "The run ended before the cases. --keep-going runs them nevertheless.",
    ]
    last = " ".join(shown[-1].split())
    assert last.endswith("exit code 1: the relay does not deploy to a healthy node")
    assert not result.passed


def test_the_first_line_is_the_verdict_and_the_last_line_says_why_the_run_fails() -> None:
    good = case("test_a", Check("WIRE-03", Verdict.PASSED))
    blocked = case("test_b", Check("URL-08", Verdict.UNTESTABLE, blocked_by="no upload"))
    first_and_last: list[tuple[tuple[Case, ...], str, str]] = [
        ((good,), "passed: reference", "(1 case, 1 s)"),
        ((good, blocked), "failed: reference: 1 untestable", "exit code 1: 1 untestable"),
        ((case("test_c", failed("KIT-04")), good), "failed: reference: 1 ", "(2 cases, 1 s)"),
        ((), "failed: reference: nothing was judged", "exit code 1: nothing was judged"),
    ]
    for cases, first, last in first_and_last:
        shown = list(text.lines(result_of(*cases)))
        assert shown[0].startswith(first)
        assert " ".join(shown[-1].split()).endswith(last)


def test_a_bad_relay_is_told_in_fewer_than_300_lines(result: Result) -> None:
    seen = "\n".join(f"line {n}" for n in range(1_000))
    evidence = Evidence(commands=["{}"], reported=["{}"], wrote=seen, seen=seen, trace=seen)
    ids = list(requirements())
    result.cases = [
        case(f"test_{n}", failed(id_, subject="it", expected="a " * n, got=f"{n}" * n, hint=id_))
        for n, id_ in enumerate(ids)
    ]
    for each in result.cases:
        each.title, each.evidence = "It does " * 20, evidence
    shown = "\n".join(text.lines(result)).splitlines()
    assert len(shown) < 300
    assert "without what the peers saw (-v prints it, --report DIR writes it):" in shown
    assert "further causes, in short (-v prints them whole, --report DIR writes them):" in shown
    assert any(it.endswith("more causes: -v prints all, --report DIR writes all") for it in shown)
    whole = "\n".join(text.lines(result, verbose=True))
    assert all(f"hint: {id_}" in whole for id_ in ids)


def test_slow_cases_are_named() -> None:
    cases = [case(f"test_{n}", Check("WIRE-03", Verdict.PASSED)) for n in (1, 7, 31)]
    for seconds, each in zip((1, 7, 31), cases, strict=True):
        each.seconds = seconds
    shown = "\n".join(text.lines(Result("reference", "0", "", 0.0, cases=cases)))
    assert "slowest of 2 slow cases: test_31 31 s, test_7 7 s\n" in shown


def test_junit_tells_failures_errors_and_what_is_known_apart(result: Result) -> None:
    [suite] = ET.fromstring(junit.render(result))
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "8", "failures": "3", "errors": "1", "skipped": "3"}
    cases = {it.get("name"): it for it in suite}
    failure = cases["test_bad[<1>]"].find("failure")
    assert failure is not None
    assert failure.get("message") == "failed: WIRE-04"
    assert "<script>alert('&')</script> \\x00\\x1b[31m \\ud800 ünd 漢" in str(failure.text)
    assert cases["test_ours"].find("error") is not None
    skipped = cases["test_known"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "known failure: old & slow"
    assert cases["test_good"].get("time") == "0.250"
    assert len(cases["test_good"]) == 1, "only its properties"


@pytest.mark.parametrize(
    ("keep", "words", "colour"),
    [
        (slice(1), "1/1 requirements", "#2e7d32"),
        (slice(0, 7, 3), "1/2 requirements", "#8a6d00"),
        (slice(2), "1/2 requirements", "#b3261e"),
    ],
)
def test_the_badge_says_how_many(result: Result, keep: slice, words: str, colour: str) -> None:
    result.cases, result.stale = result.cases[keep], []
    svg = badge.render(result)
    ET.fromstring(svg)
    assert words in svg
    assert colour in svg


def test_the_page_needs_nothing_else_and_runs_nothing_that_a_relay_said(result: Result) -> None:
    shown = page.render([result])
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown
    assert not re.search(r"""(src|href)=["'](?!#)""", shown)
    assert not re.search(r"https?://|@import|url\(", shown)


@pytest.fixture
def pages(result: Result, tmp_path: Path) -> Path:
    other = Result("reference", "0.1.0", "2026-11-24T09:00:00+00:00", 1.0, cases=result.cases[:1])
    report.write([result], tmp_path / "out")
    report.write([other, result], tmp_path / "out")  # the page of both
    return tmp_path / "out"


def browse(address: str, *options: str) -> str:
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *options]
    command += ["--disable-dev-shm-usage", "--virtual-time-budget=2000", "--dump-dom", address]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return run.stdout


# Appended to a page: follows links of filters, then types, and notes what is to be seen each time.
DRIVE = """<script>
addEventListener("load", async () => {
  const seen = [];
  const count = what => document.querySelectorAll(`${what}:not([hidden])`).length;
  const words = document.getElementById("shown");
  const note = () => seen.push([location.hash, count(".row"), count(".failure"), words.innerText]);
  note();
  for (const hash of ["#?q=test_bad", "#?outcome=failed&level=must", "#?"]) {
    const changed = new Promise(done => addEventListener("hashchange", done, {once: true}));
    location.hash = hash;
    await changed;
    note();
  }
  search.value = "test_bad";
  search.dispatchEvent(new Event("input"));
  note();
  document.title = JSON.stringify(seen);
});
</script>"""


def test_a_browser_shows_the_page_and_filters_it(pages: Path, tmp_path: Path) -> None:
    driven = tmp_path / "driven.html"
    driven.write_text((pages / "index.html").read_text(encoding="utf-8") + DRIVE, encoding="utf-8")
    dom = browse(driven.as_uri(), f"--user-data-dir={tmp_path / 'profile'}")
    title = re.search("<title>(.*?)</title>", dom)
    assert title is not None
    assert json.loads(html.unescape(title[1])) == [
        ["", 7, 5, "7 requirements shown"],
        ["#?q=test_bad", 0, 1, "0 requirements shown"],
        ["#?outcome=failed&level=must", 1, 1, "1 requirement shown"],
        ["#?", 7, 5, "7 requirements shown"],
        ["#?q=test_bad", 0, 1, "0 requirements shown"],
    ]


def test_a_link_to_a_failure_opens_it(pages: Path, tmp_path: Path) -> None:
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    seen = browse(f"{(pages / 'index.html').as_uri()}#run-2-2", profile)
    assert re.search(r'id="run-2-2"[^>]* open=""', seen)
    assert not re.search(r'id="run-2-1"[^>]* open=""', seen)


MEASURE = """<script>
for (const it of document.querySelectorAll("details")) it.open = true;
const page = document.documentElement;
document.title = `${page.scrollWidth - page.clientWidth} too wide`;
</script>"""


def test_a_narrow_page_scrolls_down_only(result: Result, tmp_path: Path) -> None:
    result.relay = result.identity = f"cmd:/{'a_long_path' * 20}"
    shown = tmp_path / "narrow.html"
    shown.write_text(page.render([result, result]) + MEASURE, "utf-8", "backslashreplace")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    seen = browse(shown.as_uri(), profile, "--window-size=400,800")
    assert "<title>0 too wide</title>" in seen


def test_runs_are_compared_side_by_side(
    pages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = str(pages / "result.json")
    assert main(["report", one, one, one, "--to", str(tmp_path / "new" / "deep")]) == 0
    written = capsys.readouterr().out.splitlines()
    assert [line.rpartition("/")[2] for line in written] == ["index.html"]
    compared = (tmp_path / "new" / "deep" / "index.html").read_text(encoding="utf-8")
    assert compared.count('title="cmd:./relay --flag"') == 3
    for letter in "ABC":
        assert f">{letter}</th>" in compared


def test_results_that_cannot_be_compared_are_named(
    pages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = str(pages / "result.json")
    missing, occupied = tmp_path / "missing.json", tmp_path / "file"
    occupied.touch()
    assert main(["report", one, str(missing), "--to", str(tmp_path)]) == 2
    assert f"{missing}: No such file or directory; give" in capsys.readouterr().err
    assert main(["report", one, "--to", str(occupied)]) == 2
    assert f"--to {occupied}: File exists" in capsys.readouterr().err

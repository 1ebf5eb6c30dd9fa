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
import pytest

from harness.cli.main import main
from harness.errors import InputError
from harness.judge import report
from harness.judge.report import badge, junit, page, text
from harness.judge.results import Result, from_json, schema, to_json
from harness.judge.verdicts import OUTCOMES, Case, Verdict
from tests.harness.driving import evidence

HOSTILE = "<script>alert('&')</script> \x00\x1b[31m \ud800 ünd 漢"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)


def moments() -> list[dict[str, object]]:
    first = {"ms": 0.0, "kind": "accepted", "part": "connection", "text": "accepted"}
    last = {"ms": 12.5, "kind": "closed", "part": "end", "text": f"closed {HOSTILE}"}
    return [first, last]


@pytest.fixture
def result() -> Result:
    timelines = [{"node": it, "client": "127.0.0.1:9", "moments": moments()} for it in ("a", "b")]
    cases = [
        Case("t/test_a.py::test_good", ["WIRE-03"], seconds=0.25),
        Case(
            "t/test_a.py::test_bad[<1>]",
            ["WIRE-04", "WIRE-03"],
            Verdict.FAILED,
            evidence=evidence(
                where="test_a.py:7",
                expected="assert record.status == 'success'",
                came=f"'failed' {HOSTILE}",
                reported=["{}"],
                seen=f"node a {HOSTILE}",
                findings=["WIRE-03"],
                timelines=timelines,
            ),
        ),
        Case("t/test_a.py::test_ours", ["URL-08"], Verdict.HARNESS_ERROR, text="our fault"),
        Case("t/test_a.py::test_known", ["SEQ-05"], Verdict.FAILED, text="x", known="old & slow"),
        Case("t/test_a.py::test_flaky", ["SEQ-06"], Verdict.FAILED, text="x", flaky="now & then"),
        Case("t/test_a.py::test_skips", ["AGG-02"], Verdict.UNTESTABLE, text="would not"),
        Case("t/test_a.py::test_absent", ["AGG-01"], Verdict.NOT_APPLICABLE, text="no retry"),
    ]
    return Result(
        "cmd:./relay --flag", "0.1.0", "2026-11-24T08:00:00+00:00", 1.5,
        cases=cases, stale=["WIRE-07: passes"],
    )  # fmt: skip


def printable(result: Result) -> None:
    text = json.dumps(result.cases[1].evidence).replace("\\ud800", "")
    result.cases[1].evidence = json.loads(text)


def test_the_document_is_as_its_schema_says_and_is_read_back(result: Result) -> None:
    # A lone surrogate cannot stand in UTF-8; pytest escapes them before they get here.
    printable(result)
    written = to_json(result)
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(json.loads(written), schema())
    assert from_json(written, "it") == result
    outcomes = {it["id"]: it["outcome"] for it in json.loads(written)["requirements"]}
    assert outcomes == result.outcomes
    assert set(outcomes.values()) == {*OUTCOMES} - {"passed"}, "each outcome but one is shown here"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{", "it: not JSON"),
        pytest.param("[" * 100_000, "it: not JSON", id="deep"),
        ("[]", r"it: not the result of a run: \$: \[\] is not of type 'object'"),
        ('{"format": 2}', "it: not the result of a run"),
    ],
)
def test_what_is_no_result_is_refused(written: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        from_json(written, "it")


def test_a_requirement_that_this_version_does_not_know_is_named(result: Result) -> None:
    result.cases = [Case("x::test", ["WIRE-99"])]
    with pytest.raises(InputError, match="'WIRE-99' is no requirement of this kit's version"):
        from_json(to_json(result), "it")


def test_the_text_shows_what_is_red_and_counts_the_rest(result: Result) -> None:
    shown = "\n".join(text.lines(result))
    assert "known failure  SEQ-05" in shown
    assert "\nfailed: test_bad[<1>]\n" in shown
    assert "test_known" not in shown
    assert (
        "relay-harness run --relay 'cmd:./relay --flag' --case 'test_a.py::test_bad[<1>]'" in shown
    )
    assert (
        "  expected:\n    assert record.status == 'success'\n  came:\n    'failed' <script>"
        in shown
    )
    assert "stale in the baseline:\n  WIRE-07: passes" in shown
    assert shown.endswith(
        "\n7 requirements: 1 not applicable, 1 known flaky, 1 known failure, 1 untestable, "
        "2 failed, 1 harness error (7 cases), 1 stale in the baseline"
    )


def test_junit_tells_failures_errors_and_what_is_known_apart(result: Result) -> None:
    [suite] = ET.fromstring(junit.render(result))
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "8", "failures": "3", "errors": "1", "skipped": "3"}
    cases = {it.get("name"): it for it in suite}
    failure = cases["test_bad[<1>]"].find("failure")
    assert failure is not None
    assert failure.get("message") == "failed: WIRE-04, WIRE-03"
    assert "<script>alert('&')</script> \ufffd\ufffd[31m \ufffd ünd 漢" in str(failure.text)
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
        (slice(2), "0/2 requirements", "#b3261e"),
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
    printable(result)
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
        ["#?outcome=failed&level=must", 2, 1, "2 requirements shown"],
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
    printable(result)
    result.relay = result.identity = f"cmd:/{'a_long_path' * 20}"
    shown = tmp_path / "narrow.html"
    shown.write_text(page.render([result, result]) + MEASURE, encoding="utf-8")
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

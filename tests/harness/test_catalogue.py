"""The catalogue is complete: each statement is a requirement or excluded, and cases check each."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cli.main import main
from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.judge.catalogue import (
    every_requirement,
    excluded,
    requirements,
    sources,
)
from deploy_relay_kit.harness.judge.explain import (
    after_every_case,
    cases_by_requirement,
    explain,
    requirements_of,
)
from deploy_relay_kit.harness.judge.shipped_paths import conformance_cases
from deploy_relay_kit.harness.targets.capabilities import CAPABILITIES
from deploy_relay_kit.harness.witness.wire import Rule

# Defects of the command line or of another version of Harper: the original relay is free of them.
NOT_IN_THE_RELAY = {"WIRE-16", "MINT-08", "SSE-16", "BUG-20", "BUG-34"}

# The number of statements in each part of the protocol.
STATEMENTS = {
    "WIRE": 17,
    "PARSE": 32,
    "SEQ": 12,
    "FLD": 8,
    "URL": 11,
    "TLS": 6,
    "HTTP": 6,
    "RES": 15,
    "AGG": 8,
    "WS": 21,
    "MINT": 16,
    "DEP": 17,
    "TRK": 8,
    "RST": 2,
    "RTY": 4,
    "SSE": 20,
    "VER": 4,
    "EARLY": 12,
    "BUG": 42,
}


def test_every_statement_is_a_requirement_or_excluded_with_a_reason() -> None:
    stated = {f"{part}-{n:02}" for part, count in STATEMENTS.items() for n in range(1, count + 1)}
    required = {id_ for id_ in requirements() if not id_.startswith("KIT-")}
    unknown = (required | set(excluded())) - stated
    assert unknown == set(), (
        "these are not in STATEMENTS of this file; use KIT- and the next number"
    )
    assert stated - required - set(excluded()) == set(), (
        "add these to harness/judge/requirements.toml, also if only to [[excluded]]"
    )
    assert required & set(excluded()) == set(), (
        "take these out of [[excluded]] in requirements.toml"
    )
    assert all(reason.endswith(".") for reason in excluded().values())


@pytest.mark.parametrize("id_", requirements())
def test_a_requirement_is_one_sentence_with_its_why_and_its_source(id_: str) -> None:
    assert re.fullmatch(r"[A-Z]+-\d\d", id_), "an id is a family and two digits, such as KIT-07"
    requirement = requirements()[id_]
    assert requirement.level in {"must", "should", "may"}
    assert re.fullmatch(r"[^\n]+[^.]\.", requirement.sentence), "end the sentence with one period"
    assert len(requirement.sentence) < 120, "a sentence has fewer than 120 characters"
    assert requirement.why.endswith("."), "end why with a period"
    for source in requirement.source.split("; "):
        is_known = source in sources() or re.match(r"RFC \d+ §", source)
        assert is_known, "give a name of [sources], or the section of an RFC: RFC 9110 §7.2"
    assert set(requirement.capabilities) <= set(CAPABILITIES), (
        "add it to harness/targets/capabilities.py"
    )


@pytest.mark.parametrize("id_", [id_ for id_, it in requirements().items() if it.stricter])
def test_what_is_stricter_than_upstream_says_what_the_original_does(id_: str) -> None:
    requirement = requirements()[id_]
    assert re.match(r"(In t|T)he original[^\n]+\.$", requirement.stricter)
    assert (
        requirement.source not in {"upstream relay", "upstream sender"} or requirement.stricter_in
    )
    known = {
        place.rpartition("::")[2] for places in cases_by_requirement().values() for place in places
    }
    named = {case.partition("[")[0] for case in requirement.stricter_in}
    assert named <= known, "no such case"
    of_it = {place.rpartition("::")[2] for place in cases_by_requirement()[id_]}
    assert id_ in after_every_case() or named <= of_it, "no case of this requirement"


def test_the_rows_in_which_a_requirement_is_stricter_exist() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", str(conformance_cases())]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    names = {line.rpartition("::")[2] for line in run.stdout.splitlines()}
    rows = {case for it in requirements().values() for case in it.stricter_in if "[" in case}
    assert rows <= names
    assert len(rows) == 3


def test_a_known_defect_of_the_original_is_stricter_unless_a_capability_is_needed() -> None:
    """What the original does wrong is no defect against it, so the summary counts it apart."""
    defects = {id_ for id_, it in requirements().items() if it.source.startswith("upstream defect")}
    unmarked = {id_ for id_ in defects if not requirements()[id_].stricter}
    unknown = unmarked - NOT_IN_THE_RELAY
    assert unknown == set(), "say in `stricter` of requirements.toml what the original does"
    assert NOT_IN_THE_RELAY - unmarked == set(), "these have `stricter`: remove them from this file"


def test_no_two_requirements_have_the_same_sentence() -> None:
    sentences = [requirement.sentence for requirement in requirements().values()]
    twice = {sentence for sentence in sentences if sentences.count(sentence) > 1}
    assert twice == set(), "reword one of each in harness/judge/requirements.toml"


def test_every_capability_has_a_sentence_and_a_name_that_the_schema_takes() -> None:
    for name, sentence in CAPABILITIES.items():
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", name)
        assert sentence.endswith(".")


def test_every_requirement_that_a_case_names_is_in_the_catalogue() -> None:
    unknown = set(cases_by_requirement()) - set(requirements())
    assert unknown == set(), "add these to harness/judge/requirements.toml"


def test_every_rule_of_the_wire_check_has_its_own_requirement() -> None:
    missing = {rule.id for rule in Rule} - set(requirements())
    assert missing == set(), "add these to harness/judge/requirements.toml"


def test_every_requirement_has_a_case() -> None:
    """Also a SHOULD, so that the output of a run has a line for each."""
    missing = set(requirements()) - set(cases_by_requirement()) - after_every_case()
    assert missing == set(), 'look at these in a case of tests/conformance/: with check("<id>"):'


def test_every_case_has_a_docstring_of_one_sentence() -> None:
    """More may follow after an empty line."""
    wrong = []
    for file in conformance_cases().glob("test_*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                sentence = (ast.get_docstring(node) or "").partition("\n\n")[0]
                if not re.fullmatch(r"[A-Z`].*[^.]\.", sentence, re.DOTALL) or ". " in sentence:
                    wrong.append(f"{file.name}::{node.name}")
    assert wrong == [], "say in one sentence what a conforming relay does"


def test_an_explanation_has_everything_in_the_catalogue() -> None:
    lines = list(explain("seq-06"))
    assert lines[0] == f"SEQ-06 (must): {requirements()['SEQ-06'].sentence}"
    assert lines[1].startswith("why: ")
    assert lines[2] == f"stricter than upstream: {requirements()['SEQ-06'].stricter}"
    assert lines[3].startswith("  only in test_a_token_that_cannot_stand_in_a_header_fails_the")
    assert lines[4] == f"source: upstream relay, {sources()['upstream relay']}"
    assert lines[5].startswith("only with mint.operations: ")
    assert lines[6].startswith("or mint.replication: ")
    assert "  test_mint_failures.py::test_a_refused_mint_fails_the_peer_without_an_upload" in lines


def test_an_explanation_names_the_common_mistakes() -> None:
    lines = [line for line in explain("WIRE-13") if line.startswith("common mistake: ")]
    assert any("sending chunks" in line for line in lines)


def test_every_requirement_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(every_requirement())


def test_an_excluded_statement_is_explained_by_its_reason() -> None:
    assert next(iter(explain("URL-07"))) == "URL-07 is not demanded of a relay."


def test_an_unknown_requirement_names_its_neighbours() -> None:
    with pytest.raises(InputError, match="AGG-01, AGG-02"):
        list(explain("AGG-99"))


def test_cases_are_found_without_importing_them(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "import no_such_module\n"
        'def test_plain(check):\n    with check("AB-01"): ...\n    with check("AB-02"): ...\n'
        "def looks(check, id_='AB-03'):\n    with check(id_): ...\n"
        "def test_by_a_helper(check):\n    looks(check)\n"
        '@pytest.mark.parametrize("x", ["AB-04"])\n'
        "def test_by_parameter(check, x):\n    with check(x): ...\n"
    )
    assert cases_by_requirement(tmp_path) == {
        "AB-01": ["test_one.py::test_plain"],
        "AB-02": ["test_one.py::test_plain"],
        "AB-03": ["test_one.py::test_by_a_helper"],
        "AB-04": ["test_one.py::test_by_parameter"],
    }


def test_a_row_checks_its_own_requirement(tmp_path: Path) -> None:
    """Of ids that are parameters, those in the pytest id; all where it names none."""
    file = tmp_path / "test_one.py"
    file.write_text(
        '@pytest.mark.parametrize("x", ["AB-04", "AB-05"])\n'
        "def test_rows(check, x):\n    with check(x): ...\n    with check('AB-01'): ...\n"
    )
    assert requirements_of("test_one.py::test_rows[AB-05-two]", file) == ["AB-01", "AB-05"]
    assert requirements_of("test_one.py::test_rows[two]", file) == ["AB-01", "AB-04", "AB-05"]


def test_the_wire_check_stands_for_every_rule(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_a(check, peer):\n    check.wire(peer)\n")
    assert set(cases_by_requirement(tmp_path)) == {rule.id for rule in Rule}

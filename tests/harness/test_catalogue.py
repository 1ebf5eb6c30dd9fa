"""The catalogue is whole: every statement is asked or excluded, and what is asked is checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.errors import InputError
from harness.judge.catalogue import capabilities, excluded, requirements, sources
from harness.judge.explain import cases_by_requirement, explain
from harness.witness.wire import Rule
from tests.mutants.mutant import KEEPS_TO, case

# How many statements each part of the protocol description holds.
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


def test_every_statement_is_asked_of_a_relay_or_excluded_with_a_reason() -> None:
    stated = {f"{part}-{n:02}" for part, count in STATEMENTS.items() for n in range(1, count + 1)}
    asked = {id_ for id_ in requirements() if not id_.startswith("KIT-")}
    assert asked | set(excluded()) == stated
    assert asked & set(excluded()) == set()
    assert all(reason.endswith(".") for reason in excluded().values())


@pytest.mark.parametrize("id_", requirements())
def test_a_requirement_is_one_sentence_with_its_why_and_its_source(id_: str) -> None:
    requirement = requirements()[id_]
    assert requirement.level in {"must", "should", "may"}
    assert re.fullmatch(r"[^\n]+[^.]\.", requirement.sentence)
    assert len(requirement.sentence) < 120, "a line of a terminal"
    assert requirement.why.endswith(".")
    for source in requirement.source.split("; "):
        assert source in sources() or re.match(r"RFC \d+ §", source)
    assert set(requirement.capabilities) <= set(capabilities())


def test_no_two_requirements_say_the_same() -> None:
    sentences = [requirement.sentence for requirement in requirements().values()]
    assert len(set(sentences)) == len(sentences)


def test_every_capability_has_a_sentence_and_a_name_that_the_schema_takes() -> None:
    for name, sentence in capabilities().items():
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", name)
        assert sentence.endswith(".")


def test_every_requirement_that_a_case_names_is_in_the_catalogue() -> None:
    assert set(cases_by_requirement()) - set(requirements()) == set()


def test_every_rule_that_the_wire_check_knows_has_a_case_of_its_own() -> None:
    # The excluded two need a request of their own: a long value, many fields.
    asked = {rule.id for rule in Rule} - {"PARSE-18", "PARSE-19"}
    assert asked == case(KEEPS_TO).requirements


def test_every_requirement_has_a_case() -> None:
    """So the sentence of each is in the output of a run, also of those that are no must."""
    assert set(requirements()) - set(cases_by_requirement()) == set()


def test_an_explanation_tells_all_that_the_catalogue_knows() -> None:
    lines = list(explain("seq-06"))
    assert lines[0] == f"SEQ-06 (must): {requirements()['SEQ-06'].sentence}"
    assert lines[1].startswith("why: ")
    assert lines[2] == f"source: upstream relay, {sources()['upstream relay']}"
    assert lines[3].startswith("only with mint.operations: ")
    assert lines[4].startswith("or mint.replication: ")
    assert "  test_token.py::test_a_refused_mint_fails_the_peer_without_an_upload" in lines


def test_every_requirement_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(requirements())


def test_an_excluded_statement_is_explained_by_its_reason() -> None:
    assert next(iter(explain("URL-07"))) == "URL-07 is not asked of a relay."


def test_an_unknown_requirement_names_its_neighbours() -> None:
    with pytest.raises(InputError, match="AGG-01, AGG-02"):
        list(explain("AGG-99"))


def test_cases_are_found_without_importing_them(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "import no_such_module\n"
        '@requirement("A-01", "A-02")\n'
        "def test_plain(): ...\n"
        "class TestGroup:\n"
        '    @pytest.mark.requirement("A-01")\n'
        "    def test_in_a_class(self): ...\n"
        '@pytest.mark.parametrize("x", [pytest.param(1, marks=requirement("A-03"))])\n'
        "def test_by_parameter(x): ...\n"
    )
    assert cases_by_requirement(tmp_path) == {
        "A-01": ["test_one.py::test_plain", "test_one.py::test_in_a_class"],
        "A-02": ["test_one.py::test_plain"],
        "A-03": ["test_one.py::test_by_parameter"],
    }

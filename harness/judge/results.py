"""The result of one run: a JSON document, from which every report is made."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.judge.catalogue import requirements
from harness.judge.verdicts import OUTCOMES, Case, Verdict

FORMAT = 1
"""Version of the document's shape; raised when a reader of the old one would go wrong."""


@dataclass(slots=True)
class Result:
    """What came of one run.

    Attributes:
        relay: the target, as `--relay` names it.
        identity: which relay the target says it is, with its version.
        kit: version of the kit that judged.
        started: when the run began, UTC, ISO 8601.
        seconds: how long it took.
        expression: what `-k` or `--case` selected; empty when every case ran.
        cases: in the order of their ids.
        broken: what kept cases from running: collection and internal errors.
        stale: what in the baseline no longer holds.

    """

    relay: str
    kit: str
    started: str
    seconds: float
    identity: str = ""
    expression: str = ""
    cases: list[Case] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether something ran, nothing broke, nothing is stale, and no case is red."""
        return self.ran and not any([self.broken, self.stale, self.red])

    @property
    def ran(self) -> bool:
        """Whether any case applied to the relay."""
        return any(case.verdict is not Verdict.NOT_APPLICABLE for case in self.cases)

    @property
    def red(self) -> list[Case]:
        """The cases that nobody expected to fail, and did."""
        return [case for case in self.cases if case.is_red]

    @property
    def by_requirement(self) -> dict[str, list[Case]]:
        """The cases of each requirement that has any, in the order of the catalogue."""
        cases = defaultdict(list)
        for case in self.cases:
            for id_ in case.requirements:
                cases[id_].append(case)
        return {id_: cases[id_] for id_ in requirements() if id_ in cases}

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome of each requirement that has cases: the worst of theirs."""
        return {
            id_: max((case.outcome for case in cases), key=OUTCOMES.index)
            for id_, cases in self.by_requirement.items()
        }


def to_json(result: Result) -> str:
    """The document, by `result.schema.json`; it says for each requirement what came of it."""
    document: dict[str, Any] = {"format": FORMAT, **asdict(result), "passed": result.passed}
    for case in document["cases"]:
        case["verdict"] = case["verdict"].value
    cases = result.by_requirement
    document["requirements"] = [
        {
            "id": id_,
            "level": requirements()[id_].level,
            "sentence": requirements()[id_].sentence,
            "outcome": outcome,
            "cases": len(cases[id_]),
        }
        for id_, outcome in result.outcomes.items()
    ]
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str, source: str) -> Result:
    """Read a document that `to_json` wrote.

    Raises:
        InputError: it is not one; the text names `source` and what is wrong.

    """
    import jsonschema  # a run only writes, and need not wait for this

    try:
        document = json.loads(text)
        jsonschema.validate(document, schema())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not JSON: {error}") from error
    except jsonschema.ValidationError as error:
        raise InputError(
            f"{source}: not the result of a run: {error.json_path}: {error.message[:200]}"
        ) from error
    cases = [Case(**{**case, "verdict": Verdict(case["verdict"])}) for case in document["cases"]]
    if unknown := {id_ for case in cases for id_ in case.requirements} - set(requirements()):
        raise InputError(f"{source}: {min(unknown)!r} is no requirement of this kit's version")
    members = {member.name: document[member.name] for member in fields(Result)}
    return Result(**{**members, "cases": cases})


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    text = Path(__file__).with_name("result.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def read(paths: Iterable[Path]) -> list[Result]:
    """Read the results of several runs.

    Raises:
        InputError: a file cannot be read, or is no result.

    """
    results = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "not UTF-8"
            raise InputError(f"{path}: {why}; give the result.json of a run") from error
        results.append(from_json(text, str(path)))
    return results

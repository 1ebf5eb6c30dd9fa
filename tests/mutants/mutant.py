"""A mutant is the reference relay with one bug, and names the cases that must fail.

A mutant is a function that patches the reference, registered with `@mutant`. A case is named by its
function and, where it has parameters, by the values that matter.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.leaks.search import files_in_reach
from deploy_relay_kit.harness.judge.cases.plugin import judge
from deploy_relay_kit.harness.judge.explain import cases_by_requirement
from deploy_relay_kit.harness.judge.model import Case as Judged
from tests.conformance import test_wire

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Case:
    """One case with one set of values for its parameters.

    Attributes:
        function: the case in `tests/conformance/`.
        values: of its parameters; by default, the first of each.
    """

    function: Callable[..., None]
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.function.__module__.rpartition('.')[2]}.{self.function.__name__}"

    @property
    def parameters(self) -> dict[str, Any]:
        """A value for every parameter, from a row of the case's own tables.

        Raises:
            LookupError: no row of a table has the given values.
        """
        chosen: dict[str, Any] = {}
        for mark in getattr(self.function, "pytestmark", []):
            if mark.name == "parametrize":
                names, rows = mark.args[0], mark.args[1]
                names = (names,) if isinstance(names, str) else names
                chosen |= self._row(
                    [dict(zip(names, _values(row, names), strict=True)) for row in rows]
                )
        if unknown := set(self.values) - set(chosen):
            raise LookupError(f"{self.name} has no parameter {', '.join(unknown)}")
        return chosen

    def _row(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        for row in rows:
            if all(row[name] == self.values.get(name, row[name]) for name in row):
                return row
        raise LookupError(f"{self.name} is never run with {dict(self.values)}")

    @property
    def requirements(self) -> set[str]:
        """The requirements that it checks."""
        place = f"{self.name.replace('.', '.py::')}"
        return {id_ for id_, places in cases_by_requirement().items() if place in places}

    @property
    def conditions(self) -> list[pytest.Mark]:
        """The conditions under which the case is skipped."""
        marks = list(getattr(self.function, "pytestmark", []))
        of_all = getattr(inspect.getmodule(self.function), "pytestmark", None)
        marks += [of_all.mark] if of_all else []
        return [mark for mark in marks if mark.name == "skipif"]

    def run(self, request: pytest.FixtureRequest) -> Judged:
        """Run it with the fixtures of the test that asks, and judge it."""
        path = Path(inspect.getfile(self.function))
        check = Checks(path)
        arguments = {**self.parameters, "check": check}
        for name in inspect.signature(self.function).parameters:
            if name not in arguments:
                arguments[name] = request.getfixturevalue(name)
        relay, cluster = (request.getfixturevalue(name) for name in ("relay", "cluster"))
        before, ended_by = files_in_reach(), None
        try:
            self.function(**arguments)
        except (Exception, pytest.skip.Exception) as error:  # noqa: BLE001 - it becomes a verdict
            ended_by = error
        judged = Judged(self.name.replace(".", ".py::"))
        judge(judged, check, relay, cluster, ended_by=ended_by, before=before, path=path)
        return judged


def _values(row: Any, names: Sequence[str]) -> Sequence[Any]:
    """The values in a row of a table: one for one name, a tuple, or a `pytest.param` of either."""
    if hasattr(row, "marks"):
        return tuple(row.values)
    return (row,) if len(names) == 1 else tuple(row)


def case(function: Callable[..., None], **values: Any) -> Case:
    """`case(test_refusals.test_a_redirect_is_a_failure_and_not_followed, status=302)`."""
    return Case(function, values)


@dataclass(frozen=True)
class Mutant:
    """A relay with one bug.

    Attributes:
        apply: patches the reference.
        requirements: the requirements that it breaks.
        killed_by: the cases that must see it.
        also: requirements that it breaks truly, too, each with the reason.
    """

    apply: Patch
    requirements: tuple[str, ...]
    killed_by: tuple[Case, ...]
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.apply.__name__

    @property
    def place(self) -> str:
        """Its file and its name: two files may have a mutant of one name."""
        return f"{self.apply.__module__.rpartition('.')[2]}.{self.name}"


KEEPS_TO = test_wire.test_the_upload_keeps_to_the_wire_format
A_HEALTHY_DEPLOY = case(KEEPS_TO)

MUTANTS: list[Mutant] = []


def mutant(
    *requirements: str,
    killed_by: Case | tuple[Case, ...],
    also: Mapping[str, str] | None = None,
) -> Callable[[Patch], Patch]:
    """Register a function that patches the reference so that it breaks these requirements.

    `also`: requirements that the same bug breaks truly in other cases, each with the reason.
    """
    cases = (killed_by,) if isinstance(killed_by, Case) else killed_by

    def register(apply: Patch) -> Patch:
        MUTANTS.append(Mutant(apply, requirements, cases, also or {}))
        return apply

    return register


def alike(
    change: Callable[[pytest.MonkeyPatch, Any], None],
    *requirements: str,
    killed_by: Case | tuple[Case, ...],
    also: Mapping[str, Mapping[str, str]] | None = None,
    **defects: Any,
) -> None:
    """Register a mutant for each of these defects, under its name; `change` applies it.

    `also`: by the names of the defects.
    """
    frame = inspect.currentframe()
    file = frame.f_back.f_globals["__name__"] if frame and frame.f_back else ""
    for name, defect in defects.items():

        def apply(patch: pytest.MonkeyPatch, defect: Any = defect) -> None:
            change(patch, defect)

        apply.__name__ = name
        apply.__module__ = file
        of_defect = (also or {}).get(name)
        mutant(*requirements, killed_by=killed_by, also=of_defect)(apply)

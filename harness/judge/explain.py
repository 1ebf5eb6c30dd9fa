"""What a requirement asks, why, and which cases check it; read from the catalogue and the cases."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from harness.errors import InputError
from harness.judge.catalogue import capabilities, excluded, requirements, sources
from harness.judge.shipped_paths import conformance_cases


@cache
def cases_by_requirement(directory: Path | None = None) -> dict[str, list[str]]:
    """The cases that name each requirement, as `file::function`; nothing is imported.

    Args:
        directory: where the cases lie; the conformance cases if left out.

    """
    cases = defaultdict(list)
    for path in sorted((directory or conformance_cases()).glob("test_*.py")):
        for case in _functions(ast.parse(path.read_text(encoding="utf-8"))):
            for id_ in dict.fromkeys(_named_by(case)):
                cases[id_].append(f"{path.name}::{case.name}")
    return dict(cases)


def _functions(scope: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef]:
    """Those of a module and its classes, and none that stands in another."""
    for node in scope.body:
        if isinstance(node, ast.FunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node)


def _named_by(case: ast.FunctionDef) -> Iterator[str]:
    """The ids in `@requirement(…)`, also where a parameter carries the mark."""
    for decorator in case.decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.Call) and _is_requirement(node.func):
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield argument.value


def _is_requirement(called: ast.expr) -> bool:
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name == "requirement"


def overview(family: str = "") -> Iterator[str]:
    """Each requirement in a line: its id, its level, and what is asked; all, or those of a family.

    Args:
        family: the letters before the hyphen, such as `WIRE`.

    """
    for id_, requirement in requirements().items():
        if family in {"", _family(id_)}:
            yield f"{id_:8} {requirement.level:6} {requirement.sentence}"


def _family(id_: str) -> str:
    return id_.partition("-")[0]


def cases_of(id_: str) -> list[str]:
    """The cases of one requirement, or of a family of them, as `file::function`.

    Raises:
        InputError: nobody asks that, or there is no case of it.

    """
    id_ = id_.upper()
    asked = [known for known in cases_by_requirement() if id_ in {known, _family(known)}]
    if not asked:
        raise InputError(" ".join(explain(id_)))
    return list(dict.fromkeys(case for known in asked for case in cases_by_requirement()[known]))


def explain(id_: str) -> Iterator[str]:
    """All that is known of one requirement, line by line; of a family, a line for each.

    Raises:
        InputError: nobody asks that.

    """
    id_ = id_.upper()
    if id_ in map(_family, requirements()):
        yield from overview(id_)
        return
    if id_ in excluded():
        yield f"{id_} is not asked of a relay."
        yield f"reason: {excluded()[id_]}"
        return
    if id_ not in requirements():
        near = [known for known in requirements() if _family(known) == _family(id_)]
        families = dict.fromkeys(map(_family, requirements()))
        there_are = ", ".join(near) or f"the families {', '.join(families)}"
        raise InputError(f"{id_!r}: no such requirement; there are {there_are}")
    requirement = requirements()[id_]
    yield f"{id_} ({requirement.level}): {requirement.sentence}"
    yield f"why: {requirement.why}"
    for source in requirement.source.split("; "):
        meaning = sources().get(source)
        yield f"source: {source}, {meaning}" if meaning else f"source: {source}"
    for position, name in enumerate(requirement.capabilities):
        yield f"{'or' if position else 'only with'} {name}: {capabilities()[name]}"
    yield "cases:"
    yield from (f"  {case}" for case in cases_by_requirement().get(id_, []))

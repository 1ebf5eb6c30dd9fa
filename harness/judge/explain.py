"""What a requirement demands, why, and which cases check it; read from catalogue and cases."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import ascii_uppercase

from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.judge.catalogue import every_requirement, excluded, sources
from deploy_relay_kit.harness.judge.hints import hints
from deploy_relay_kit.harness.judge.shipped_paths import conformance_cases, origin_cases
from deploy_relay_kit.harness.targets.capabilities import CAPABILITIES
from deploy_relay_kit.harness.witness.wire.finding import Rule

_ID = re.compile(r"[A-Z]+-\d\d")


@cache
def cases_by_requirement(directory: Path | None = None) -> dict[str, list[str]]:
    """The cases that check each requirement, as `file::function`; nothing is imported.

    A case checks the ids in its source, and in the source of the functions of its file that it
    calls; `check.wire(…)` checks every rule of the wire format.

    Args:
        directory: where the cases are; the conformance cases by default.
    """
    cases = defaultdict(list)
    for path in sorted((directory or conformance_cases()).glob("test_*.py")):
        for name, (ids, of_parameters) in _cases_in(path).items():
            for id_ in dict.fromkeys([*ids, *of_parameters]):
                cases[id_].append(f"{path.name}::{name}")
    return dict(cases)


@cache
def every_case() -> dict[str, list[str]]:
    """The cases of relays, then those of origins alone, by the requirements that they check."""
    found = {id_: list(places) for id_, places in cases_by_requirement().items()}
    for id_, places in cases_by_requirement(origin_cases()).items():
        found.setdefault(id_, []).extend(f"{origin_cases().name}/{place}" for place in places)
    return found


def requirements_of(node_id: str, path: Path | None = None) -> list[str]:
    """What a case checks, by its pytest id; of ids that are parameters, its own.

    Args:
        node_id: file and function, perhaps with parameters.
        path: of the file; by default it is one of the conformance cases.
    """
    file, _, case = node_id.partition("::")
    path = path or conformance_cases() / file.rpartition("/")[2]
    name, _, parameters = case.partition("[")
    ids, of_parameters = _cases_in(path).get(name, ([], []))
    own = [id_ for id_ in of_parameters if id_ in parameters] or of_parameters
    return list(dict.fromkeys([*ids, *own]))


@cache
def after_every_case() -> set[str]:
    """The ids that are looked at after every case: those in `always.py` and `plugin.py`."""
    sources = (Path(__file__).with_name("cases") / name for name in ("always.py", "plugin.py"))
    modules = (ast.parse(source.read_text(encoding="utf-8")) for source in sources)
    return {id_ for module in modules for id_ in _ids_in(module)} | {rule.id for rule in Rule}


@cache
def _cases_in(path: Path) -> dict[str, tuple[list[str], list[str]]]:
    """The ids in the body and in the parameters of each case of a file, by its name."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    known: dict[str, ast.expr | ast.FunctionDef] = {**_tables_in(module), **functions}
    return {
        name: (
            list(dict.fromkeys(_ids(name, known, set()))),
            [id_ for mark in function.decorator_list for id_ in _ids_in(mark)],
        )
        for name, function in functions.items()
        if name.startswith("test_")
    }


def _tables_in(module: ast.Module) -> dict[str, ast.expr]:
    """The values of the names of a file: a table of rows may name a requirement in each."""
    values: dict[str, ast.expr] = {}
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=value):
                values[name] = value
            case ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value):
                values[name] = value
    return values


def _ids(name: str, known: dict[str, ast.expr | ast.FunctionDef], seen: set[str]) -> Iterator[str]:
    """The ids in a function or table, and in the functions and tables that it names."""
    seen.add(name)
    body: ast.AST = known[name]
    if isinstance(body, ast.FunctionDef):  # without its decorators, which have the parameters
        body = ast.Module([ast.Expr(ast.Lambda(body.args, ast.Constant(0))), *body.body], [])
    yield from _ids_in(body)
    for node in ast.walk(body):
        match node:
            case ast.Attribute(value=ast.Name("check"), attr="wire"):
                yield from sorted({rule.id for rule in Rule})
            case ast.Name(used) if used in known and used not in seen:
                yield from _ids(used, known, seen)


def _ids_in(code: ast.AST) -> Iterator[str]:
    for node in ast.walk(code):
        if isinstance(node, ast.Constant) and _ID.fullmatch(str(node.value)):
            yield str(node.value)


def overview(family: str = "") -> Iterator[str]:
    """A line for each requirement: id, level, sentence.

    Args:
        family: only those of this family, the letters before the hyphen, such as `WIRE`.
    """
    for id_, requirement in every_requirement().items():
        if family in {"", _family(id_)}:
            yield f"{id_:8} {requirement.level:6} {requirement.sentence}"


def _family(id_: str) -> str:
    return id_.partition("-")[0]


def cases_of(id_: str) -> list[str]:
    """The cases of one requirement, or of a family, as `file::function`.

    Raises:
        InputError: there is no such requirement, or no case of it.
    """
    id_ = id_.upper()
    asked = [known for known in every_case() if id_ in {known, _family(known)}]
    if not asked:
        raise InputError(" ".join(explain(id_)))
    return list(dict.fromkeys(case for known in asked for case in every_case()[known]))


def explain(id_: str) -> Iterator[str]:
    """Everything known of one requirement, line by line; of a family, a line for each.

    Raises:
        InputError: there is no such requirement.
    """
    id_ = id_.upper()
    if id_ in map(_family, every_requirement()):
        yield from overview(id_)
        return
    if id_ in excluded():
        yield f"{id_} is not demanded of a relay."
        yield f"reason: {excluded()[id_]}"
        return
    if id_ not in every_requirement():
        letters = id_[: len(id_) - len(id_.lstrip(ascii_uppercase))]
        near = [known for known in every_requirement() if _family(known) == letters]
        families = dict.fromkeys(map(_family, every_requirement()))
        there_are = ", ".join(near) or f"the families {', '.join(families)}"
        raise InputError(f"{id_!r}: no such requirement; there are {there_are}")
    requirement = every_requirement()[id_]
    yield f"{id_} ({requirement.level}): {requirement.sentence}"
    yield f"why: {requirement.why}"
    if requirement.stricter:
        yield f"stricter than upstream: {requirement.stricter}"
        yield from (f"  only in {case}" for case in requirement.stricter_in)
    for source in requirement.source.split("; "):
        meaning = sources().get(source)
        yield f"source: {source}, {meaning}" if meaning else f"source: {source}"
    for position, name in enumerate(requirement.capabilities):
        yield f"{'or' if position else 'only with'} {name}: {CAPABILITIES[name]}"
    for hint in hints().values():
        if id_ in hint.requirements:
            yield f"common mistake: {hint.text}"
    yield "cases:"
    if id_ in after_every_case():
        yield "  looked at after every case"
    yield from (f"  {case}" for case in every_case().get(id_, []))

"""Who imports whom: the rooms of `harness/`, as CONTRIBUTING.md tells and draws them."""

from __future__ import annotations

import re
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
KIT = "deploy_relay_kit"
GRAPH = grimp.build_graph(KIT, cache_dir=None)  # also what only types need
FOLDERS = (f"{KIT}.harness", f"{KIT}.relay")
MODULES = [module for module in GRAPH.modules if module.startswith(FOLDERS)]
LINE_LIMIT = 300
ROOM_LIMIT = 12  # modules
TOP_LIMIT = 4


def room_of(module: str) -> str:
    """The room of `harness`, or `relay`; the public names of `harness` count as a room."""
    package, _, rest = module.removeprefix(f"{KIT}.").partition(".")
    return rest.partition(".")[0] or "harness" if package == "harness" else package


def imported_by(module: str) -> set[str]:
    return {it for it in GRAPH.find_modules_directly_imported_by(module) if it in MODULES}


def imports_between_rooms() -> dict[str, set[str]]:
    found = defaultdict(set)
    for module in MODULES:
        for imported in imported_by(module):
            if room_of(module) != room_of(imported):
                found[room_of(module)].add(room_of(imported))
    return dict(found)


def rooms_on_the_page() -> dict[str, set[str]]:
    """The table: which rooms each may import."""
    _, _, table = PAGE.partition("| room of `harness/` | content | may import |")
    table = table.partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*?) ?\|$", table, re.MULTILINE)
    allowed: dict[str, set[str]] = {}
    for room, text in rows:
        names = set(re.findall(r"`(\w+)`", text.partition(";")[0]))
        every = {*allowed} if text.startswith("every room above") else set()
        allowed[room] = names | every
    return allowed


def arrows_on_the_page() -> set[tuple[str, str]]:
    drawing = PAGE.partition("flowchart TD")[2].partition("```")[0]
    return set(re.findall(r"^\s*(\w+) --> (\w+)$", drawing, re.MULTILINE))


def reach(edges: set[tuple[str, str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        room = waiting.pop()
        following = {to for of, to in edges if of == room} - found
        found |= following
        waiting += following
    return found


def test_a_room_imports_only_what_the_table_allows() -> None:
    allowed = rooms_on_the_page()
    imported = imports_between_rooms()
    imported = {
        room: found for room, found in imported.items() if room not in {"relay", "__main__"}
    }
    imported["targets"].discard("relay")  # judged below
    more = {
        room: rooms - allowed.get(room, set())
        for room, rooms in imported.items()
        if rooms - allowed.get(room, set())
    }
    assert more == {}, "allow it in the table of rooms in CONTRIBUTING.md, or import something else"


def test_only_the_target_of_the_reference_imports_the_relay() -> None:
    across = {
        (module, imported)
        for module in MODULES
        for imported in imported_by(module)
        if module.split(".")[1] != imported.split(".")[1]
    }
    assert {module for module, _ in across} == {f"{KIT}.harness.targets.reference"}
    cases = (ROOT / "tests" / "conformance").glob("*.py")
    importing = re.compile(
        r"^\s*(from|import) (deploy_relay_kit(\.| import ))?relay\b", re.MULTILINE
    )
    assert [it.name for it in cases if importing.search(it.read_text(encoding="utf-8"))] == []


def test_only_the_command_imports_the_origin() -> None:
    origin = {it for it in GRAPH.modules if it.startswith(f"{KIT}.relay.origin")}
    pairs = [(it, to) for it in GRAPH.modules for to in GRAPH.find_modules_directly_imported_by(it)]
    importing = {it for it, to in pairs if to in origin and it not in origin}
    serving = f"{KIT}.relay.command.serving"
    assert importing == {f"{serving}.serve", f"{serving}.adapter"}
    assert not [
        to for it, to in pairs if it in origin and to.startswith("deploy_relay_kit.relay.command")
    ]


def test_the_drawing_is_the_table() -> None:
    """An arrow for each import that no longer path stands for."""
    allowed = {(of, to) for of, rooms in rooms_on_the_page().items() for to in rooms}
    shortest = {(of, to) for of, to in allowed if to not in reach(allowed - {(of, to)}, of)}
    drawn = {(of, to) for of, to in arrows_on_the_page() if of != "tests"}
    assert drawn - shortest == set(), "remove these arrows from the drawing in CONTRIBUTING.md"
    assert shortest - drawn == set(), "draw these arrows in CONTRIBUTING.md"


def test_the_files_that_the_page_names_exist() -> None:
    """A path from the top of the checkout or from `harness/`; `…` stands for any text."""
    named = set(re.findall(r"`([\w./…-]+/[\w./…-]*)`", PAGE))
    assert len(named) > 30
    patterns = {it: it.replace("…", "*").rstrip("/") for it in named}
    tops = (ROOT, ROOT / "harness")
    missing = {it for it, by in patterns.items() if not any(any(top.glob(by)) for top in tops)}
    assert missing == set(), "correct these paths in CONTRIBUTING.md"


def test_no_module_imports_itself_by_a_detour() -> None:
    imports = {module: GRAPH.find_modules_directly_imported_by(module) for module in GRAPH.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError with the modules of a cycle


@pytest.mark.parametrize("top", ["harness", "relay", "tests/conformance"])
def test_files_are_short(top: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / top).rglob("*.py")
        if (lines := path.read_text(encoding="utf-8").count("\n")) > LINE_LIMIT
    }
    assert long == {}, "move some classes or functions into a new file of the room"


def test_no_room_is_crowded() -> None:
    """Only `relay/` itself may hold more: it is read from its top to its end."""
    modules = defaultdict(list)
    for top in (ROOT / "harness", ROOT / "relay"):
        for path in top.rglob("*.py"):
            modules[path.parent].append(path.name)
    assert len(modules.pop(ROOT / "harness")) <= TOP_LIMIT, "move a module into a room of harness/"
    del modules[ROOT / "relay"]
    crowded = {str(room): len(names) for room, names in modules.items() if len(names) > ROOM_LIMIT}
    assert crowded == {}, "move some modules into a new folder of the room"


def test_each_room_says_what_it_is() -> None:
    """What lives there, what it may import, where to begin."""
    for path in (ROOT / "harness").glob("*/__init__.py"):
        head = path.read_text(encoding="utf-8")
        assert head.startswith('"""'), f"{path} has no docstring"
        docstring = " ".join(head.split('"""')[1].split())
        assert " import" in docstring, f"{path} does not say what it may import"
        assert "egin with `" in docstring, f"{path} does not say where to begin"


def test_the_cases_import_nothing_that_is_not_installed() -> None:
    """They are in the wheel; `tests` is not."""
    for file in (ROOT / "tests" / "conformance").glob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not re.match(r"(from|import) tests\b", line), f"{file.name}: {line}"

"""The docstring of `relay` lists its modules in reading order, and imports follow the list."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from deploy_relay_kit import relay

PREFIX = f"{relay.__name__}."
FOLDER = Path(relay.__file__).parent
PACKAGES = {file.parent.name for file in FOLDER.glob("*/__init__.py")}
LISTED = " ".join(
    re.findall(r"^    ([a-z]+(?: [a-z]+)*)  ", relay.__doc__ or "", re.MULTILINE)
).split()


def imported_by(file: Path) -> set[str]:
    """The modules of `relay` that a file imports."""
    found = set[str]()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == relay.__name__:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith(PREFIX):
            found.add(str(node.module).removeprefix(PREFIX).split(".")[0])
    return found


def test_imports_are_found() -> None:
    assert imported_by(FOLDER / "fanout.py") >= {"peer", "upload", "errors"}


def test_every_module_is_listed_once() -> None:
    modules = [file.stem for file in FOLDER.glob("[!_]*.py")] + [*PACKAGES]
    assert sorted(LISTED) == sorted(modules), "list them in the docstring of relay/__init__.py"


@pytest.mark.parametrize("name", LISTED)
def test_a_module_imports_only_modules_below_it(name: str) -> None:
    assert imported_by(FOLDER / "upload.py")  # the search finds something
    is_package = name in PACKAGES
    files = [*(FOLDER / name).rglob("*.py")] if is_package else [FOLDER / f"{name}.py"]
    above = set(LISTED[: LISTED.index(name) + (not is_package)])
    for file in files:
        assert imported_by(file) & above == set(), (
            f"{file.name} imports modules above it: move its line in the docstring of "
            "relay/__init__.py, or import something else"
        )

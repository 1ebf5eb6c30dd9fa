"""The documentation site has every page and every fault; docs/build.py finds dead links."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.faultkinds import fault_classes

ROOT = Path(__file__).parents[1]


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = {str(it.relative_to(ROOT / "docs")) for it in (ROOT / "docs").rglob("*.md")}
    missing = {page for page in pages if f" {page}\n" not in navigation}
    assert missing == set(), "add these to nav in mkdocs.yml"


@pytest.fixture
def faults() -> ModuleType:
    path = ROOT / "docs" / "faults.py"
    spec = importlib.util.spec_from_file_location("faults_of_the_site", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_fault_is_on_the_page(faults: ModuleType) -> None:
    missing = {kind.__name__ for kind in fault_classes() - faults.drawn()}
    assert missing == set(), "add an example to docs/faults.py"

"""The documentation site has every page and every fault; docs/build.py finds dead links."""

from __future__ import annotations

import importlib.util
import re
import sys
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


def test_every_style_sheet_of_the_site_is_there() -> None:
    configured = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    [names] = re.findall(r"^extra_css: \[(.*)\]$", configured, re.MULTILINE)
    assert all((ROOT / "docs" / name).is_file() for name in names.split(", "))


def script(name: str) -> ModuleType:
    path = ROOT / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def faults() -> ModuleType:
    return script("faults")


@pytest.mark.parametrize(
    ("markup", "is_found"),
    [
        ('<script defer src="https://a.example/x.js"></script>', True),
        ("<script src=//a.example/x.js></script>", True),
        ('<link href="https://a.example/x.css" rel="stylesheet">', True),
        ('<img alt="" src="https://a.example/x.svg">', True),
        ('<pre class="mermaid"><code>a --> b</code></pre>', True),
        ('<script src="assets/x.js"></script><img src="../x.svg">', False),
        ('<link rel="stylesheet" href="assets/x.css">', False),
        ('<a href="https://a.example/">there</a> <code>mermaid</code>', False),
    ],
)
def test_the_site_works_without_another_server(
    faults: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    markup: str,
    *,
    is_found: bool,
) -> None:
    monkeypatch.setitem(sys.modules, "faults", faults)  # beside the script
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "index.html").write_text(f"<p>{markup}</p>")
    found = list(script("build").loaded_from_elsewhere(tmp_path))
    assert [it.partition(": ")[0] for it in found] == ["deep/index.html"] * is_found


def test_every_fault_is_on_the_page(faults: ModuleType) -> None:
    missing = {kind.__name__ for kind in fault_classes() - faults.drawn()}
    assert missing == set(), "add an example to docs/faults.py"

"""The catalogue of faults that docs/build.py makes has every fault."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.faultkinds import fault_classes


@pytest.fixture
def faults() -> ModuleType:
    path = Path(__file__).parents[1] / "docs" / "faults.py"
    spec = importlib.util.spec_from_file_location("faults_of_the_site", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_fault_is_on_the_page(faults: ModuleType) -> None:
    missing = {kind.__name__ for kind in fault_classes() - faults.drawn()}
    assert missing == set(), "add an example to docs/faults.py"

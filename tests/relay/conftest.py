from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A staged payload of more than one block."""
    path = tmp_path / "package.tar.gz"
    path.write_bytes(bytes(range(256)) * 5_000)
    return path


@pytest.fixture
def component(tmp_path: Path) -> Path:
    """A directory to deploy, in the directory of the test."""
    component = tmp_path / "demo"
    component.mkdir()
    (component / "config.yaml").write_text("static: {}\n")
    return component

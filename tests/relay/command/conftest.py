from __future__ import annotations

from pathlib import Path

import pytest

from tests.relay.command.calling import PASSWORD


@pytest.fixture(autouse=True)
def _no_credentials_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RELAY_USER", "RELAY_PASSWORD", "RELAY_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")  # no settings of the developer


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a password file."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    (tmp_path / "password").chmod(0o600)
    return tmp_path

"""An installed kit, for the tests that use it from outside of the checkout."""

from __future__ import annotations

import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.installing import CHECKOUT, environment_of


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which the wheel of this checkout is installed."""
    return environment_of(CHECKOUT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed_without_extras(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it needs without an extra, and nothing else."""
    environment = tmp_path_factory.mktemp("bare") / "environment"
    venv.create(environment, with_pip=False)
    [packages] = environment.glob("lib/python*/site-packages")
    [kit] = installed.glob("lib/python*/site-packages")
    for name in ("deploy_relay_kit", "deploy_relay_kit-*.dist-info"):
        for path in kit.glob(name):
            (packages / path.name).symlink_to(path)
    for program in ("relay", "relay-harness"):
        text = (installed / "bin" / program).read_text()
        copy = environment / "bin" / program
        copy.write_text(text.replace(str(installed), str(environment)))
        copy.chmod(0o755)
    [about] = kit.glob("deploy_relay_kit-*.dist-info")
    for distribution in needed_by(metadata.Distribution.at(about)):
        for file in distribution.files or ():
            if file.parts[0] not in ("..", "__pycache__"):
                target = packages / file.parts[0]
                if not target.exists():
                    target.symlink_to(Path(str(distribution.locate_file(file.parts[0]))))
    return environment


def needed_by(distribution: metadata.Distribution) -> list[metadata.Distribution]:
    """The distributions that it needs without an extra, directly or not."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [distribution]
    while waiting:
        for text in waiting.pop().requires or ():
            needed = Requirement(text)
            applies = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if applies and needed.name not in found:
                found[needed.name] = metadata.distribution(needed.name)
                waiting.append(found[needed.name])
    return list(found.values())

"""Environments of tests in which a wheel of a source tree is installed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


def environment_of(tree: Path, directory: Path) -> Path:
    """Build the wheel of a tree in a directory, and install it in an environment there."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=tree, check=True, capture_output=True)
    [wheel] = directory.glob("*.whl")
    environment = directory / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    subprocess.run(
        [*pip, "--quiet", "--no-index", "--no-deps", str(wheel)], check=True, capture_output=True
    )
    # Only the dependencies come from here; a path in a .pth file does not bring our own checkout.
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return environment

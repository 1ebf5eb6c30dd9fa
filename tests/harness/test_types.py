"""Strict type checkers accept every example of the pages, in a project of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    (page.stem.lower(), text)
    for page in PAGES
    for text in re.findall(
        r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
]
TUTORIAL = re.findall(
    r'^```python title="(.*?)"\n(.*?)^```',
    (ROOT / "docs" / "tutorials" / "tester.md").read_text("utf-8"),
    re.MULTILINE | re.DOTALL,
)
MY_PROJECT = """
from pathlib import Path
from typing import Any

PACKAGE = Path("package.tar.gz")


def deploy(urls: list[str], ca_file: Path, username: str, password: str) -> list[str]:
    return [f"{ca_file} {username} {password} {url}" for url in urls]


def my_relay(node: dict[str, Any], request: dict[str, Any], payload: str) -> dict[str, Any]:
    return {"node": node["name"], "request": request, "payload": payload}
"""
PYRIGHT = '{"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": true}'
# What a project does with the fixtures, beside the examples; both checkers refuse the ignored line.
USES = """
from deploy_relay_kit.harness import Answer, FakeCluster, FakePeer, Fault, Login, in_turn


def test_it(fake_cluster: FakeCluster, fake_peer: FakePeer) -> None:
    login: Login = {"username": "admin", "password": "of-this-test"}
    peer = fake_cluster.peer("eu", fault=in_turn(Answer(503), None), **login)
    peer.fault = (Answer(503, headers={"Retry-After": "1"}),)
    upload = peer.upload
    assert upload.file.sha256.isalnum()
    assert upload.header("content-type", "").startswith("multipart/")
    assert [mint.body.get("username") for mint in peer.mints] == ["admin"]
    fault: Fault | None = None
    fake_peer.fault = fault
    fake_cluster.peer(pasword="refused")  # type: ignore[call-arg]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a file for each example."""
    assert len(EXAMPLES) > 4
    for number, (page, text) in enumerate(EXAMPLES):
        (tmp_path / f"test_{page}_{number}.py").write_text(text)
    assert TUTORIAL
    for name, text in TUTORIAL:
        (tmp_path / name).write_text(text)
    (tmp_path / "test_uses.py").write_text(USES)
    (tmp_path / "my_project.py").write_text(MY_PROJECT)
    (tmp_path / "pyrightconfig.json").write_text(PYRIGHT)
    return tmp_path


def check(project: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_accepts_the_examples(installed: Path, project: Path) -> None:
    python = str(installed / "bin" / "python")
    check(project, "mypy", "--strict", "--python-executable", python, ".")


def test_pyright_accepts_the_examples(installed: Path, project: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("pyright needs Node.js")
    version = [sys.executable, "-m", "pyright", "--version"]
    if subprocess.run(version, capture_output=True, check=False).returncode != 0:
        pytest.skip("pyright could not be fetched: its PyPI package loads it at the first start")
    check(project, "pyright", "--pythonpath", str(installed / "bin" / "python"))


def test_ty_accepts_the_examples(installed: Path, project: Path) -> None:
    # It does not compare arguments with a TypedDict yet, so it finds nothing to ignore.
    uses = project / "test_uses.py"
    uses.write_text(uses.read_text("utf-8").partition("    fake_cluster.peer(pasword")[0], "utf-8")
    check(project, "ty", "check", "--error-on-warning", f"--python={installed}", ".")

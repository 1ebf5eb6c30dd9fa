"""An installed kit takes no name from the project that it is installed for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
USES_A_PEER = """
from deploy_relay_kit.harness import Answer, FakePeer

def test_a_peer_misbehaves(fake_peer):
    assert isinstance(fake_peer, FakePeer)
    fake_peer.fault = Answer(503)
"""
LOADS_NOTHING = """
import sys

def test_nothing_of_the_kit_is_loaded():
    loaded = {name for name in sys.modules if name.startswith("deploy_relay_kit")}
    kit = "deploy_relay_kit"
    assert loaded == {kit, f"{kit}.clusters", f"{kit}.pytest_plugin"}
    assert not {"aiohttp", "cryptography", "lazy_loader", "trustme"} & {*sys.modules}
"""
PYTHON_PATH = "[pytest]\npythonpath = ."
PROJECTS = {
    "a package harness": {
        "pytest.ini": PYTHON_PATH,
        "harness/__init__.py": "mine = True",
        "test_mine.py": "import harness\n\ndef test_it():\n    assert harness.mine\n",
    },
    "a folder tests/harness": {
        "tests/harness/__init__.py": "",
        "tests/harness/helpers.py": "mine = True",
        "tests/harness/test_mine.py": (
            "from harness.helpers import mine\n\ndef test_it():\n    assert mine\n"
        ),
    },
    "a module relay": {
        "pytest.ini": PYTHON_PATH,
        "relay.py": "mine = True",
        "test_mine.py": "import relay\n\ndef test_it():\n    assert relay.mine\n",
    },
}


def run(installed: Path, *command: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    path = f"{installed / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON"))}
    return subprocess.run(
        command,
        cwd=cwd,
        env={**environment, "PATH": path, **more},
        capture_output=True,
        text=True,
        check=False,
    )


def write(project: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_wheel_has_one_name_at_the_top_level(installed: Path) -> None:
    [packages] = installed.glob("lib/python*/site-packages")
    assert {path.name.partition("-")[0] for path in packages.iterdir() if path.is_dir()} == {
        "deploy_relay_kit"
    }


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
@pytest.mark.parametrize("files", PROJECTS.values(), ids=PROJECTS)
def test_a_project_keeps_its_names(
    installed: Path, tmp_path: Path, files: dict[str, str], mode: str
) -> None:
    """Its own modules are imported, and the fixtures of the kit work beside them."""
    if mode == "importlib" and "tests/harness/helpers.py" in files:
        pytest.skip("pytest puts no folder of tests on the path in this mode")
    write(tmp_path, {**files, "tests/test_peer.py": USES_A_PEER})
    python = str(installed / "bin" / "python")
    done = run(installed, python, "-m", "pytest", "-q", f"--import-mode={mode}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_plugin_loads_nothing_before_a_fixture_is_used(installed: Path, tmp_path: Path) -> None:
    write(tmp_path, {"test_it.py": LOADS_NOTHING})
    python = str(installed / "bin" / "python")
    done = run(installed, python, "-m", "pytest", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_tests_of_the_installed_kit_are_none(installed: Path, tmp_path: Path) -> None:
    """Its conformance cases are for `relay-harness run`."""
    python = str(installed / "bin" / "python")
    done = run(installed, python, "-m", "pytest", "--pyargs", "deploy_relay_kit", cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout + done.stderr
    assert "run them with relay-harness run" in done.stdout
    assert "Error" not in done.stdout


@pytest.mark.parametrize("program", ["relay", "relay-harness"])
def test_modules_on_the_path_do_not_stop_a_program(
    installed: Path, tmp_path: Path, program: str
) -> None:
    write(tmp_path, dict.fromkeys(("relay.py", "harness.py"), "raise SystemExit('mine')"))
    done = run(installed, program, "--version", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(program)


def test_the_demo_needs_no_checkout(installed: Path, tmp_path: Path) -> None:
    done = run(installed, "relay-harness", "demo", cwd=tmp_path, PYTHONOPTIMIZE="2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "node-4" in done.stdout
    assert "\n$ relay deploy " in done.stdout
    assert "other users can read" not in done.stderr


@pytest.mark.parametrize(
    "arguments", ["--version", "serve --help", "explain WIRE-13", "schema adapter"]
)
def test_a_program_needs_no_docstrings(installed: Path, tmp_path: Path, arguments: str) -> None:
    command = ["relay-harness", *arguments.split()]
    done = run(installed, *command, cwd=tmp_path, PYTHONOPTIMIZE="2")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("conftest", "options"),
    [
        ("", []),
        ("pytest_plugins = ['deploy_relay_kit.pytest_plugin']", []),
        ("", ["-p", "deploy_relay_kit.pytest_plugin"]),
    ],
)
def test_the_plugin_may_be_named_once_more(
    installed: Path, tmp_path: Path, conftest: str, options: list[str]
) -> None:
    write(tmp_path, {"conftest.py": conftest, "test_peer.py": USES_A_PEER})
    python = str(installed / "bin" / "python")
    done = run(installed, python, "-m", "pytest", "-q", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_fixtures_of_a_project_take_the_place_of_those_of_the_kit(
    installed: Path, tmp_path: Path
) -> None:
    files = {
        "conftest.py": (
            "import pytest\n\n@pytest.fixture\ndef fake_cluster():\n    return 'mine'\n\n"
            "@pytest.fixture\ndef relay_authority():\n    return 'mine, too'\n"
        ),
        "test_mine.py": (
            "def test_mine(fake_cluster, relay_authority):\n"
            "    assert (fake_cluster, relay_authority) == ('mine', 'mine, too')\n"
        ),
    }
    write(tmp_path, files)
    python = str(installed / "bin" / "python")
    done = run(installed, python, "-m", "pytest", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["harness", "relay"])
def test_a_checkout_has_one_set_of_modules(name: str, tmp_path: Path) -> None:
    """There the short names exist, too, and lead to the same classes."""
    script = f"""
import importlib, sys
import {name}
import deploy_relay_kit.{name} as kit
assert {name} is kit
import {name}.errors
from {name} import errors
assert errors is importlib.import_module("deploy_relay_kit.{name}.errors")
assert errors.__spec__.name == errors.__name__ == "deploy_relay_kit.{name}.errors"
assert errors.InputError is kit.InputError
importlib.reload(errors)
"""
    done = run(tmp_path, sys.executable, "-c", script, cwd=tmp_path, PYTHONPATH=str(CHECKOUT))
    assert (done.returncode, done.stderr) == (0, "")

"""`relay-harness` as a person runs it: from an installed wheel, in any directory."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from harness.cli import main

CASES = "path_and_query or breaks_no_rule"
CHECKOUT = Path(__file__).parents[2]


def test_the_installed_wheel_judges_from_any_directory(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    subprocess.run(
        [*pip, "--quiet", "--no-index", "--no-deps", str(wheel)], check=True, capture_output=True
    )
    # Only the dependencies come from here; a path in a .pth file does not bring our own checkout.
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = subprocess.run(
        [environment / "bin" / "relay-harness", "run", "-n", "0", "-k", CASES],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "passed         URL-08" in run.stdout
    assert "passed         WIRE-03" in run.stdout
    assert run.stderr == ""
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--relay", "no-such-relay"], ["--relay", "'no-such-relay'", "`reference`"]),
        (["run", "--relay", "cmd:no-such-program"], ["no-such-program"]),
        (["run", "-n", "many"], ["-n", "'many'", "a number"]),
    ],
)
def test_bad_input_is_named_with_its_remedy(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error


def test_the_demo_shows_four_nodes_and_one_failure(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo"]) == 0
    output = capfd.readouterr().out
    assert output.count("success") == 3
    assert "ENOSPC: no space left on device" in output
    assert output.count(" 0 findings") == 4
    assert "only-for-the-demo" not in output

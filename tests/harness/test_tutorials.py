"""The tutorials work with the wheel: their files are written, their commands print what they show.

A block with a title is a file, or runs in the background until the page ends. Of any other
`console` block, each `$` line runs, and prints the lines below it in this order; `…` stands for any
lines, and numbers may differ. Blocks of `sh` set up what the tests have already.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.programs import skip_without
from tests.test_readme import without_numbers

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
NEEDS = {"porter": ("node",), "author": ("python3",)}


@pytest.fixture
def programs(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The PATH of an environment with the wheel."""
    python = installed / "bin" / "python3"
    pytest_ = tmp_path_factory.mktemp("bin") / "pytest"
    pytest_.write_text(f'#!/bin/sh\nexec {python} -m pytest "$@"\n')
    pytest_.chmod(0o755)
    return os.pathsep.join([str(pytest_.parent), str(installed / "bin"), os.environ["PATH"]])


@pytest.mark.parametrize("name", ["tester", "author", "operator", "porter"])
def test_a_tutorial_works(name: str, programs: str, tmp_path: Path) -> None:
    skip_without("bash", *NEEDS.get(name, ()))
    page = (TUTORIALS / f"{name}.md").read_text(encoding="utf-8")
    with ExitStack() as background:
        for language, title, text in BLOCK.findall(page):
            if language == "console" and title:
                [(command, _)] = commands(text)
                start(command, programs, tmp_path, background)
            elif language == "console":
                for command, shown in commands(text):
                    printed = output_of(command, programs, tmp_path)
                    assert has_in_order(shown, printed), f"$ {command}\n{printed}"
            elif title:
                (tmp_path / title).write_text(text, encoding="utf-8")


def test_every_tutorial_is_run() -> None:
    names = {path.stem for path in TUTORIALS.glob("*.md")}
    assert names == {"tester", "author", "operator", "porter"}


@pytest.mark.parametrize(
    ("shown", "is_there"),
    [
        (["a 1", "b"], True),
        (["a 1", "c"], False),
        (["a 1", "…", "c"], True),
        (["c", "…", "b"], False),
        (["x"], False),
    ],
)
def test_what_is_shown_is_looked_for(shown: list[str], *, is_there: bool) -> None:
    assert has_in_order(shown, "first\na 7\nb\nc\n") is is_there


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block, with the lines that it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.replace("\\\n", "").splitlines()
        yield lines[0], lines[1:]


def environment(programs: str) -> dict[str, str]:
    plain = {"PYTEST_ADDOPTS": "-p no:cacheprovider -p no:xdist", "COLUMNS": "80"}
    return {"PATH": programs, "HOME": os.environ.get("HOME", "/"), **plain}


def output_of(command: str, programs: str, directory: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env=environment(programs),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def start(command: str, programs: str, directory: Path, background: ExitStack) -> None:
    """Start a command that prints a line when it is ready, and ends with its input."""
    running = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=directory,
        env=environment(programs),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    background.callback(running.communicate, timeout=60)
    assert running.stdout is not None
    assert running.stdout.readline(), "it did not start"


def has_in_order(shown: list[str], printed: str) -> bool:
    """Whether these lines are printed in this order; those without `…` between them adjacent."""
    lines = [without_numbers(it) for it in printed.splitlines()]
    position, is_loose = 0, True
    for line in map(without_numbers, shown):
        if line == "…":
            is_loose = True
            continue
        rest = lines[position:] if is_loose else lines[position : position + 1]
        if line not in rest:
            return False
        position += rest.index(line) + 1
        is_loose = False
    return True

"""What a failure of each requirement looks like: one mutant for each, judged by one case.

`python -m tests.mutants.failures DIR` writes a text for each requirement that has a mutant, for the
pages of the documentation site. It takes about a minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_relay_kit.harness.judge.report.text import explained
from deploy_relay_kit.harness.witness.printable import printable
from tests.mutants.catalogue import MUTANTS, shorten
from tests.mutants.mutant import Case, Mutant

ROOT = Path(__file__).parents[2]
_DIRECTORY = "RELAY_KIT_FAILURES"
_LINES = 60  # of a text

ONE_EACH: dict[str, tuple[Mutant, Case]] = {}
"""For each requirement, a mutant that breaks it alone where there is one, and a case."""
for _mutant in sorted(MUTANTS, key=lambda it: len(it.requirements)):
    for _id in _mutant.requirements:
        ONE_EACH.setdefault(_id, (_mutant, _mutant.killed_by[0]))


@pytest.mark.parametrize("id_", ONE_EACH)
def test_write(id_: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant, case = ONE_EACH[id_]
    mutant.apply(monkeypatch)
    shorten(sys.modules[case.function.__module__], monkeypatch)
    judged = case.run(request)
    judged.checks = [check for check in judged.checks if check.requirement == id_]
    lines = list(explained(judged))
    lines = [f"bug: {mutant.name}", f"case: {judged.id}", *lines[:_LINES]]
    (Path(os.environ[_DIRECTORY]) / f"{id_}.txt").write_text(printable("\n".join(lines)) + "\n")


def main(directory: Path) -> int:
    """Write the texts; return the exit code of pytest."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pytest", __file__, "-q", "-n", "2", "-p", "no:cacheprovider"]
    environment = {**os.environ, _DIRECTORY: str(directory.resolve())}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""Run the conformance cases with pytest and say what came out, from any directory."""

from __future__ import annotations

import pytest

from harness.shipped_paths import conformance_cases
from harness.verdicts import Verdicts


def run_cases(*, relay: str, workers: str = "auto", expression: str = "") -> int:
    """Judge a relay; print a line per requirement; return 0 when all passed, else 1.

    Args:
        relay: the target, as `--relay` takes it.
        workers: worker processes, a number or `auto`; `0` runs in this process.
        expression: pytest's `-k`; empty runs every case.

    """
    verdicts = Verdicts(relay)
    arguments = [
        str(conformance_cases()),
        f"--relay={relay}",
        f"--numprocesses={workers}",
        "--dist=worksteal",
        "--import-mode=importlib",
        "-p", "no:terminal",  # the verdicts are the output
        "-p", "no:cacheprovider",  # nothing is written where the user happens to be
        "-o", "addopts=",
        # pytest would rewrite the assertions of `harness`, which is imported by now and has none.
        "-o", "filterwarnings=error\nignore::pytest.PytestAssertRewriteWarning",
    ]  # fmt: skip
    if expression:
        arguments += ["-k", expression]
    pytest.main(arguments, plugins=[verdicts])
    for line in verdicts.lines():
        print(line)
    return 0 if verdicts.all_passed else 1

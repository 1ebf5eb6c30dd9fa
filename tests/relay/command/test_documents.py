"""The man page and the completion of a shell, which both are made from the parser."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import skip_without

DOCS = Path(__file__).parents[3] / "docs"


def test_the_man_page_has_every_option() -> None:
    page = runpy.run_path(str(DOCS / "manual.py"))["page"]()
    written = DOCS.joinpath("relay.1").read_text(encoding="utf-8")
    assert written == page, "run `python docs/manual.py`"


def completion(shell: str) -> str:
    command = [sys.executable, "-m", "deploy_relay_kit.relay", "--print-completion", shell]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_bash_completes_options_and_values(tmp_path: Path) -> None:
    skip_without("bash")
    tmp_path.joinpath("complete.sh").write_text(completion("bash"))
    for typed, expected in (("--dry", ["--dry-run"]), ("--restart ro", ["rolling"])):
        words = ["relay", "deploy", *typed.split()]
        script = (
            f"source {tmp_path}/complete.sh; COMP_WORDS=({' '.join(words)}); "
            f"COMP_CWORD={len(words) - 1}; _shtab_relay relay {words[-1]} {words[-2]}; "
            'echo "${COMPREPLY[@]}"'
        )
        done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, text=True)
        assert done.stdout.split() == expected


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_a_script(shell: str) -> None:
    assert "dry-run" in completion(shell)

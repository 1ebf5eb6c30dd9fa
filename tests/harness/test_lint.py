"""`relay-harness lint`: what is wrong with an adapter is said where it is wrong."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cli.lint import lint
from deploy_relay_kit.harness.cli.main import main
from tests.programs import skip_without

ROOT = Path(__file__).parents[2]
HOSTILE = ROOT / "tests" / "mutants" / "adapters" / "hostile.py"

ADAPTERS = {
    "reference": [sys.executable, "-m", "deploy_relay_kit.harness.targets.reference_adapter"],
    "node": ["node", str(ROOT / "fixtures/adapters/node/adapter.mjs")],
    "curl": [sys.executable, str(ROOT / "fixtures/adapters/curl/adapter.py")],
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_nothing_is_wrong_with_the_adapters_of_the_kit(name: str) -> None:
    if name != "reference":
        skip_without(name)
    wrong = [text for is_right, text in lint(ADAPTERS[name]) if not is_right]
    assert wrong == []


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("dies at start", r"wrong  start: .*exit code 3.*\n.*→ .*\"start\"(.*\n)*.*\| last words"),
        ("declares what nobody knows", "wrong  start: unknown capabilities mint.by_magic"),
        ("cannot mint", "wrong  start: no way to mint is declared; declare one of mint.operations"),
        ("counts by itself", r"wrong  deploy to no nodes: expected seq 14, got 15.*\n.*→.*\n.*←"),
        ("is not JSON at deploy", "wrong  deploy to no nodes: not JSON"),
        ("skips", "wrong  deploy to no nodes: expected records, got"),
        ("errs", "wrong  deploy to no nodes: expected records, got"),
        ("prints after the reply", "wrong  deploy to .*: .*(more than one|without being|not JSON)"),
        ("turns the order", r"wrong  deploy to two nodes: .* got \['node-\d', 'node-\d'\]"),
        ("says neither success nor failed", "wrong  .*: expected status success or failed"),
        ("behaves", r"wrong  trust of ca_file: no request reached node-1; trust the certificates"),
        (
            "lies",
            r"wrong  deploy to two nodes: .*says success, but it saw no whole upload",
        ),
        ("shows a password", r"wrong  .*: standard error shows a password"),
        ("dies of what it does not know", "wrong  an unknown verb: .*exit code 6"),
        ("takes every verb for stop", "wrong  an unknown verb: answer .* with errored; Object "),
        ("passes a password on", "wrong  argument lists during a deploy: a password or token"),
        ("does not end", "wrong  stop: still running"),
        ("ends badly", "wrong  stop: expected exit code 0, got 8"),
        ("leaves a child", "wrong  the end of the input without stop: left children running"),
    ],
)
def test_what_is_wrong_is_said_at_its_message(
    how: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy_relay_kit.harness.cli.lint._END_SECONDS", 0.5)
    shown = "\n".join(text for _, text in lint([sys.executable, "-S", "-I", str(HOSTILE), how]))
    assert re.search(words, shown), shown
    assert "password-of-" not in shown, "what is shown may be pasted anywhere"


@pytest.mark.parametrize("begins", ["", "sys.stdin.readline(); "], ids=["at once", "when asked"])
def test_the_last_words_of_an_adapter_are_shown(begins: str) -> None:
    program = f"import sys; {begins}sys.exit('No module named left_pad')"
    [(is_right, shown)] = lint([sys.executable, "-S", "-I", "-c", program])
    assert not is_right
    assert "wrong  start: the adapter exited (exit code 1) without an answer\n" in shown
    assert shown.endswith("\n       | No module named left_pad")


def test_a_relay_that_verifies_nothing_does_not_use_the_ca_file(tmp_path: Path) -> None:
    skip_without("curl")
    copy = shutil.copytree(ROOT / "fixtures/adapters/curl", tmp_path / "curl")
    script = (copy / "relay.sh").read_text(encoding="utf-8")
    trusting = script.replace("--cacert", "--insecure --cacert")
    assert trusting != script
    (copy / "relay.sh").write_text(trusting, encoding="utf-8")
    shown = "\n".join(text for _, text in lint([sys.executable, str(copy / "adapter.py")]))
    assert re.search(r"wrong  trust of ca_file: a request reached node-\d, whose cert", shown), (
        shown
    )


def test_a_silent_adapter_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy_relay_kit.harness.cli.transcript.SECONDS", 0.3)
    command = [sys.executable, "-S", "-I", str(HOSTILE), "hangs at start"]
    [(is_right, text)] = lint(command)
    assert not is_right
    assert "did not answer within 0.3 s" in text


def test_an_adapter_that_answers_no_deploy_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deploy_relay_kit.harness.cli.transcript.SECONDS", 0.3)
    told = [text for _, text in lint([sys.executable, "-S", "-I", str(HOSTILE), "hangs at deploy"])]
    assert sum("did not answer within 0.3 s" in text for text in told) == 2
    assert sum("not asked; no deploy so far was answered" in text for text in told) == 6
    assert told[-2].startswith("right  stop")


def test_the_exit_code_tells_whether_something_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile = [sys.executable, "-S", "-I", str(HOSTILE), "dies at start"]
    assert main(["lint", "--", *ADAPTERS["curl" if shutil.which("curl") else "reference"]]) == 0
    assert capsys.readouterr().out.endswith("\nNothing is wrong.\n")
    assert main(["lint", "--", shlex.join(hostile)]) == 1
    assert main(["lint", "--", "'"]) == 2
    assert main(["lint", "--", "/no/such/adapter"]) == 2
    assert "cannot run '/no/such/adapter'" in capsys.readouterr().err


def test_a_requirement_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "WIRE-03"]) == 0
    assert capsys.readouterr().out.startswith("WIRE-03 (must): ")
    assert main(["explain", "agg"]) == 0
    assert capsys.readouterr().out.startswith("AGG-01   must   The report has one record per node")
    assert main(["explain", "WIRE-99"]) == 2
    assert "no such requirement; there are WIRE-01" in capsys.readouterr().err

"""What of a user's shell a relay gets to see."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_relay_kit.harness.targets.child import Child

CHECKOUT = Path(__file__).parents[2]
WITHHELD = [
    "https_proxy",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
]
SHOW = "import json, os; input(); print(json.dumps(dict(os.environ)))"


def test_an_adapter_gets_a_time_zone_and_no_variable_that_changes_whom_it_trusts_or_reaches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    for name in [*WITHHELD, "OF_THE_USER"]:
        monkeypatch.setenv(name, "/there")
    child = Child([sys.executable, "-c", SHOW])
    try:
        seen = json.loads(child.ask(b"\n", 20))
    finally:
        child.kill()
    assert not set(WITHHELD) & set(seen)
    assert seen["OF_THE_USER"] == "/there"
    assert seen["TZ"] == "Asia/Kolkata"


@pytest.mark.parametrize("what", ["working", "temporary"])
@pytest.mark.parametrize("arguments", ["run -n 1 -k url", "lint -- true", "replay no.zip"])
def test_a_directory_whose_name_is_not_text_is_named(
    tmp_path: Path, arguments: str, what: str
) -> None:
    """In the locale C without UTF-8, no name with other characters than ASCII is text."""
    there = tmp_path / "caf\xe9"
    there.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "deploy_relay_kit.harness", *arguments.split()],
        cwd=there if what == "working" else tmp_path,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": str(CHECKOUT)}
        | ({"TMPDIR": str(there)} if what == "temporary" else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"relay-harness: the {what} directory '")
    assert line.endswith(
        "is not text here; use another one, or set PYTHONUTF8=1 if its name is UTF-8"
    )


def test_output_needs_no_encoding_that_has_all_characters() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy_relay_kit.harness", "explain", "WIRE-04"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xa7" in done.stdout  # the sign of a section

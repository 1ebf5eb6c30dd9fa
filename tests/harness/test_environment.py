"""What of a user's shell a relay gets to see."""

import json
import sys

import pytest

from deploy_relay_kit.harness.targets.child import Child

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


def test_an_adapter_gets_no_variable_that_changes_whom_it_trusts_or_reaches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [*WITHHELD, "OF_THE_USER"]:
        monkeypatch.setenv(name, "/there")
    child = Child([sys.executable, "-c", SHOW])
    try:
        seen = json.loads(child.ask(b"\n", 20))
    finally:
        child.kill()
    assert not set(WITHHELD) & set(seen)
    assert seen["OF_THE_USER"] == "/there"

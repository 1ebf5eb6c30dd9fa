"""Without an extra, the kit brings what the fixtures need; a command says what it lacks."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from deploy_relay_kit.harness.judge.report.result import to_json
from tests.harness.driving import case, failed, result_of
from tests.harness.test_installed import run, write

USES_EVERY_FIXTURE = """
import json, ssl, urllib.request
import pytest
from deploy_relay_kit import harness

def test_the_fixtures(fake_cluster, fake_peer):
    fake_cluster.replication(fake_peer)
    body = {"operation": "create_authentication_tokens", "username": fake_peer.username,
            "password": fake_peer.password}
    request = urllib.request.Request(fake_peer.url, json.dumps(body).encode(), method="POST")
    context = ssl.create_default_context(cafile=fake_cluster.ca_file)
    with urllib.request.urlopen(request, context=context) as answer:
        assert json.load(answer)["operation_token"] == fake_peer.mint.token

@pytest.mark.parametrize("name", sorted(set(harness.__all__) - {"PathPrefixProxy"}))
def test_every_public_name(name):
    assert getattr(harness, name) is not None

def test_what_needs_an_extra(fake_cluster, fake_peer):
    lack = pytest.raises(ImportError, match=r"PathPrefixProxy needs .*\\.whl\\[judge\\]")
    with lack:
        fake_cluster.proxy(fake_peer, "/prefix")
    with lack:
        from deploy_relay_kit.harness import PathPrefixProxy
"""
EXTRA = re.compile(r"pip install \"/\S+\.whl\[(\w+)\]\"$")  # what was installed here


def test_the_fixtures_need_no_extra(installed_without_extras: Path, tmp_path: Path) -> None:
    write(tmp_path, {"test_it.py": USES_EVERY_FIXTURE})
    python = str(installed_without_extras / "bin" / "python")
    done = run(installed_without_extras, python, "-m", "pytest", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_serve_needs_no_extra(installed_without_extras: Path, tmp_path: Path) -> None:
    python = str(installed_without_extras / "bin" / "python")
    command = [python, "-m", "deploy_relay_kit.harness", "serve", "--admin"]
    done = subprocess.run(
        command, input="", capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["nodes"]) == 3


@pytest.mark.parametrize("document", ["adapter", "result"])
def test_schemas_need_no_extra(
    installed_without_extras: Path, tmp_path: Path, document: str
) -> None:
    done = run(installed_without_extras, "relay-harness", "schema", document, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "$schema" in json.loads(done.stdout)


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("relay --version", "relay"),
        ("relay deploy .", "relay"),
        ("relay-harness run", "judge"),
        ("relay-harness lint -- cat", "judge"),
        ("relay-harness report result.json --to .", "judge"),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(
    installed_without_extras: Path, tmp_path: Path, command: str, extra: str
) -> None:
    (tmp_path / "result.json").write_text(to_json(result_of(case("test_one", failed()))))
    done = run(installed_without_extras, *command.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"{command.split(maxsplit=1)[0]}: ")
    assert EXTRA.findall(line) == [extra]


def test_a_finding_is_explained_without_an_extra(
    installed_without_extras: Path, tmp_path: Path
) -> None:
    done = run(installed_without_extras, "relay-harness", "explain", "wire-13", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("WIRE-13 (must): ")
    assert "common mistake: " in done.stdout


def test_help_needs_no_extra(installed_without_extras: Path, tmp_path: Path) -> None:
    done = run(installed_without_extras, "relay-harness", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "run a fake cluster" in done.stdout

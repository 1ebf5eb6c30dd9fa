"""The commands and examples of the README and the pages work."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from deploy_relay_kit import harness
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.faults.broken_answers import AnyAnswer
from deploy_relay_kit.harness.judge.catalogue import requirements
from deploy_relay_kit.harness.judge.shipped_paths import sample_component
from deploy_relay_kit.relay.command import options
from tests.faultkinds import fault_classes
from tests.programs import skip_without

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DEPLOYING, JUDGING, TESTING = (
    ROOT / "docs" / f"{name}.md" for name in ("deploying", "judging", "testing")
)
PAGES = [README, DEPLOYING, JUDGING, TESTING]
BLOCKS = [
    found
    for page in PAGES
    for found in re.findall(
        r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
]


def block(language: str, containing: str) -> str:
    [found] = [text for name, text in BLOCKS if name == language and containing in text]
    return str(found)


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.mark.parametrize(
    ("containing", "named"),
    [("--node us=", {"eu", "us"}), ("--restart=rolling", {"eu"}), ("--nodes cluster", {"us"})],
)
def test_the_deploy_commands_work_with_real_nodes(
    cluster: FakeCluster, tmp_path: Path, containing: str, named: set[str]
) -> None:
    eu, us = (
        cluster.peer(name, path=path, username="admin", password="of-both-nodes")
        for name, path in [("eu", "/"), ("us", "/ops/")]
    )

    def with_real_nodes(text: str) -> str:
        return text.replace("https://eu.example.com:9925/", eu.url).replace(
            "https://us.example.com:9925/ops/", us.url
        )

    (tmp_path / "my-component").symlink_to(sample_component())
    (tmp_path / ".relay-password").write_text("of-both-nodes\n")
    (tmp_path / "cluster-ca.pem").symlink_to(cluster.ca_file)
    (tmp_path / "cluster.nodes").write_text(with_real_nodes(block("text", "# cluster.nodes")))
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        ["sh", "-c", with_real_nodes(block("sh", containing))],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": programs, "HOME": str(tmp_path)},
    )
    assert run.returncode == 0, run.stderr
    assert {peer.name for peer in (eu, us) if peer.uploads} == named
    for upload in (*eu.uploads, *us.uploads):
        assert upload.fields["project"] == b"my-component"


def test_the_readme_has_at_most_120_lines() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120


def test_there_are_more_requirements_than_the_readme_says() -> None:
    """The README has a round number, so that a new requirement does not change it."""
    [number] = re.findall(r"more than (\d+)\s+requirements", README.read_text(encoding="utf-8"))
    assert int(number) < len(requirements())


def test_the_readme_shows_a_verdict_as_it_prints() -> None:
    """Numbers such as times, ports and line numbers may differ."""
    skip_without("curl")
    shown = block("console", "relay-harness run").replace("\\\n", "")
    command, *lines = shown.splitlines()
    program, *arguments = shlex.split(command.removeprefix("$ "))
    assert program == "relay-harness"
    done = subprocess.run(
        [sys.executable, "-m", "deploy_relay_kit.harness", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    printed = {without_numbers(line) for line in done.stdout.splitlines()}
    missing = [it for it in lines if it.strip() != "…" and without_numbers(it) not in printed]
    assert missing == [], f"copy these lines from the output into README.md:\n{done.stdout}"


def without_numbers(line: str) -> str:
    return re.sub(r"[\d.]+", "0", line).strip()


def test_deploying_md_has_every_option() -> None:
    page = DEPLOYING.read_text(encoding="utf-8")
    parser = options.parser()
    [verbs] = (it for it in parser._actions if isinstance(it, argparse._SubParsersAction))
    shown = {
        action.option_strings[-1]
        for action in verbs.choices["deploy"]._actions
        if action.option_strings and action.help != argparse.SUPPRESS
    }
    of_relay = {action.option_strings[-1] for action in parser._actions if action.option_strings}
    listed = set(re.findall(r"--[a-z][a-z-]*", page)) - of_relay
    shown -= of_relay
    assert shown - listed == set(), "describe these options in docs/deploying.md"
    assert listed - shown == set(), "take these options out of docs/deploying.md"


def test_the_library_example_works(
    cluster: FakeCluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peer = cluster.peer("eu", username="admin")
    package = tmp_path / "package.tar.gz"
    package.write_bytes(b"a package")
    code = (
        block("python", "relay.deploy")
        .replace("https://eu.example.com:9925/", peer.url)
        .replace("package.tar.gz", str(package))
        .replace("cluster-ca.pem", str(cluster.ca_file))
    )
    monkeypatch.setenv("RELAY_PASSWORD", peer.password)
    exec(code, {})
    assert capsys.readouterr().out == "eu success\n"


PROJECT = """
import asyncio
import hashlib
from pathlib import Path

from deploy_relay_kit import relay

PACKAGE = Path(__file__).with_name("package.tar.gz")
PACKAGE.write_bytes(bytes(200_000))
PACKAGE_SHA256 = hashlib.sha256(PACKAGE.read_bytes()).hexdigest()


def deploy(urls, ca_file, username, password):
    report = asyncio.run(
        relay.deploy(
            [relay.Node(f"node-{number}", url) for number, url in enumerate(urls, 1)],
            {"operation": "deploy_component", "project": "demo"},
            PACKAGE,
            mint=relay.OperationsMint(username, password),
            tls=relay.Tls(ca_file),
        )
    )
    return [record["status"] for record in report.records]
"""


def test_the_examples_of_the_fixtures_work(pytester: pytest.Pytester) -> None:
    examples = [text for name, text in BLOCKS if name == "python" and "fake_cluster" in text]
    tests = {f"test_{number}": text for number, text in enumerate(examples)}
    pytester.makepyfile(my_project=PROJECT, **tests)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_testing_md_names_every_public_fault_and_answer() -> None:
    kinds = {*fault_classes(), *get_args(AnyAnswer)}
    functions = {
        *(faults.mint_refused, faults.mint_without_token, faults.mint_with_token, faults.in_turn)
    }
    page = TESTING.read_text(encoding="utf-8")
    names = {it.__name__ for it in (kinds - {faults.InTurn}) | functions}
    described = {name for name in names if f"`{name}" in page or f".{name}`" in page}
    public = names & set(dir(harness))
    assert public - described == set(), "add these to the tables of docs/testing.md"
    assert described - public == set(), "add these to harness/__init__.pyi"
    assert len(public) > 40


def harness_command(containing: str) -> list[str]:
    program, *arguments = shlex.split(block("sh", containing).replace("\\\n", ""))
    assert program == "relay-harness"
    return [sys.executable, "-m", "deploy_relay_kit.harness", *arguments]


def test_the_serve_command_runs_a_cluster() -> None:
    command = harness_command("serve --nodes")
    run = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    assert len(json.loads(run.stdout)["nodes"]) == 5


def test_the_node_relay_can_be_judged() -> None:
    skip_without("node")
    case = "test_url.py::test_the_mint_goes_to_the_same_path_and_query"
    command = [*harness_command("cmd:node"), "-v", f"--case={case}"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "passed         URL-08" in run.stdout, run.stdout + run.stderr


def test_the_relay_of_shell_and_curl_matches_its_baseline(tmp_path: Path) -> None:
    """No unknown failure, and no known failure that passes; the gate runs every case."""
    skip_without("curl")
    cases = [
        "--case=test_wire.py::test_the_upload_keeps_to_the_wire_format",
        "--case=test_fields.py::test_quotes_and_line_breaks_are_deleted_from_a_name",
    ]
    command = [*harness_command("cmd:python3"), *cases]
    command[command.index("report")] = str(tmp_path / "report")
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "report" / "index.html").is_file()


def test_both_set_up_commands_are_there_for_the_gate_to_run() -> None:
    commands = [line for name, text in BLOCKS if name == "sh" for line in text.splitlines()]
    set_up = [line for line in commands if line.startswith("python3 -m venv")]
    assert [line.split("/")[-1] for line in set_up] == ["relay-harness run", "pytest -n auto"]

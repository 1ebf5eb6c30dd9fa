"""What a relay says acts on no terminal and no CI server; what it starts is ended with it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest

from deploy_relay_kit.harness.targets.child import Child
from deploy_relay_kit.harness.witness.printable import printable

ROOT = Path(__file__).parents[2]
NASTY = "::error::x\n  ::add-mask::y ##[error]z ##vso[task]a \x1b]0;t\x07 \x9b31m \u202e \ud800"
RAW = re.compile(
    r"^\s*::|##\[|##vso\[|##teamcity\[|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", re.MULTILINE
)
ADAPTER = """
import json, sys
nasty = NASTY
for line in sys.stdin:
    message = json.loads(line)
    print(nasty.encode("ascii", "backslashreplace").decode(), file=sys.stderr, flush=True)
    sys.stderr.buffer.write(nasty.encode("utf-8", "surrogatepass")); sys.stderr.flush()
    match message["verb"]:
        case "start":
            answer = {"relay": nasty, "protocol": 1, "capabilities": ["mint.operations"]}
        case "deploy":
            answer = {"records": [{"status": "failed", "reason": nasty, nasty: nasty}
                                  for _ in message["nodes"]]}
        case _:
            answer = {"stopped": True}
    print(json.dumps({"seq": message["seq"], **answer}), flush=True)
    if message["verb"] == "stop":
        break
"""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", r"\x3a:error::x"),
        ("a\n \t::debug::x", "a\n \t\\x3a:debug::x"),
        ("a::b", "a::b"),
        ("URL https://[::1]/", "URL https://[::1]/"),
        ("x ##[group]", r"x \x23#[group]"),
        ("##teamcity[x]", r"\x23#teamcity[x]"),
        ("## a heading", "## a heading"),
        ("\x1b[31m\x9b\r", r"\x1b[31m\x9b\r"),
        ("\u202e\ud800", r"\u202e\ud800"),
    ],
)
def test_what_would_act_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.fixture
def adapter(tmp_path: Path) -> str:
    path = tmp_path / "adapter.py"
    path.write_text(ADAPTER.replace("NASTY", ascii(NASTY)))
    return f"{sys.executable} {path}"


def test_a_run_prints_and_writes_nothing_raw(adapter: str, tmp_path: Path) -> None:
    report = tmp_path / "report"
    case = "test_wire.py::test_the_upload_keeps_to_the_wire_format"
    command = [sys.executable, "-m", "deploy_relay_kit.harness", "run", "--relay", f"cmd:{adapter}"]
    command += ["--keep-going", "-v", "--case", case, "--report", str(report)]
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path)
    printed = (done.stdout + done.stderr).decode()
    assert done.returncode == 1, printed
    assert "Traceback" not in printed
    assert RAW.findall(printed) == []
    assert r"\x1b]0;t" in printed
    page = (report / "index.html").read_text(encoding="utf-8")
    assert len(page) > 10_000
    assert not {"\x1b", "\x9b", "\u202e"} & {*page}
    ET.parse(report / "junit.xml")
    json.loads((report / "result.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", ["lint", "pytest"])
def test_other_ways_to_judge_print_nothing_raw(adapter: str, command: str) -> None:
    if command == "lint":
        run = ["-m", "deploy_relay_kit.harness", "lint", "--", *adapter.split()]
    else:
        cases = str(ROOT / "tests" / "conformance" / "test_fields.py")
        run = ["-m", "pytest", "-x", "-p", "no:cacheprovider", f"--relay=cmd:{adapter}", cases]
    done = subprocess.run([sys.executable, *run], capture_output=True, check=False, cwd=ROOT)
    printed = (done.stdout + done.stderr).decode()
    assert done.returncode == 1, printed
    assert RAW.findall(printed) == []


LEAVES_A_CHILD = textwrap.dedent("""
    import json, os, sys, time
    message = json.loads(sys.stdin.readline())
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for fd in range(CLOSED):
                os.close(fd)
            time.sleep(600)
        os._exit(0)
    os.wait()
    print(json.dumps({"seq": message["seq"]}), flush=True)
    sys.stdin.read()
""")


@pytest.mark.parametrize("closed", [3, 0], ids=["without pipes", "with the adapter's pipes"])
def test_a_child_in_a_session_of_its_own_is_ended(tmp_path: Path, closed: int) -> None:
    """Its parent has ended, and it is in no group of the adapter."""
    script = tmp_path / "adapter.py"
    script.write_text(LEAVES_A_CHILD.replace("CLOSED", str(closed)))
    child = Child([sys.executable, str(script)])
    try:
        child.ask(b'{"seq": 1}\n', 10)
        [leaver] = [it for it in processes_of(script) if it.pid != child.pid]
        assert os.getsid(leaver.pid) != child.pid
        child.hang_up(10)
        assert child.has_children
    finally:
        child.kill()
    assert processes_of(script) == []


def processes_of(script: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_running = process.status() != psutil.STATUS_ZOMBIE
            if is_running and str(script) in process.cmdline():
                found.append(process)
    return found

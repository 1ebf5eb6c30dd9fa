"""Targets: what they are told, what they may answer, and what a broken one costs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.errors import InputError
from harness.judge.cases.relay import Relay, not_declared
from harness.targets import (
    DeployCommand,
    DeployNode,
    GivenToken,
    Limits,
    LocalSettings,
    OperationsMint,
    Outcome,
    ReplicationMint,
    TargetBrokeError,
    TargetSkippedError,
    child,
    messages,
    open_target,
)
from harness.targets.command import CommandTarget
from harness.targets.function import FunctionTarget
from harness.targets.messages import MessageError
from harness.targets.processes import is_group_alive

HOSTILE = Path(__file__).parents[1] / "mutants" / "adapters" / "hostile.py"

NODE = DeployNode("node-1", "https://127.0.0.1:1/", OperationsMint("u", "p"))
PLAIN = DeployCommand((NODE,), {"operation": "deploy_component"}, Path("/payload"))
EVERYTHING = DeployCommand(
    nodes=(
        NODE,
        DeployNode("node-2", None, GivenToken("t"), host="::1", port="h:1", verify=False),
        DeployNode(
            "n", None, ReplicationMint(), replication_url="wss://r:9933", ca_file=Path("/ca")
        ),
    ),
    request={"b": [1, None, {"x": "\ud800☃"}], "a": -1.5, "": True},
    payload=Path("/payload"),
    ca_file=Path("/ca.pem"),
    certificate_file=Path("/cert.pem"),
    key_file=Path("/key.pem"),
    local=LocalSettings(1, "h:2", 3, "h:4"),
    limits=Limits(connect=0.1, attempts=3),
    allow_http=True,
    events=True,
    cancel_after=0.5,
)


# -- messages ------------------------------------------------------------------------------------


def test_the_schema_is_a_schema_in_itself() -> None:
    Draft202012Validator.check_schema(messages.schema())


@pytest.mark.parametrize("command", [PLAIN, EVERYTHING], ids=["plain", "everything"])
def test_a_command_survives_the_way_to_an_adapter_in_python(command: DeployCommand) -> None:
    line = messages.encode("deploy", messages.deploy(3, command))
    assert line.endswith(b"}\n")
    assert line.isascii()
    read = messages.decode("deploy", line, 3)
    assert list(read["request"]) == list(command.request), "the order of members counts"
    assert messages.command_from(read) == command


@pytest.mark.parametrize("value", [float("nan"), ..., {1}], ids=repr)
def test_what_json_cannot_express_is_not_sent(value: object) -> None:
    message = messages.deploy(1, replace(PLAIN, request={"x": value}))
    with pytest.raises(MessageError, match="cannot be written as JSON"):
        messages.encode("deploy", message)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON .*'hello'"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"records": []}', "seq is None, expected 1"),
        (b'{"seq": "1", "records": []}', "seq is '1', expected 1"),
        (b'{"seq": 2, "records": []}', "seq is 2, expected 1"),
        (b'{"seq": 1}', "just one of records, refused, cancelled.*; came nothing"),
        (b'{"seq": 1, "records": [], "errored": "x"}', "just one of.*; came records, errored"),
        (b'{"seq": 1, "record": []}', "'record' was unexpected"),
        (b'{"seq": 1, "records": {}}', "records: .* is not of type 'array'"),
        (b'{"seq": 1, "records": [7]}', r"records\[0\]: 7 is not of type 'object'"),
        (b'{"seq": 1, "records": [{"x": NaN}]}', "NaN is not JSON"),
        (b'{"seq": 1, "cancelled": false}', "cancelled: True was expected"),
        (b'{"seq": 1, "skipped": ""}', "skipped"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else "",
)
def test_a_wrong_reply_is_refused_with_what_is_wrong(reply: bytes, words: str) -> None:
    with pytest.raises(MessageError, match=words):
        messages.decode("deployed", reply, 1)


def test_replies_mean_outcomes() -> None:
    assert messages.outcome_of({"records": [{"node": "a"}]}).nodes == ["a"]
    assert messages.outcome_of({"refused": "why"}) == Outcome(refused="why")
    assert messages.outcome_of({"cancelled": True}) == Outcome(cancelled=True)
    with pytest.raises(TargetSkippedError, match="why"):
        messages.outcome_of({"skipped": "why"})
    with pytest.raises(TargetBrokeError, match="Traceback"):
        messages.outcome_of({"errored": "Traceback"})


def test_a_refused_deploy_says_so_when_its_records_are_asked_for() -> None:
    with pytest.raises(AssertionError, match="refused the deploy: too long"):
        Outcome(refused="too long")[NODE]


# -- what a command needs ------------------------------------------------------------------------


def test_a_command_knows_what_it_needs() -> None:
    assert PLAIN.needs == {"mint.operations"}
    assert EVERYTHING.needs == {
        *("mint.operations", "mint.given", "mint.replication", "insecure_node", "node_ca"),
        *("urls_from_parts", "client_certificate", "retry", "limits", "allow_http", "events"),
        "cancel",
    }


class Declaring:
    """A target that declares this, and must not be asked for more."""

    name = identity = "declaring"
    pid = 0
    output = stderr = ""

    def __init__(self, *capabilities: str) -> None:
        self.capabilities = capabilities
        self.commands: list[DeployCommand] = []

    def deploy(self, command: DeployCommand) -> Outcome:
        self.commands.append(command)
        return Outcome()

    def close(self) -> None: ...


class Peer:
    name, url, username, password = "node-1", "https://127.0.0.1:1/", "u", "p"


def relay_of(target: Declaring) -> Relay:
    payload: Any = type("Payload", (), {"path": Path("/payload")})
    return Relay(target, ca_file=Path("/ca"), payload=payload)


def test_a_case_that_needs_what_is_not_declared_does_not_apply() -> None:
    target = Declaring("mint.operations")
    with pytest.raises(pytest.skip.Exception, match="does not declare insecure_node"):
        relay_of(target).deploy(to=[Peer()], verify=False)
    assert target.commands == []


def test_a_node_is_minted_for_in_the_first_way_that_is_declared() -> None:
    for declared, mint in {
        ("mint.replication", "mint.operations"): OperationsMint("u", "p"),
        ("mint.replication",): ReplicationMint(),
    }.items():
        target = Declaring(*declared)
        relay_of(target).deploy(to=[Peer()])
        assert target.commands[0].nodes[0].mint == mint


def test_a_requirement_applies_when_any_of_its_capabilities_is_declared() -> None:
    assert not_declared(Declaring("mint.replication"), ["WIRE-01", "SEQ-06"]) == ""
    assert not_declared(Declaring("mint.given"), ["WIRE-01", "SEQ-06"]) == (
        "SEQ-06 needs mint.operations or mint.replication, which declaring does not declare"
    )


# -- adapters ------------------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Callable[[str], CommandTarget]]:
    """Targets that misbehave once in a given way."""
    targets: list[CommandTarget] = []

    def start(how: str) -> CommandTarget:
        # -S -I: quick to start, and the same everywhere.
        marker = str(tmp_path / "misbehaved")
        targets.append(CommandTarget([sys.executable, "-S", "-I", str(HOSTILE), how, marker]))
        return targets[-1]

    yield start
    for target in targets:
        target.close()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("dies at start", r"asked to start.*exit code 3.*\n.*\| last words"),
        ("says hello first", r"asked to start.*(more than one line|not JSON)"),
        ("declares what nobody knows", "unknown capabilities mint.by_magic; known are mint.oper"),
        ("speaks another protocol", "speaks protocol 2, this kit protocol 1"),
        ("dies at deploy", r"asked to deploy.*exit code 4.*\n.*\| last words"),
        ("is killed at deploy", "killed by SIGKILL"),
        ("closes its output at deploy", "closed its standard output without exiting"),
        ("hangs at deploy", r"within 0.3 s; it wrote nothing \(is its output flushed\?\)"),
        ("leaves it at half a line", "within 0.3 s; it wrote 7 bytes without a line end: '{\"seq"),
        ("prints before the reply", "(more than one line.*the first: |not JSON.*)'deploying…'"),
        ("prints without an end", "a line longer than 1,000,000 bytes"),
        ("is not JSON at deploy", "answered wrongly: not JSON"),
        ("says NaN", "NaN is not JSON"),
        ("says a list", "not a JSON object"),
        ("says half a line", "exit code 5.*without an answer, after '{\"seq\":'"),
        ("counts by itself", "seq is 3, expected 2"),
        ("forgets the seq", "seq is None, expected 2"),
        ("says records and errored", "came records, errored"),
        ("misspells", "'record' was unexpected"),
        ("errs", "it went wrong"),
    ],
)
def test_what_an_adapter_does_wrong_costs_one_case(
    hostile: Callable[[str], CommandTarget],
    how: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "MAX_LINE", 1_000_000)
    monkeypatch.setattr(child, "_GOODBYE", 0.5)
    target = hostile(how)
    with pytest.raises(TargetBrokeError, match=f"(?s){words}"):
        target.deploy(replace(PLAIN, deadline=0.3 if "within" in words else 1.0))
    for _ in range(2):
        assert target.deploy(PLAIN).statuses == ["failed"]


@pytest.mark.parametrize("how", ["prints after the reply", "dies after the reply"])
def test_what_an_adapter_does_unasked_costs_one_case(
    hostile: Callable[[str], CommandTarget], how: str
) -> None:
    target = hostile(how)
    ends = []
    for _ in range(3):
        try:
            ends.append(target.deploy(PLAIN).statuses)
        except TargetBrokeError:
            ends.append(["broke"])
    assert ends.count(["broke"]) == 1, "the case that was running, or the next one"
    assert ends[2] == ["failed"]


def test_how_often_a_process_had_been_asked_before_is_said(
    hostile: Callable[[str], CommandTarget],
) -> None:
    """Its case may well pass alone."""
    target = hostile("dies at the second deploy")
    target.deploy(PLAIN)
    with pytest.raises(TargetBrokeError, match=r"asked to deploy \(deploy 2 of this process\), "):
        target.deploy(PLAIN)


def test_an_adapter_that_never_answers_is_not_asked_for_ever() -> None:
    target = CommandTarget([sys.executable, "-S", "-I", str(HOSTILE), "hangs at deploy"])
    command = replace(PLAIN, deadline=0.1)
    for _ in range(3):
        with pytest.raises(TargetBrokeError, match="did not answer"):
            target.deploy(command)
    with pytest.raises(TargetSkippedError, match="none of the first 3 deploys was answered"):
        target.deploy(command)
    target.close()


def test_a_target_that_has_answered_once_is_asked_for_ever(module: Callable[[str], str]) -> None:
    code = """
import itertools, threading
count = itertools.count()

def deploy(message):
    if next(count):
        threading.Event().wait()
    return {"errored": "but it came back"}
"""
    target = FunctionTarget(f"{module(code)}:deploy")
    with pytest.raises(TargetBrokeError, match="it came back"):
        target.deploy(PLAIN)
    for _ in range(4):
        with pytest.raises(TargetBrokeError, match="did not return"):
            target.deploy(replace(PLAIN, deadline=0.05))


def test_a_skipped_deploy_says_why(hostile: Callable[[str], CommandTarget]) -> None:
    target = hostile("skips")
    with pytest.raises(TargetSkippedError, match="not today"):
        target.deploy(PLAIN)
    assert target.deploy(PLAIN).statuses == ["failed"]


def test_an_adapter_says_who_it_is(hostile: Callable[[str], CommandTarget]) -> None:
    target = hostile("behaves")
    assert target.capabilities == {"mint.operations"}
    assert target.identity.startswith("hostile")


@pytest.mark.parametrize("how", ["behaves", "does not end", "leaves a child", "hangs at deploy"])
def test_nothing_of_an_adapter_outlives_it(
    hostile: Callable[[str], CommandTarget], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.targets.command.STOP_SECONDS", 0.3)
    target = hostile(how)
    pid = target.pid
    if how == "hangs at deploy":
        with pytest.raises(TargetBrokeError):
            target.deploy(replace(PLAIN, deadline=0.1))
    target.close()
    target.close()
    assert not is_group_alive(pid)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # it was reaped


def test_an_adapter_that_cannot_be_run_is_named() -> None:
    with pytest.raises(TargetBrokeError, match="cannot run '/no/such': No such file or directory"):
        CommandTarget(["/no/such"]).deploy(PLAIN)


def test_a_long_command_meets_an_adapter_that_reads_nothing(
    hostile: Callable[[str], CommandTarget],
) -> None:
    long = replace(PLAIN, request={"x": "y" * 5_000_000}, deadline=0.5)
    target = hostile("hangs at start")
    target._running = lambda: child.Child(["sleep", "60"])  # type: ignore[method-assign]
    with pytest.raises(TargetBrokeError, match=r"did not answer within 0\.5 s"):
        target.deploy(long)
    assert hostile("behaves").deploy(long).statuses == ["failed"]


# -- functions -----------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a module into the current directory; returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = f"relay_of_mine_{tmp_path.name.replace('-', '_')}"

    def write(code: str) -> str:
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return write


@pytest.mark.parametrize("how", ["def", "async def"])
def test_a_function_is_given_the_message_and_returns_records(
    module: Callable[[str], str], how: str
) -> None:
    name = module(
        "CAPABILITIES = ['mint.operations', 'limits']\n"
        f"{how} deploy(message):\n"
        "    return [{'node': n['name'], 'url': n['url']} for n in message['nodes']]\n"
    )
    target = open_target(f"python:{name}:deploy")
    assert target.capabilities == {"mint.operations", "limits"}
    assert target.deploy(PLAIN)[NODE]["url"] == "https://127.0.0.1:1/"
    target.close()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise TimeoutError('of its own')", "TimeoutError: of its own"),
        ("return 7", "returned something wrong: records: 7 is not of type 'array'"),
        ("return None", "returned something wrong"),
        ("return {'record': []}", "returned something wrong"),
    ],
)
def test_a_function_that_is_wrong_costs_its_case(
    module: Callable[[str], str], body: str, words: str
) -> None:
    target = FunctionTarget(f"{module(f'def deploy(message): {body}')}:deploy")
    with pytest.raises(TargetBrokeError, match=words):
        target.deploy(PLAIN)


@pytest.mark.parametrize(
    "code",
    ["import threading\ndef deploy(m): threading.Event().wait()",
     "import asyncio\nasync def deploy(m): await asyncio.sleep(1000)"],
    ids=["thread", "loop"],
)  # fmt: skip
def test_a_function_that_hangs_costs_its_case(module: Callable[[str], str], code: str) -> None:
    target = FunctionTarget(f"{module(code)}:deploy")
    with pytest.raises(TargetBrokeError, match=r"did not return within 0\.1 s"):
        target.deploy(replace(PLAIN, deadline=0.1))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def deploy(:", "SyntaxError"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("deploy = 7", "deploy is no function"),
        ("deploy = print\nCAPABILITIES = 'mint.operations'", "is a text; give a list"),
        ("deploy = print\nCAPABILITIES = ['retri']", "unknown capabilities retri; known are mint"),
    ],
)
def test_a_module_that_cannot_be_used_is_named(
    module: Callable[[str], str], code: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        open_target(f"python:{module(code)}:deploy")


def test_a_function_may_return_a_reply(module: Callable[[str], str]) -> None:
    target = FunctionTarget(f"{module('def f(message): return dict(refused=str(1))')}:f")
    assert target.deploy(PLAIN).refused == "1"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("no-such", "use `reference`, `cmd:COMMAND` or `python:"),
        ("cmd:", "no such target"),
        ("cmd:'", "No closing quotation"),
        ("python:json", "no such target"),
        ("python:no_such_module:f", "No module named 'no_such_module'"),
        ("python:json:no_such_function", "no attribute 'no_such_function'"),
    ],
)
def test_a_target_that_is_not_there_is_named_with_its_remedy(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_target(spec)


def test_the_schema_ships_beside_the_code() -> None:
    assert json.loads(messages.SCHEMA_FILE.read_text())["$id"] == "urn:deploy-relay-kit:adapter:1"

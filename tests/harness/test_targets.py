"""Targets: what they are told, what they may answer, and what a broken one costs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import structs

from deploy_relay_kit.harness.cli.main import main
from deploy_relay_kit.harness.errors import InputError, Unseen
from deploy_relay_kit.harness.judge.cases.relay import NotApplicable, Relay
from deploy_relay_kit.harness.targets import (
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
from deploy_relay_kit.harness.targets.capabilities import OF_CALLED_TARGETS
from deploy_relay_kit.harness.targets.command import CommandTarget
from deploy_relay_kit.harness.targets.function import FunctionTarget
from deploy_relay_kit.harness.targets.messages import Deployed, MessageError
from deploy_relay_kit.harness.targets.processes import is_group_alive
from deploy_relay_kit.harness.targets.schema import adapter_schema

HARNESS = Path(__file__).parents[2] / "harness"
HOSTILE = Path(__file__).parents[1] / "mutants" / "adapters" / "hostile.py"

NODE = DeployNode(name="node-1", url="https://127.0.0.1:1/", mint=OperationsMint("u", "p"))
PLAIN = DeployCommand(
    nodes=(NODE,), request={"operation": "deploy_component"}, payload=Path("/payload")
)
EVERYTHING = DeployCommand(
    nodes=(
        NODE,
        DeployNode(name="node-2", mint=GivenToken("t"), host="::1", port="h:1", verify=False),
        DeployNode(
            name="n",
            mint=ReplicationMint(),
            replication_url="wss://r:9933",
            ca_file=Path("/ca"),
        ),
    ),
    request={"b": [1, None, {"x": "\ud800☃"}], "a": -1.5, "": True},
    payload=Path("/payload"),
    seq=3,
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


@pytest.mark.parametrize("command", [PLAIN, EVERYTHING], ids=["plain", "everything"])
def test_a_command_survives_the_way_to_an_adapter_in_python(command: DeployCommand) -> None:
    line = messages.encode(command)
    assert line.endswith(b"}\n")
    assert line.isascii()
    read = messages.decode_plain(line)
    assert list(read["request"]) == list(command.request), "the order of members counts"
    assert messages.command_from(read) == command


@pytest.mark.parametrize("command", [PLAIN, EVERYTHING], ids=["plain", "everything"])
def test_a_command_is_what_the_schema_says(command: DeployCommand) -> None:
    Draft202012Validator(adapter_schema()).validate(json.loads(messages.encode(command)))


def test_what_is_not_set_is_left_out_and_verification_never_is() -> None:
    assert set(messages.plain(PLAIN)) == {"verb", "seq", "nodes", "request", "payload", "limits"}
    [node] = messages.plain(PLAIN)["nodes"]
    assert set(node) == {"name", "url", "mint", "verify"}
    assert set(messages.plain(PLAIN)["limits"]) == set(Limits.__struct_fields__)


@pytest.mark.parametrize("value", [float("nan"), ..., {1}, b"bytes"], ids=repr)
def test_what_json_cannot_express_is_not_sent(value: object) -> None:
    with pytest.raises(MessageError, match="cannot be written as JSON"):
        messages.encode(structs.replace(PLAIN, request={"x": value}))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON .*'hello'"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"records": []}', "expected seq 1, got None"),
        (b'{"seq": "1", "records": []}', "expected seq 1, got '1'"),
        (b'{"seq": 2, "records": []}', "expected seq 1, got 2"),
        (b'{"seq": 1}', "exactly one of records, refused, cancelled.*; got none of them"),
        (b'{"seq": 1, "records": [], "errored": "x"}', "exactly one of.*; got records, errored"),
        (
            b'{"seq": 1, "record": []}',
            r"unknown field `record` \(a reply `deployed` has seq, records, refused, cancelled,",
        ),
        (b'{"seq": 1, "records": {}}', "Expected `array`, got `object` - at `\\$.records`"),
        (b'{"seq": 1, "records": [7]}', r"Expected `object`, got `int` - at `\$.records\[0\]`"),
        (b'{"seq": 1, "records": [{"x": NaN}]}', "NaN is not JSON"),
        (b'{"seq": 1, "cancelled": false}', "cancelled must be true"),
        (b'{"seq": 1, "skipped": ""}', "skipped"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else "",
)
def test_a_wrong_reply_is_refused_with_what_is_wrong(reply: bytes, words: str) -> None:
    with pytest.raises(MessageError, match=words):
        messages.decode(Deployed, reply, 1)


def test_replies_mean_outcomes() -> None:
    assert Deployed(1, records=[{"node": "a"}]).outcome.nodes == ["a"]
    assert Deployed(1, refused="why").outcome == Outcome(refused="why")
    assert Deployed(1, cancelled=True).outcome == Outcome(cancelled=True)
    with pytest.raises(TargetSkippedError, match="why"):
        _ = Deployed(1, skipped="why").outcome
    with pytest.raises(TargetBrokeError, match="Traceback"):
        _ = Deployed(1, errored="Traceback").outcome


def test_a_password_and_a_token_stand_in_no_repr() -> None:
    assert "secret" not in f"{OperationsMint('u', 'secret')!r}{GivenToken('secret')!r}"


# -- outcomes ------------------------------------------------------------------------------------


def test_what_is_not_there_is_unseen_and_names_what_is() -> None:
    with pytest.raises(Unseen, match="refused the deploy: too long"):
        _ = Outcome(refused="too long")[NODE]
    with pytest.raises(Unseen, match="2 records name node-1, not one"):
        _ = Outcome.of([{"node": "node-1"}, {"node": "node-1"}])[NODE]
    success = Outcome.of([{"node": "node-1", "status": "success"}])[NODE]
    with pytest.raises(Unseen, match="has the status success, not failed"):
        _ = success.reason
    with pytest.raises(Unseen, match="has the status success, not failed"):
        _ = success.status_code
    odd = Outcome.of([{"node": "node-1", "status": "failed", "reason": {"a": 1}}])[NODE]
    with pytest.raises(Unseen, match=re.escape('is {"a": 1}')):
        _ = odd.reason


# -- what a command needs ------------------------------------------------------------------------


def test_a_command_knows_what_it_needs() -> None:
    assert PLAIN.needs == {"mint.operations"}
    assert EVERYTHING.needs == {
        *("mint.operations", "mint.given", "mint.replication", "insecure_node", "node_ca"),
        *("urls_from_parts", "client_certificate", "retry", "limits", "allow_http", "events"),
        *("cancel", "any_request"),
    }


class Declaring:
    """A target that declares this, and must not be asked for more."""

    name = identity = "declaring"
    pid = 0
    output = stderr = ""

    def __init__(self, *capabilities: str) -> None:
        self.capabilities = capabilities
        self.commands: list[DeployCommand] = []

    def deploy(self, command: DeployCommand, deadline: float = 1.0) -> Outcome:
        del deadline
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
    with pytest.raises(NotApplicable, match="insecure_node"):
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
        ("counts by itself", "expected seq 2, got 3"),
        ("forgets the seq", "expected seq 2, got None"),
        ("says records and errored", "got records, errored"),
        ("misspells", "unknown field `record`"),
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
        target.deploy(PLAIN, 0.3 if "within" in words else 1.0)
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
    with pytest.raises(
        TargetBrokeError, match=r"asked to deploy \(deploy 2 of this process\) and "
    ):
        target.deploy(PLAIN)


def test_only_the_first_deploy_without_an_answer_asks_for_flushed_output(
    hostile: Callable[[str], CommandTarget],
) -> None:
    """A process that has answered before flushes what it writes."""
    target = hostile("hangs at the second deploy")
    target.deploy(PLAIN)
    with pytest.raises(TargetBrokeError, match=r"within 0.3 s; it wrote nothing") as broke:
        target.deploy(PLAIN, 0.3)
    assert "flushed" not in str(broke.value)


def test_an_adapter_that_never_answers_is_not_asked_for_ever() -> None:
    target = CommandTarget([sys.executable, "-S", "-I", str(HOSTILE), "hangs at deploy"])
    for _ in range(3):
        with pytest.raises(TargetBrokeError, match="did not answer"):
            target.deploy(PLAIN, 0.1)
    with pytest.raises(TargetSkippedError, match="none of the first 3 deploys was answered"):
        target.deploy(PLAIN, 0.1)
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
        with pytest.raises(TargetBrokeError, match="did not answer"):
            target.deploy(PLAIN, 0.05)


def test_a_skipped_deploy_says_why(hostile: Callable[[str], CommandTarget]) -> None:
    target = hostile("skips")
    with pytest.raises(TargetSkippedError, match="not today"):
        target.deploy(PLAIN)
    assert target.deploy(PLAIN).statuses == ["failed"]


def test_an_adapter_says_who_it_is(hostile: Callable[[str], CommandTarget]) -> None:
    target = hostile("behaves")
    assert target.capabilities == {"mint.operations", "staged_payload", "any_request"}
    assert target.identity.startswith("hostile")


@pytest.mark.parametrize("how", ["behaves", "does not end", "leaves a child", "hangs at deploy"])
def test_nothing_of_an_adapter_outlives_it(
    hostile: Callable[[str], CommandTarget], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy_relay_kit.harness.targets.command.STOP_SECONDS", 0.3)
    target = hostile(how)
    pid = target.pid
    if how == "hangs at deploy":
        with pytest.raises(TargetBrokeError):
            target.deploy(PLAIN, 0.1)
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
    long = structs.replace(PLAIN, request={"x": "y" * 5_000_000})
    target = hostile("hangs at start")
    target._running = lambda: child.Child(["sleep", "60"])  # type: ignore[method-assign]
    with pytest.raises(TargetBrokeError, match=r"did not answer within 0\.5 s"):
        target.deploy(long, 0.5)
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
    assert target.capabilities - OF_CALLED_TARGETS.keys() == {"mint.operations", "limits"}
    assert target.deploy(PLAIN)[NODE]["url"] == "https://127.0.0.1:1/"
    target.close()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise TimeoutError('of its own')", "TimeoutError: of its own"),
        ("return 7", "returned something wrong: Expected `array.*`, got `int` - at `\\$.records`"),
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
    with pytest.raises(TargetBrokeError, match=r"did not answer within 0\.1 s"):
        target.deploy(PLAIN, 0.1)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def deploy(:", "SyntaxError"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("deploy = 7", "deploy is not a function"),
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
        ("no-such", "use `reference`, `cmd:COMMAND`, `python:"),
        ("sh adapter.sh", "a command is written as 'cmd:sh adapter.sh'"),
        ("cmd:", "no such target"),
        ("origin:", "no such target"),
        ("origin:'", "No closing quotation"),
        ("cmd:'", "No closing quotation"),
        ("python:json", "no such target"),
        ("python:no_such_module:f", "No module named 'no_such_module'"),
        ("python:json:no_such_function", "no attribute 'no_such_function'"),
    ],
)
def test_a_target_that_is_not_there_is_named_with_its_remedy(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_target(spec)


@pytest.mark.parametrize(
    ("document", "file"),
    [("adapter", "targets/adapter.schema.json"), ("result", "judge/report/result.schema.json")],
)
def test_the_shipped_schemas_are_those_of_the_code(
    document: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", document]) == 0
    printed = capsys.readouterr().out
    shipped = (HARNESS / file).read_text(encoding="utf-8")
    assert shipped == printed, f"run: relay-harness schema {document} > harness/{file}"
    Draft202012Validator.check_schema(json.loads(shipped))

"""The adapters that ship with the kit: relays that are really relays, whatever they lack."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import msgspec
import pytest

from deploy_relay_kit.harness.cli.main import main
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.events import EventStream, failure_events
from deploy_relay_kit.harness.faults.kinds import (
    AnswerEarly,
    ResetAfter,
    StopReadingAfter,
    in_turn,
    mint_refused,
)
from deploy_relay_kit.harness.judge import baseline
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME
from deploy_relay_kit.harness.judge.cases.relay import NotApplicable, Relay
from deploy_relay_kit.harness.judge.explain import cases_by_requirement
from deploy_relay_kit.harness.peer.payloads import stage_payload
from deploy_relay_kit.harness.targets import Limits, LocalSettings, OperationsMint, open_target
from deploy_relay_kit.harness.targets.capabilities import CAPABILITIES
from deploy_relay_kit.harness.targets.outcome import DEADLINE
from deploy_relay_kit.harness.targets.schema import adapter_schema
from tests.programs import skip_without

ADAPTERS = Path(__file__).parents[2] / "fixtures" / "adapters"
COMMANDS = {
    "reference": f"{sys.executable} -m deploy_relay_kit.harness.targets.reference_adapter",
    "node": f"node {ADAPTERS / 'node' / 'adapter.mjs'}",
    "curl": f"{sys.executable} {ADAPTERS / 'curl' / 'adapter.py'}",
}


@pytest.fixture
def relay(cluster: FakeCluster, tmp_path: Path) -> Iterator[Callable[[str], Relay]]:
    payload = stage_payload(tmp_path / "package.tar.gz", 400_000)
    relays: list[Relay] = []

    def start(name: str) -> Relay:
        if name != "reference":
            skip_without(name)
        target = open_target(f"cmd:{COMMANDS[name]}")
        relays.append(Relay(target, ca_file=cluster.ca_file, payload=payload))
        return relays[-1]

    yield start
    for each in relays:
        each.target.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_node_gets_its_record_at_once(
    cluster: FakeCluster, relay: Callable[[str], Relay], name: str
) -> None:
    faults = [
        None,
        Answer.error(500, "boom"),
        ResetAfter(70_000),
        AnswerEarly(Answer.error(401, "token expired"), "file", "drain"),
        mint_refused("invalid credentials"),
        Answer.redirect("https://127.0.0.1:1/"),
        None,
    ]
    peers = [cluster.peer(fault=fault) for fault in faults]
    outcome = relay(name).deploy(to=peers, request={"replicated": True, "note": "naïve\r\n☃"})
    assert outcome.nodes == [peer.name for peer in peers]
    assert outcome.statuses == ["success", *["failed"] * 5, "success"]
    codes = [record.members.get("statusCode") for record in outcome.records]
    assert codes == [None, 500, None, 401, 401, 307, None]
    assert outcome[peers[1]].reason == "boom"
    assert outcome[peers[3]].reason == "token expired"
    for peer in (peers[0], peers[-1]):
        assert peer.upload.findings == []
        assert peer.upload.fields["replicated"] == b"false"


def test_the_reference_makes_the_same_records_through_its_adapter(
    cluster: FakeCluster, relay: Callable[[str], Relay]
) -> None:
    through = relay("reference")
    direct = Relay(open_target("reference"), ca_file=cluster.ca_file, payload=through.payload)
    peers = [cluster.peer(), cluster.peer(fault=Answer.error(503, "later"))]
    assert through.deploy(to=peers) == direct.deploy(to=peers)
    assert through.deploy(to=peers, request={"project": "123"}).refused
    assert set(direct.target.capabilities) - set(through.target.capabilities) == {"native_values"}


@pytest.mark.parametrize("name", ["reference", "node"])
def test_what_is_declared_can_be_done(
    cluster: FakeCluster, relay: Callable[[str], Relay], name: str
) -> None:
    of = relay(name)
    passing = cluster.peer(fault=in_turn(Answer(503), None))
    retried = of.deploy(to=[passing], limits=Limits(attempts=2, retry_delay=0.0))[passing]
    assert (retried.status, retried["attempts"]) == ("success", 2)

    telling = cluster.peer(fault=EventStream(failure_events("no space left")))
    told = of.deploy(to=[telling], events=True)[telling]
    assert (told.status, told.reason) == ("failed", "no space left")

    stalling = cluster.peer(fault=StopReadingAfter(1000))
    assert of.deploy(to=[stalling], cancel_after=0.2).cancelled
    stalled = of.deploy(to=[stalling], limits=Limits(stall=0.2, answer=0.2))[stalling]
    assert stalled.status == "failed"

    plain = cluster.peer()
    port = plain.http.port
    parts = of.node(plain, url=None, host=plain.http.host, port=f"{plain.http.host}:{port}")
    local = LocalSettings(secure_port=1)
    assert of.deploy(to=[parts], local=local)[plain].status == "success"

    wrong = of.node(plain, url="https://", mint=OperationsMint("nobody", "nothing"))
    assert of.deploy(to=[wrong])[plain].status == "failed"
    assert of.deploy(to=[plain], request={"operation": "drop_schema"}).refused


def test_what_is_not_declared_is_not_asked(
    cluster: FakeCluster, relay: Callable[[str], Relay]
) -> None:
    peer, of = cluster.peer(), relay("curl")
    with pytest.raises(NotApplicable, match="insecure_node"):
        of.deploy(to=[peer], verify=False)
    assert peer.requests == []


@pytest.mark.parametrize("mint", ["mint.given", "mint.replication"])
def test_a_relay_that_mints_in_one_way_is_asked_for_no_other(
    mint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it does not declare is not applicable; all else is asked, with the mint that it has."""
    only = f"cmd:{COMMANDS['reference']} {mint}"
    one = "--case=test_fanout.py::test_one_failing_peer_changes_nothing_for_the_others"
    whole = "--case=test_fanout.py::test_every_peer_receives_the_staged_payload_whole"
    code = main(["run", "-v", "--relay", only, one, whole])
    told = capsys.readouterr().out
    assert code == 0, told
    for id_ in ("AGG-04", "FLD-08"):
        assert f"passed         {id_}" in told


ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")


def test_the_page_lists_every_capability_in_the_words_of_the_catalogue() -> None:
    section = PAGE.partition("### Capabilities")[2].partition("\n#")[0]
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*) \|$", section, re.MULTILINE)
    assert dict(rows) == CAPABILITIES


def test_the_page_names_every_member_of_a_deploy() -> None:
    members = {
        member
        for name, definition in adapter_schema()["$defs"].items()
        for member in definition.get("properties", {})
        if name != "DeployCommand" or member != "verb"
    }
    assert {name for name in members if name not in PAGE} == set()


def test_the_messages_on_the_page_are_messages() -> None:
    shown = re.findall(r"`(\{\"seq\".*?\})`", PAGE) + re.findall(
        r"```json\n(.*?)```", PAGE, re.DOTALL
    )
    kinds = ["start", "started", "stop", "stopped", "deploy"]
    read = [text for text in shown if "[…]" not in text and '"deploy", …' not in text]
    assert len(read) == len(kinds)
    for kind, text in zip(kinds, read, strict=True):
        message = json.loads(text)
        jsonschema.validate(message, adapter_schema())
        assert message.get("verb", kind) == kind


def test_the_function_on_the_page_is_a_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster
) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    made = "def my_relay(node, request, payload): return {'node': node['name']}\n"
    (tmp_path / "my_project.py").write_text(made)
    (tmp_path / "relay_of_the_page.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    target = open_target("python:relay_of_the_page:deploy")
    peer = cluster.peer()
    of = Relay(target, ca_file=cluster.ca_file, payload=stage_payload(tmp_path / "p", 1))
    assert of.deploy(to=[peer], limits=Limits(stall=1)).nodes == [peer.name]


def test_the_baseline_on_the_page_is_one() -> None:
    page = (ROOT / "docs" / "judging.md").read_text(encoding="utf-8")
    _, _, section = page.partition("## Known failures: the baseline")
    [text] = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    parsed = baseline.parse(text, "the page")
    assert (len(parsed.known), len(parsed.flaky)) == (2, 1)
    for entry, _ in parsed.entries():
        cases = {case.partition("::")[2] for case in cases_by_requirement()[entry.requirement]}
        assert entry.case is None or entry.case in cases
    rows = re.findall(r"^\| `(\w+)` \| (needed|optional) \|", section, re.MULTILINE)
    members = {field.name: field.required for field in msgspec.structs.fields(baseline.Entry)}
    assert {name: how == "needed" for name, how in rows} == members


def constant_of_the_cases(name: str) -> str:
    """The value of a module constant of the conformance cases, as its source has it."""
    pattern = re.compile(rf"^{name}\b.* = \D*([\d.]+)", re.MULTILINE)
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    [value] = {found for source in sources for found in pattern.findall(source)}
    return str(value)


def test_the_numbers_on_the_page_are_those_of_the_kit() -> None:
    text = " ".join(PAGE.split())
    assert f"answer a deploy within {DEADLINE:.0f} s" in text
    assert f"answer within {IN_TIME:.0f} s" in text
    assert f"a payload of {constant_of_the_cases('HUGE')} MiB" in text
    assert f"1/{constant_of_the_cases('GARBAGE')} of the payload" in text

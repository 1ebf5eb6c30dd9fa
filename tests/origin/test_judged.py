"""An origin as the target of a run, and targets that are none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_relay_kit.harness import FakeCluster, stage_payload
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.targets import TargetBrokeError, open_target
from deploy_relay_kit.harness.targets.origin.client import answered, text_of
from deploy_relay_kit.relay.origin.wire.fields import decoded
from tests.origin.nodes import RELAY
from tests.programs import skip_without

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(JSON)
def test_a_client_sends_what_an_origin_reads(value: object) -> None:
    assert decoded(text_of(value).encode().decode()) == value


def test_a_client_sends_a_list_of_a_mebibyte_as_long_as_a_relay_does() -> None:
    value = ["é" * 424_286, *[1] * 100_000]
    assert len(text_of(value).encode()) == 1_048_576


NODE = Path(__file__).parents[2] / "fixtures/adapters/node/origin.mjs"
ORIGINS = {"relay": f"{RELAY} serve --adapter", "node": f"node {NODE}"}


@pytest.fixture
def relay(
    fake_cluster: FakeCluster, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Relay]:
    name = getattr(request, "param", "relay")
    if name == "node":
        skip_without("node")
    target = open_target(f"origin:{ORIGINS[name]}")
    payload = stage_payload(tmp_path / "payload", 300_000)
    yield Relay(target, ca_file=fake_cluster.ca_file, payload=payload, cluster=fake_cluster)
    target.close()


@pytest.mark.parametrize("relay", ORIGINS, indirect=True)
@pytest.mark.parametrize("events", [False, True])
def test_an_origin_is_sent_each_deploy_and_its_records_are_taken(
    fake_cluster: FakeCluster, relay: Relay, *, events: bool
) -> None:
    for _ in range(2):  # the nodes of each deploy are its own
        peers = [fake_cluster.peer(), fake_cluster.peer()]
        outcome = relay.deploy(to=peers, request={"note": "x"}, events=events)
        assert outcome.nodes == [it.name for it in peers]
        assert outcome.statuses == ["success", "success"]
        for peer in peers:
            peer.upload.check({"project": "demo", "note": "x"}, relay.payload.path)


def test_an_origin_that_refuses_is_a_relay_that_refuses(
    fake_cluster: FakeCluster, relay: Relay
) -> None:
    outcome = relay.deploy(to=[fake_cluster.peer()], request={"n": "x" * 1_048_577})
    assert outcome.refused == "a field is larger than 1048576 bytes"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit('no luck')", "no luck"),
        ("print('hello', flush=True); input(); input()", "hello"),
        ("print(input(), flush=True); input()", "url"),
        (
            """input(); print('{"url":"https://h/","relay":"r","protocol":9,"capabilities":[]}')""",
            "protocol 9",
        ),
    ],
)
def test_a_program_that_is_no_origin_is_named(tmp_path: Path, code: str, words: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"import sys\nsys.stdout.reconfigure(line_buffering=True)\n{code}\n")
    target = open_target(f"origin:{sys.executable} {program}")
    with pytest.raises(TargetBrokeError, match=words):
        _ = target.capabilities
    target.close()


@pytest.mark.parametrize(
    ("status", "members", "refused"),
    [
        (400, {"error": "no"}, "no"),
        (413, {"error": "much"}, "much"),
        (200, {"replicated": []}, None),
    ],
)
def test_an_answer(status: int, members: dict[str, Any], refused: str | None) -> None:
    assert answered((status, members)).refused == refused


@pytest.mark.parametrize("members", [{}, {"error": "x"}, {"replicated": "all"}])
def test_an_answer_without_records_breaks_the_target(members: dict[str, Any]) -> None:
    with pytest.raises(TargetBrokeError, match="without `replicated`"):
        answered((500, members))

"""The relay against a live Harper, when one is named in the environment.

    RELAY_HARPER_URL=https://127.0.0.1:9925/ RELAY_HARPER_USER=admin RELAY_HARPER_PASSWORD=... \
        [RELAY_HARPER_CA=ca.pem] pytest tests/interop/test_live_harper.py

It deploys components called `relay-interop` and `relay-interop-2`; use a Harper that nobody needs.
The texts are those of Harper 5.1.14.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

import relay
from relay.pack import pack

_ENVIRONMENT = ("RELAY_HARPER_URL", "RELAY_HARPER_USER", "RELAY_HARPER_PASSWORD")
pytestmark = pytest.mark.skipif(
    not all(name in os.environ for name in _ENVIRONMENT),
    reason=f"no live Harper: set {', '.join(_ENVIRONMENT)} (and RELAY_HARPER_CA)",
)
PROJECT = "relay-interop"
ALLOWED = "can only contain alphanumeric, dash and underscores"
in_both_ways = pytest.mark.parametrize("events", [False, True], ids=["json", "events"])


@pytest.fixture
def component(tmp_path: Path) -> Path:
    root = tmp_path / "component"
    root.mkdir()
    (root / "config.yaml").write_text("static:\n  files: 'web/**'\n")
    (root / "web").mkdir()
    (root / "web" / "index.html").write_text("<p>deployed by the relay</p>\n")
    package = tmp_path / "package.tar.gz"
    with package.open("wb") as archive:
        pack(root, archive)
    return package


def deploy(
    package: Path,
    fields: dict[str, object],
    *,
    events: bool,
    mint: relay.Mint | None = None,
    **how: Any,
) -> relay.Record:
    url, user, password = (os.environ[name] for name in _ENVIRONMENT)
    ca_file = os.environ.get("RELAY_HARPER_CA")
    request = {"operation": "deploy_component", **fields}
    report = asyncio.run(
        relay.deploy(
            [relay.Node("live", url, mint=mint or relay.OperationsMint(user, password))],
            request,
            package,
            tls=relay.Tls(Path(ca_file) if ca_file else None),
            limits=relay.Limits(stall=10, answer=60),
            ask_for_events=events,
            **how,
        )
    )
    return report.records[0]


@in_both_ways
def test_a_component_is_deployed(component: Path, *, events: bool) -> None:
    told: list[relay.Event] = []
    record = deploy(
        component, {"project": PROJECT}, events=events, probe=True, on_event=told.append
    )
    assert record["status"] == "success", record
    assert record["message"] == f"Successfully deployed: {PROJECT}"
    assert record["deployment_id"]
    phases = [event.data for event in told if event.name == "phase"]
    assert (phases[:1] == [{"phase": "prepare", "status": "start"}]) is events


@in_both_ways
def test_a_large_package_is_taken_whole_or_refused_for_what_it_is(
    tmp_path: Path, *, events: bool
) -> None:
    package = tmp_path / "random.tar.gz"
    package.write_bytes(os.urandom(8 << 20))
    record = deploy(package, {"project": f"{PROJECT}-2"}, events=events)
    assert (record["status"], record["statusCode"]) == ("failed", 500), record


@in_both_ways
@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({}, 400, "'project' is required"),
        ({"project": ""}, 400, "'project' is not allowed to be empty"),
        ({"project": "a b"}, 400, ALLOWED),
        ({"project": ".hidden"}, 400, ALLOWED),
        ({"project": "näme"}, 400, ALLOWED),
        ({"project": "x" * 300}, None, "name too long"),
        ({"project": PROJECT, "restart": "maybe"}, 400, "'restart' must be one of"),
        ({"project": PROJECT, "restart": 1}, 400, "'restart'"),
        ({"project": PROJECT, "install_command": False}, 400, "must be a string"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_fields_that_it_refuses(
    component: Path, fields: dict[str, object], status: int | None, words: str, *, events: bool
) -> None:
    os.truncate(component, 32 << 20)  # the refusal comes while the file is still on its way
    record = deploy(component, fields, events=events)
    assert record["status"] == "failed"
    assert words in str(record["reason"])
    assert status is None or record["statusCode"] == status


@in_both_ways
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"neither gzip nor tar", "Unexpected end of data"),
        (bytes.fromhex("1f8b0800000000000003"), "unexpected end of file"),
    ],
)
def test_packages_that_it_refuses(
    tmp_path: Path, content: bytes, words: str, *, events: bool
) -> None:
    package = tmp_path / "package.tar.gz"
    package.write_bytes(content)
    record = deploy(package, {"project": f"{PROJECT}-2"}, events=events)
    assert (record["status"], record["statusCode"]) == ("failed", 500), record
    assert words in str(record["reason"])


@in_both_ways
def test_a_token_that_is_none_is_refused_in_the_middle_of_the_upload(
    component: Path, *, events: bool
) -> None:
    os.truncate(component, 64 << 20)
    sent = list[object]()
    record = deploy(
        component,
        {"project": PROJECT},
        events=events,
        mint=relay.GivenToken("not-a-token"),
        on_event=lambda event: sent.append(event.data.get("bytes")),
    )
    assert (record["reason"], record["statusCode"]) == ("invalid token", 401)
    assert 64 << 20 not in sent


def test_credentials_that_are_wrong_cost_the_mint(component: Path) -> None:
    mint = relay.OperationsMint(os.environ["RELAY_HARPER_USER"], "not-the-password")
    record = deploy(component, {"project": PROJECT}, events=False, mint=mint)
    assert record["reason"] == "token mint failed: invalid credentials"
    assert (record["stage"], record["statusCode"]) == ("mint", 401)

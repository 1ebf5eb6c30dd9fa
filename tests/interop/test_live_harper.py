"""The relay against a live Harper, when one is named in the environment.

    RELAY_HARPER_URL=https://127.0.0.1:9925/ RELAY_HARPER_USER=admin RELAY_HARPER_PASSWORD=... \
        [RELAY_HARPER_CA=ca.pem] pytest tests/interop/test_live_harper.py

It deploys components called `relay-interop` and `relay-interop-2`, and restarts the HTTP service;
use a Harper that nobody needs. The texts are those of Harper 5.1.14, and of HarperDB 4.7.29 for
what is older than 5.1. With RELAY_HARPER_REPLICATION_URL=wss://localhost:9933/ it mints over the
replication socket as well.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import relay
from relay.command.pack import pack

_ENVIRONMENT = ("RELAY_HARPER_URL", "RELAY_HARPER_USER", "RELAY_HARPER_PASSWORD")
pytestmark = pytest.mark.skipif(
    not all(name in os.environ for name in _ENVIRONMENT),
    reason=f"no live Harper: set {', '.join(_ENVIRONMENT)} (and RELAY_HARPER_CA)",
)
PROJECT = "relay-interop"
ALLOWED = "can only contain alphanumeric, dash and underscores"
_REPLICATION_URL = "RELAY_HARPER_REPLICATION_URL"
NOT_TAKEN = "it takes streamed deploys from 5.1 on"


@functools.cache
def takes_streams() -> bool:
    """Whether the live Harper is 5.1 or newer; asked without the relay, which is on trial here."""
    login = urllib.request.HTTPPasswordMgrWithPriorAuth()
    url, user, password = (os.environ[name] for name in _ENVIRONMENT)
    login.add_password(None, url, user, password, is_authenticated=True)
    opener = urllib.request.build_opener(
        urllib.request.HTTPBasicAuthHandler(login),
        urllib.request.HTTPSHandler(
            context=ssl.create_default_context(cafile=os.environ.get("RELAY_HARPER_CA"))
        ),
    )
    body = json.dumps({"operation": "registration_info"}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with opener.open(request, timeout=30) as answer:
        major, minor, *_ = json.load(answer)["version"].split(".")
    return (int(major), int(minor)) >= (5, 1)


@pytest.fixture
def modern() -> None:
    if not takes_streams():
        pytest.skip("this Harper is older than 5.1 and takes no streamed deploys")


from_5_1 = pytest.mark.usefixtures("modern")
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


def live_node(mint: relay.Mint | None = None) -> relay.Node:
    url, user, password = (os.environ[name] for name in _ENVIRONMENT)
    return relay.Node(
        "live",
        url,
        mint=mint or relay.OperationsMint(user, password),
        replication_url=os.environ.get(_REPLICATION_URL),
    )


def live_tls() -> relay.Tls:
    ca_file = os.environ.get("RELAY_HARPER_CA")
    return relay.Tls(Path(ca_file) if ca_file else None)


def deploy(
    package: Path,
    fields: dict[str, object],
    *,
    events: bool,
    mint: relay.Mint | None = None,
    **how: Any,
) -> relay.Record:
    request = {"operation": "deploy_component", **fields}
    report = asyncio.run(
        relay.deploy(
            [live_node(mint)],
            request,
            package,
            tls=live_tls(),
            limits=relay.Limits(stall=10, answer=60),
            ask_for_events=events,
            **how,
        )
    )
    return report.records[0]


@from_5_1
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


@from_5_1
@in_both_ways
def test_a_large_package_is_taken_whole_or_refused_for_what_it_is(
    tmp_path: Path, *, events: bool
) -> None:
    package = tmp_path / "random.tar.gz"
    package.write_bytes(os.urandom(8 << 20))
    record = deploy(package, {"project": f"{PROJECT}-2"}, events=events)
    assert (record["status"], record["statusCode"]) == ("failed", 500), record


@from_5_1
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


@from_5_1
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


@in_both_ways
def test_a_harper_before_5_1_is_named_when_it_is_asked_for_its_version(
    component: Path, *, events: bool
) -> None:
    if takes_streams():
        pytest.skip("this Harper is 5.1 or newer")
    record = deploy(component, {"project": PROJECT}, events=events, probe=True)
    assert NOT_TAKEN in str(record["reason"])
    os.truncate(component, 64 << 20)  # refused at once, and not to be sent to its end
    record = deploy(component, {"project": PROJECT}, events=events)
    assert record["statusCode"] == 415
    assert str(record["reason"]).startswith("Unsupported Media Type: multipart/form-data")


def test_the_http_service_restarts() -> None:
    report = asyncio.run(relay.restart([live_node()], tls=live_tls()))
    assert report.succeeded, report
    assert report.records[0]["message"] == "Restarting http"


@pytest.mark.skipif(_REPLICATION_URL not in os.environ, reason=f"{_REPLICATION_URL} is not set")
def test_a_token_is_minted_over_the_replication_socket(component: Path) -> None:
    """It is taken by the operations API, which looks at it before anything else."""
    mint = relay.ReplicationMint()
    record = deploy(component, {"project": "a b"}, events=False, mint=mint)
    assert record["stage"] == "answer", record
    assert record["statusCode"] in {400, 415}


@pytest.mark.skipif("RELAY_HARPER_CA" not in os.environ, reason="the system may trust this Harper")
def test_an_authority_that_is_not_given_is_not_trusted() -> None:
    node = live_node(relay.GivenToken("never-sent"))
    report = asyncio.run(relay.restart([node]))
    assert "not trusted; give the cluster's CA file" in str(report.records[0]["reason"])


def test_credentials_that_are_wrong_cost_the_mint(component: Path) -> None:
    mint = relay.OperationsMint(os.environ["RELAY_HARPER_USER"], "not-the-password")
    record = deploy(component, {"project": PROJECT}, events=False, mint=mint)
    assert record["reason"] == "token mint failed: invalid credentials"
    assert (record["stage"], record["statusCode"]) == ("mint", 401)

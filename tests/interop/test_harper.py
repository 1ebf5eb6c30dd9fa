"""The relay against a live Harper, when one is named in the environment, and recorded ones.

    RELAY_HARPER_URL=https://127.0.0.1:9925/ RELAY_HARPER_USER=admin RELAY_HARPER_PASSWORD=... \
        [RELAY_HARPER_CA=ca.pem] pytest tests/interop

It deploys components called `relay-interop` and `relay-interop-2`, and restarts the HTTP service;
use a Harper that nobody needs. The texts are those of Harper 5.1.14, and of HarperDB 4.7.29 for
what is older than 5.1. With RELAY_HARPER_REPLICATION_URL=wss://localhost:9933/ it mints over the
replication socket as well.

The recorded ones are fake peers with the profiles of these versions. What holds of them and not of
a live Harper is a mistake in the profile.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.profiles import ProfileName
from deploy_relay_kit.relay.command.packing.pack import pack

_ENVIRONMENT = ("RELAY_HARPER_URL", "RELAY_HARPER_USER", "RELAY_HARPER_PASSWORD")
PROJECT = "relay-interop"
ALLOWED = "can only contain alphanumeric, dash and underscores"


@dataclass(frozen=True)
class Harper:
    """One of them, and who may deploy to it.

    Its replication socket has a certificate for `name` (WS-06).
    """

    name: str
    url: str
    user: str
    password: str
    ca_file: str | None
    replication_url: str | None

    def node(self, mint: relay.Mint | None = None) -> relay.Node:
        return relay.Node(
            self.name,
            self.url,
            mint=mint or relay.OperationsMint(self.user, self.password),
            replication_url=self.replication_url,
        )

    @property
    def tls(self) -> relay.Tls:
        return relay.Tls(self.ca_file)

    @property
    def takes_streams(self) -> bool:
        """Whether it is 5.1 or newer; asked without the relay, which is on trial here."""
        login = urllib.request.HTTPPasswordMgrWithPriorAuth()
        login.add_password(None, self.url, self.user, self.password, is_authenticated=True)
        opener = urllib.request.build_opener(
            urllib.request.HTTPBasicAuthHandler(login),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.ca_file)),
        )
        body = json.dumps({"operation": "registration_info"}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with opener.open(request, timeout=30) as answer:
            major, minor, *_ = json.load(answer)["version"].split(".")
        return (int(major), int(minor)) >= (5, 1)

    def deploy(
        self,
        package: Path,
        fields: dict[str, object],
        *,
        events: bool,
        mint: relay.Mint | None = None,
        **how: Any,
    ) -> relay.Record:
        report = asyncio.run(
            relay.deploy(
                [self.node(mint)],
                {"operation": "deploy_component", **fields},
                package,
                tls=self.tls,
                limits=relay.Limits(stall=10, answer=60),
                ask_for_events=events,
                **how,
            )
        )
        return report.records[0]


def named_or_recorded(which: ProfileName | Literal["live"]) -> Iterator[Harper]:
    if which != "live":
        with FakeCluster() as cluster:
            peer = cluster.peer("harper.example", profile=which, username="admin")
            socket = cluster.replication(peer)
            yield Harper(
                peer.name, peer.url, "admin", peer.password, str(cluster.ca_file), socket.url
            )
        return
    if not all(name in os.environ for name in _ENVIRONMENT):
        pytest.skip(f"no live Harper: set {', '.join(_ENVIRONMENT)} (and RELAY_HARPER_CA)")
    further = (os.environ.get(f"RELAY_HARPER_{name}") for name in ("CA", "REPLICATION_URL"))
    url, user, password = (os.environ[name] for name in _ENVIRONMENT)
    yield Harper(urlsplit(url).hostname or "", url, user, password, *further)


@pytest.fixture(params=["live", "harper-5.1"])
def harper(request: pytest.FixtureRequest) -> Iterator[Harper]:
    for found in named_or_recorded(request.param):
        if not found.takes_streams:
            pytest.skip("this Harper is older than 5.1 and takes no streamed deploys")
        yield found


@pytest.fixture(params=["live", "pre-5.1"])
def old_harper(request: pytest.FixtureRequest) -> Iterator[Harper]:
    for found in named_or_recorded(request.param):
        if found.takes_streams:
            pytest.skip("this Harper is 5.1 or newer")
        yield found


@pytest.fixture(params=["live", "harper-5.1", "pre-5.1"])
def any_harper(request: pytest.FixtureRequest) -> Iterator[Harper]:
    yield from named_or_recorded(request.param)


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


@in_both_ways
def test_a_component_is_deployed(harper: Harper, component: Path, *, events: bool) -> None:
    told: list[relay.Event] = []
    record = harper.deploy(
        component, {"project": PROJECT}, events=events, probe=True, on_event=told.append
    )
    assert record["status"] == "success", record
    assert record["message"] == f"Successfully deployed: {PROJECT}"
    assert record["deployment_id"]
    phases = [event.data for event in told if event.name == "phase"]
    assert (phases[:1] == [{"phase": "prepare", "status": "start"}]) is events


@in_both_ways
def test_a_large_package_is_taken_whole_or_refused_for_what_it_is(
    harper: Harper, tmp_path: Path, *, events: bool
) -> None:
    package = tmp_path / "random.tar.gz"
    package.write_bytes(os.urandom(8 << 20))
    record = harper.deploy(package, {"project": f"{PROJECT}-2"}, events=events)
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
    harper: Harper,
    component: Path,
    fields: dict[str, object],
    status: int | None,
    words: str,
    *,
    events: bool,
) -> None:
    os.truncate(component, 32 << 20)  # the refusal comes while the file is still on its way
    record = harper.deploy(component, fields, events=events)
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
    harper: Harper, tmp_path: Path, content: bytes, words: str, *, events: bool
) -> None:
    package = tmp_path / "package.tar.gz"
    package.write_bytes(content)
    record = harper.deploy(package, {"project": f"{PROJECT}-2"}, events=events)
    assert (record["status"], record["statusCode"]) == ("failed", 500), record
    assert words in str(record["reason"])


@in_both_ways
def test_a_token_that_is_none_is_refused_in_the_middle_of_the_upload(
    any_harper: Harper, component: Path, *, events: bool
) -> None:
    os.truncate(component, 64 << 20)
    sent = list[object]()
    record = any_harper.deploy(
        component,
        {"project": PROJECT},
        events=events,
        mint=relay.GivenToken("not-a-token"),
        on_event=lambda event: sent.append(event.data.get("bytes")),
    )
    assert (record["reason"], record["statusCode"]) == ("invalid token", 401)
    assert 64 << 20 not in sent


@in_both_ways
def test_a_harper_before_5_1_is_recognised_when_it_is_asked_for_its_version(
    old_harper: Harper, component: Path, *, events: bool
) -> None:
    names: list[str] = []
    record = old_harper.deploy(
        component,
        {"project": PROJECT},
        events=events,
        probe=True,
        on_event=lambda event: names.append(event.name),
    )
    assert record["message"] == f"Successfully deployed: {PROJECT}"
    assert "legacy" in names
    os.truncate(component, 64 << 20)  # refused at once, and not to be sent to its end
    record = old_harper.deploy(component, {"project": PROJECT}, events=events)
    assert record["statusCode"] == 415
    assert str(record["reason"]).startswith("Unsupported Media Type: multipart/form-data")
    assert "--probe" in str(record["hint"])


def test_the_http_service_restarts(any_harper: Harper) -> None:
    report = asyncio.run(relay.restart([any_harper.node()], tls=any_harper.tls))
    assert report.succeeded, report
    assert report.records[0]["message"] == "Restarting http"


def test_a_token_is_minted_over_the_replication_socket(any_harper: Harper, component: Path) -> None:
    """It is taken by the operations API, which looks at it before anything else."""
    if any_harper.replication_url is None:
        pytest.skip("RELAY_HARPER_REPLICATION_URL is not set")
    mint = relay.ReplicationMint()
    record = any_harper.deploy(component, {"project": "a b"}, events=False, mint=mint)
    assert record["stage"] == "answer", record
    assert record["statusCode"] in {400, 415}


def test_an_authority_that_is_not_given_is_not_trusted(any_harper: Harper) -> None:
    if any_harper.ca_file is None:
        pytest.skip("the system may trust this Harper")
    report = asyncio.run(relay.restart([any_harper.node(relay.GivenToken("never-sent"))]))
    assert "not trusted; --ca must name the cluster's CA file" in str(report.records[0]["reason"])


def test_credentials_that_are_wrong_cost_the_mint(any_harper: Harper, component: Path) -> None:
    mint = relay.OperationsMint(any_harper.user, "not-the-password")
    record = any_harper.deploy(component, {"project": PROJECT}, events=False, mint=mint)
    assert record["reason"] == "token mint failed: invalid credentials"
    assert (record["stage"], record["statusCode"]) == ("mint", 401)

"""The relay to nodes behind real proxies, with and without their buffering of requests.

Sizes are 3 and 20 MB; RELAY_PROXY_MB=300 adds another.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.broken_answers import Held
from deploy_relay_kit.harness.faults.kinds import AnswerEarly
from deploy_relay_kit.harness.fronts.apache import ApacheFront
from deploy_relay_kit.harness.fronts.caddy import CaddyFront
from deploy_relay_kit.harness.fronts.haproxy import HaproxyFront
from deploy_relay_kit.harness.fronts.nginx import NginxFront
from deploy_relay_kit.harness.fronts.real import RealFront
from deploy_relay_kit.harness.peer.payloads import seeded_blocks
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.programs import installed
from tests.rawclient import mint

DEPLOY = {"operation": "deploy_component", "project": "demo"}
SIZES = [3, 20, *map(int, filter(None, [os.environ.get("RELAY_PROXY_MB")]))]
REFUSED = Answer.error(403, "not allowed here")


@pytest.fixture(
    params=(NginxFront, HaproxyFront, ApacheFront, CaddyFront), ids=lambda kind: kind.program
)
def kind(request: pytest.FixtureRequest) -> type[RealFront]:
    return installed(request.param)


class _Seeded(io.RawIOBase):
    """A file of pseudo-random bytes."""

    def __init__(self, size: int) -> None:
        self._blocks = seeded_blocks(size)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._blocks, b"")
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, str]]:
    """By their sizes in MB: packages that a Harper can unpack, and their SHA-256."""
    found = {}
    for size in SIZES:
        path = tmp_path_factory.mktemp("package") / "package.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=0) as archive:
            for name, length in (("package/config.yaml", 0), ("package/data.bin", size << 20)):
                member = tarfile.TarInfo(name)
                member.size = length
                archive.addfile(member, io.BufferedReader(_Seeded(length)))
        with path.open("rb") as file:
            found[size] = path, hashlib.file_digest(file, "sha256").hexdigest()
    return found


def deploy(
    cluster: FakeCluster,
    front: RealFront,
    package: Path,
    *,
    mint: relay.Mint | None = None,
    url: str | None = None,
    **how: Any,
) -> relay.Record:
    own = relay.OperationsMint(front.username, front.password)
    node = relay.Node(front.name, url or front.url, mint=mint or own)
    how = {"limits": relay.Limits(mint=10, stall=5, answer=60), **how}
    tls = relay.Tls(ca_file=cluster.ca_file)
    return asyncio.run(relay.deploy([node], DEPLOY, package, tls=tls, **how)).records[0]


def received(peer: FakePeer) -> list[str | None]:
    """The SHA-256 of each file that reached the node."""
    return [upload.file.sha256 if upload.file else None for upload in peer.uploads]


@pytest.mark.parametrize("events", [False, True], ids=["json", "events"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("buffering", [False, True], ids=["unbuffered", "buffered"])
def test_a_package_arrives_whole(
    cluster: FakeCluster,
    packages: dict[int, tuple[Path, str]],
    kind: type[RealFront],
    size: int,
    *,
    buffering: bool,
    events: bool,
) -> None:
    package, sha256 = packages[size]
    peer = cluster.peer(profile="harper-5.1")
    seen: list[relay.Event] = []
    with kind(cluster.authority, peer, "/ops", request_buffering=buffering) as front:
        record = deploy(cluster, front, package, ask_for_events=events, on_event=seen.append)
    assert (record["status"], record.get("attempts")) == ("success", None), record
    assert received(peer) == [sha256]
    names = {event.name for event in seen}
    loses_events = kind in {NginxFront, CaddyFront}
    assert ("phase" in names) == (events and not loses_events)
    assert ("no_events" in names) == (events and loses_events)


@pytest.mark.parametrize("size", [3, 20])
@pytest.mark.parametrize("buffering", [False, True], ids=["unbuffered", "buffered"])
def test_a_proxy_that_shows_only_during_the_upload(
    cluster: FakeCluster,
    packages: dict[int, tuple[Path, str]],
    kind: type[RealFront],
    size: int,
    *,
    buffering: bool,
) -> None:
    """No answer of the node was seen before, because the token was given."""
    package, sha256 = packages[size]
    peer = cluster.peer(profile="harper-5.1")
    token = relay.GivenToken(mint(peer, cluster.ca_file))
    seen: list[relay.Event] = []
    with kind(cluster.authority, peer, "/ops", request_buffering=buffering) as front:
        record = deploy(
            cluster, front, package, mint=token, ask_for_events=True, on_event=seen.append
        )
    assert (record["status"], record.get("attempts")) == ("success", None), record
    names = [event.name for event in seen]
    if kind in {NginxFront, CaddyFront}:
        assert names.count("mint") == 2, "the upload was repeated"
        assert names.count("no_events") == 1
        peer.wait_until(lambda peer: len(peer.live_uploads) == 2)
        [last] = [file for upload in peer.live_uploads[-1:] if (file := upload.file)]
        assert last.sha256 == sha256
    else:
        assert received(peer) == [sha256]


@pytest.mark.parametrize("then", ["drain", "grace", "stop"])
@pytest.mark.parametrize("buffering", [False, True], ids=["unbuffered", "buffered"])
def test_an_early_refusal(
    cluster: FakeCluster,
    packages: dict[int, tuple[Path, str]],
    kind: type[RealFront],
    *,
    buffering: bool,
    then: Any,
) -> None:
    """It arrives with its words, unless the node stops reading behind Apache httpd.

    httpd writes to the node until its own time limit (ProxyTimeout), and reads no answer before.
    """
    package, _ = packages[20]
    peer = cluster.peer(profile="witness", fault=AnswerEarly(REFUSED, "file", then))
    limits = relay.Limits(stall=2, answer=2)
    with kind(cluster.authority, peer, "/ops", request_buffering=buffering) as front:
        record = deploy(cluster, front, package, limits=limits)
    if kind is ApacheFront and then == "stop":
        assert record["reason"] in {"the peer took no data for 2 s", "no answer in 2 s"}
        assert buffering or "Apache httpd hides the answer" in record["hint"]
    else:
        assert (record["statusCode"], record["reason"]) == (403, "not allowed here")
        assert "uncertain" not in record


# -- what docs/deploying.md says of the settings ---------------------------------------------------

PROXY_TIMEOUT = "</Location>\nProxyTimeout 1\n<Location />"


def front_of(
    cluster: FakeCluster, kind: type[RealFront], peer: FakePeer, directives: str
) -> RealFront:
    return installed(kind)(cluster.authority, peer, "/ops", directives=directives)


@pytest.mark.parametrize(
    ("kind", "directives"),
    [
        (NginxFront, "client_max_body_size 1m;"),
        (CaddyFront, "request_body {\nmax_size 1MB\n}"),
    ],
    ids=["nginx", "caddy"],
)
def test_a_limit_of_the_body(
    cluster: FakeCluster,
    packages: dict[int, tuple[Path, str]],
    kind: type[RealFront],
    directives: str,
) -> None:
    package, _ = packages[3]
    peer = cluster.peer()
    with front_of(cluster, kind, peer, directives) as front:
        record = deploy(cluster, front, package)
    assert record["statusCode"] == 413, record
    assert "limits the size of a body" in record["hint"]


def test_apache_limits_no_body_that_it_passes_on(
    cluster: FakeCluster, packages: dict[int, tuple[Path, str]]
) -> None:
    package, sha256 = packages[3]
    peer = cluster.peer()
    with front_of(cluster, ApacheFront, peer, "LimitRequestBody 1000000") as front:
        assert deploy(cluster, front, package)["status"] == "success"
    assert received(peer) == [sha256]


@pytest.mark.parametrize(
    ("kind", "directives"),
    [
        (NginxFront, "proxy_read_timeout 1s;"),
        (HaproxyFront, "timeout server 1s"),
        (ApacheFront, PROXY_TIMEOUT),
    ],
    ids=["nginx", "haproxy", "apache2"],
)
def test_a_proxy_that_waits_too_short_for_an_answer(
    cluster: FakeCluster,
    packages: dict[int, tuple[Path, str]],
    kind: type[RealFront],
    directives: str,
) -> None:
    package, _ = packages[3]
    over = threading.Event()
    peer = cluster.peer(fault=Held(Answer(), functools.partial(over.wait, 30)))
    with front_of(cluster, kind, peer, directives) as front:
        record = deploy(cluster, front, package)
        over.set()
    assert record["statusCode"] == (502 if kind is ApacheFront else 504), record
    assert record["uncertain"]
    assert "not in its own time limit" in record["hint"]


def test_a_url_without_its_slash_names_the_one_with_it(
    cluster: FakeCluster, packages: dict[int, tuple[Path, str]]
) -> None:
    """It is not followed: the password was sent to the given URL, and goes nowhere else."""
    package, _ = packages[3]
    peer = cluster.peer()
    with installed(NginxFront)(cluster.authority, peer, "/ops") as front:
        record = deploy(cluster, front, package, url=front.url.removesuffix("/"))
        assert (record["statusCode"], peer.requests) == (301, [])
        assert record["hint"].endswith(f"give the URL {front.url}")
        assert deploy(cluster, front, package)["status"] == "success"


def test_the_command_says_why_a_node_reports_no_progress(
    cluster: FakeCluster, packages: dict[int, tuple[Path, str]]
) -> None:
    peer = cluster.peer(profile="harper-5.1")
    with front_of(cluster, NginxFront, peer, "") as front:
        ended = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "deploy_relay_kit.relay",
                    "deploy",
                    packages[20][0],
                    "--project=demo",
                ),
                *(f"--node=eu={front.url}", f"--ca={cluster.ca_file}"),
            ],
            capture_output=True,
            check=False,
            text=True,
            env={**os.environ, "RELAY_USER": front.username, "RELAY_PASSWORD": front.password},
        )
    assert ended.returncode == 0, ended.stderr
    assert "eu: no progress from the node: nginx in front of the node spoils" in ended.stderr
    assert received(peer) == [packages[20][1]]

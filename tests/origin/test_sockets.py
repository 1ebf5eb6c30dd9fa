"""The replication socket of a node, replicated operations over it, and rolling restarts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import msgpack  # type: ignore[import-untyped]  # it has no types of its own
import pytest
import trustme

from deploy_relay_kit import relay
from deploy_relay_kit.relay.command.cli import main
from deploy_relay_kit.relay.origin.socket import operation_in
from tests.origin.archives import component
from tests.origin.nodes import FILES, RealCluster, RealNode, basic, real_cluster, wait_for
from tests.origin.test_via import reached

PROTOCOL = "harperdb-replication-v1"
MINT = {"operation": "create_authentication_tokens"}
INFO = {"operation": "registration_info"}


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """Three nodes with replication sockets, whose restarts are lines of a file."""
    home = tmp_path_factory.mktemp("linked")
    with real_cluster(home) as cluster:
        for name in ("n1", "n2", "n3"):
            script = f"echo {name} >> {home}/restarts"
            cluster.start(name, f'replication_port = 0\nrestart = ["sh", "-c", "{script}"]')
        cluster.publish()
        yield cluster


def context_of(cluster: RealCluster, node: str | None) -> ssl.SSLContext:
    """A client of the cluster's authority, with the certificate of a node or without one."""
    context = ssl.create_default_context(cafile=str(cluster.home / "ca.pem"))
    if node is not None:
        context.load_cert_chain(cluster.home / node / "leaf.pem")
    return context


@contextlib.asynccontextmanager
async def closed_at_the_end() -> AsyncIterator[aiohttp.TCPConnector]:
    """A connector whose sockets are closed afterwards: aiohttp does not wait for the end of TLS."""
    opened: list[socket.socket] = []

    def new(address: aiohttp.AddrInfoType) -> socket.socket:
        opened.append(socket.socket(*address[:3]))
        opened[-1].settimeout(0)
        return opened[-1]

    try:
        yield aiohttp.TCPConnector(socket_factory=new)
    finally:
        async with asyncio.timeout(30):
            while any(it.fileno() != -1 for it in opened):  # noqa: ASYNC110  nothing tells it
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def linked_to(
    node: RealNode, context: ssl.SSLContext, **how: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse[bool]]:
    async with (
        closed_at_the_end() as connector,
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect(
            str(node.replication_url),
            ssl=context,
            **({"protocols": [PROTOCOL], "server_hostname": node.name} | how),
        ) as link,
    ):
        yield link


def asked(node: RealNode, context: ssl.SSLContext, *messages: bytes, **how: Any) -> list[Any]:
    """The answers to messages on one connection, the last one perhaps the code of a close."""

    async def ask() -> list[Any]:
        found: list[Any] = []
        async with linked_to(node, context, **how) as link:
            assert link.protocol == PROTOCOL
            for sent in messages:
                await link.send_bytes(sent)
            while len(found) < len(messages):
                message = await link.receive(timeout=30)
                if message.type is not aiohttp.WSMsgType.BINARY:
                    return [*found, (link.close_code, message.extra)]
                found.append(msgpack.unpackb(message.data))
        return found

    return asyncio.run(ask())


def request(number: int = 1, /, **members: object) -> bytes:
    packed: bytes = msgpack.packb([136, {**members, "requestId": number}])
    return packed


def test_a_node_mints_on_another_over_its_socket(linked: RealCluster, tmp_path: Path) -> None:
    first, second, _ = linked.nodes
    payload = tmp_path / "payload.tar.gz"
    payload.write_bytes(component(**FILES))
    leaf = first.home / "leaf.pem"
    node = relay.Node("n2", second.url, replication_url=second.replication_url)
    report = asyncio.run(
        relay.deploy(
            [node],
            {"operation": "deploy_component", "project": "minted"},
            payload,
            mint=relay.ReplicationMint(),
            tls=relay.Tls(linked.home / "ca.pem", leaf, leaf),
        )
    )
    assert report.succeeded, report.records
    assert second.live("minted") == FILES


def test_answers_have_the_numbers_of_their_requests(linked: RealCluster) -> None:
    node, context = linked.nodes[0], context_of(linked, "n2")
    ignored = b"\x01replication data"
    answers = asked(
        node,
        context,
        request(7, **INFO),
        request(8, operation="no_such_operation"),
        request(9, operation="get_job", id="none"),
    )
    assert [it[0] for it in answers] == [137, 137, 137]
    assert [it[1]["requestId"] for it in answers] == [7, 8, 9]
    assert "version" in answers[0][1]
    assert answers[1][1]["error"] == "Error: Operation 'no_such_operation' not found"
    assert answers[2][1]["results"] == []
    assert operation_in(ignored) is None


@pytest.mark.parametrize("user", ["admin", "guest", "stranger"])
def test_credentials_count_as_on_the_operations_api(linked: RealCluster, user: str) -> None:
    how = {"headers": basic(user)}
    (answer,) = asked(linked.nodes[0], context_of(linked, None), request(**INFO), **how)
    if user == "admin":
        assert "version" in answer[1]
    elif user == "guest":
        assert answer[1]["error"].startswith("Error: user 'guest' may not")
    else:
        assert answer == (1008, "Unauthorized: Login failed")


def test_a_stranger_is_refused_at_the_first_message(linked: RealCluster) -> None:
    node = linked.nodes[0]
    named = context_of(linked, None)
    named.load_cert_chain(linked.issue("elsewhere.example"))
    for context in (context_of(linked, None), named):
        assert asked(node, context, request(**MINT)) == [(1008, "Unauthorized")]
    # A certificate of another authority does not even shake hands.
    other = context_of(linked, None)
    leaf = linked.home / "other.pem"
    trustme.CA().issue_cert("n2").private_key_and_cert_chain_pem.write_to_path(str(leaf))
    other.load_cert_chain(leaf)
    with pytest.raises((aiohttp.ClientError, OSError)):
        asked(node, other, request(**MINT))


def test_a_socket_without_the_subprotocol_is_refused(linked: RealCluster) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
        asked(linked.nodes[0], context_of(linked, "n2"), request(**MINT), protocols=["other"])


@pytest.mark.parametrize(
    "frame",
    [b"", b"\x01data", b"\x92\xcc\x88", b"\xc1", msgpack.packb([129, {}]), msgpack.packb([136, 1])],
)
def test_other_frames_are_no_requests(frame: bytes) -> None:
    assert operation_in(frame) is None


def test_a_replicated_operation_goes_over_the_sockets(linked: RealCluster) -> None:
    origin = linked.nodes[0]
    for content in (b"1", b"2"):
        fields = {"project": "moved", "replicated": True}
        assert origin.deploy(component(version=content), **fields)[0] == 200
    back = {"operation": "rollback_component", "project": "moved", "replicated": True}
    status, answer = origin.ask(back)
    assert status == 200, answer
    assert [(it["node"], it["status"]) for it in answer["replicated"]] == [
        ("n2", "success"),
        ("n3", "success"),
    ]
    assert [node.live("moved") for node in linked.nodes] == [{"version": b"1"}] * 3
    # n2 lacks the previous build of another project.
    origin.deploy(component(version=b"1"), project="partly", replicated=True)
    for node in (origin, linked.nodes[2]):
        node.deploy(component(version=b"2"), project="partly")
    status, answer = origin.ask({**back, "project": "partly"})
    assert status == 500
    assert answer["failed_peers"] == [
        {"node": "n2", "error": "Error: no previous build of 'partly'"}
    ]


@pytest.mark.parametrize("client", ["stays", "leaves"])
def test_a_ping_is_answered_while_an_operation_waits(tmp_path: Path, client: str) -> None:
    """WS-19: a rollback waits for the command of a deploy, longer than a socket may be silent."""
    gate, began = tmp_path / "gate", tmp_path / "began"
    script = f"test -e slow || exit 0; touch {began}; while test ! -e {gate}; do sleep 0.02; done"
    with real_cluster(tmp_path / "cluster") as cluster:
        command = f"""on_deploy = ["sh", "-c", "{script}"]"""
        limits = "limits = { idle = 0.5 }"
        node = cluster.start("n1", f"replication_port = 0\n{command}\n{limits}")
        assert node.deploy(component(version=b"1"))[0] == 200

        async def roll_back() -> str:
            context, how = context_of(cluster, None), {"headers": basic("admin")}
            async with linked_to(node, context, autoping=False, **how) as link:
                await link.send_bytes(request(operation="rollback_component", project="demo"))
                before = time.monotonic()
                while time.monotonic() - before < 1.0:
                    await link.ping(b"sent")
                    message = await link.receive(timeout=10)
                    assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"sent")
                if client == "leaves":
                    return ""
                gate.touch()
                return str(msgpack.unpackb((await link.receive(timeout=30)).data)[1]["message"])

        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(node.deploy, component(version=b"2", slow=b""))
            try:
                wait_for(began.exists)
                assert asyncio.run(roll_back()) in {"Rolled back: demo", ""}
            finally:
                gate.touch()
            assert slow.result()[0] == 200
        wait_for(lambda: node.live() == {"version": b"1"})
        assert node.stop() == 0
        assert (node.home / "stderr").read_text() == ""


@pytest.mark.parametrize(
    ("headers", "limit"),
    [(basic("admin"), "idle = 0.5"), ({}, "head = 2.0")],
    ids=["user", "stranger"],
)
def test_pings_alone_hold_no_socket_open(
    tmp_path: Path, headers: dict[str, str], limit: str
) -> None:
    with real_cluster(tmp_path) as cluster:
        node = cluster.start("n1", f"replication_port = 0\nlimits = {{ {limit} }}")

        async def wait() -> int | None:
            context = context_of(cluster, None)
            async with linked_to(node, context, headers=headers, heartbeat=0.2) as link:
                assert (await link.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
                return link.close_code

        assert asyncio.run(wait()) == 1000


def test_an_open_socket_does_not_hold_up_a_node_that_is_stopped(tmp_path: Path) -> None:
    with real_cluster(tmp_path) as cluster:
        node = cluster.start("n1", "replication_port = 0")

        async def stop_under() -> int:
            async with linked_to(node, context_of(cluster, None)) as link:
                code = await asyncio.to_thread(node.stop)  # which waits for half of `limits.idle`
                assert (await link.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
                return code

        assert asyncio.run(stop_under()) == 0


# -- restarts ----------------------------------------------------------------------------------


def ended(node: RealNode, job: str) -> dict[str, Any]:
    """A job when it has ended."""
    found: list[dict[str, Any]] = []

    def has_ended() -> bool:
        found[:] = node.ask({"operation": "get_job", "id": job})[1]
        return bool(found[0]["status"] != "IN_PROGRESS")

    wait_for(has_ended)
    return found[0]


def restarts(cluster: RealCluster) -> list[str]:
    file = cluster.home / "restarts"
    lines = file.read_text().split() if file.exists() else []
    file.write_text("")
    return lines


def test_a_rolling_deploy_restarts_one_node_after_another(linked: RealCluster) -> None:
    restarts(linked)
    origin = linked.nodes[0]
    fields = {"project": "rolling", "replicated": True, "restart": "rolling"}
    status, answer = origin.deploy(component(**FILES), **fields)
    assert (status, answer["message"]) == (200, "Successfully deployed: rolling, restarting")
    job = ended(origin, answer["restartJobId"])
    assert (job["status"], job["message"]) == ("COMPLETE", "Restarted")
    assert [(it["node"], it["status"]) for it in job["replicated"]] == [
        ("n2", "success"),
        ("n3", "success"),
    ]
    assert restarts(linked) == ["n2", "n3", "n1"]


def test_the_command_waits_for_the_rolling_restart_of_an_origin(
    linked: RealCluster, tmp_path: Path
) -> None:
    restarts(linked)
    (tmp_path / "index.html").write_text("<p>")
    given = [str(tmp_path), "--project=command", "--restart=rolling", *reached(linked.nodes[0])]
    assert main(["deploy", *given]) == 0
    assert restarts(linked) == ["n2", "n3", "n1"]


def test_a_rolling_restart_skips_a_node_that_is_gone(linked: RealCluster) -> None:
    restarts(linked)
    file = linked.home / "nodes.toml"
    file.write_text(file.read_text().replace(linked.nodes[1].url, "https://127.0.0.1:1/"))
    service = {"operation": "restart_service", "service": "http", "replicated": True}
    _, answer = linked.nodes[0].ask(service)
    job = ended(linked.nodes[0], answer["job_id"])
    linked.publish()
    assert job["status"] == "COMPLETE"
    assert job["message"].startswith("Restarted; skipped: n2 (")
    assert restarts(linked) == ["n3", "n1"]


def test_a_rolling_restart_stops_at_a_node_that_fails(tmp_path: Path) -> None:
    with real_cluster(tmp_path) as cluster:
        for name, word in (("n1", "true"), ("n2", "false"), ("n3", "true")):
            script = f"echo {name} >> {tmp_path}/restarts; {word}"
            cluster.start(name, f'restart = ["sh", "-c", "{script}"]')
        cluster.publish()
        service = {"operation": "restart_service", "service": "http", "replicated": True}
        _, answer = cluster.nodes[0].ask(service)
        job = ended(cluster.nodes[0], answer["job_id"])
        assert job["status"] == "ERROR"
        assert job["message"] == "n2: command 'sh' failed with exit code 1"
        assert restarts(cluster) == ["n2"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"operation": "restart_service", "service": "x"}, "Invalid service"),
        ({"operation": "get_job"}, "'id' is required"),
    ],
)
def test_a_wrong_restart_is_refused(
    linked: RealCluster, body: dict[str, object], error: str
) -> None:
    assert linked.nodes[0].ask(body) == (400, {"error": error})


def test_a_node_without_a_command_does_not_restart(cluster: RealCluster) -> None:
    status, answer = cluster.nodes[0].ask({"operation": "restart_service", "service": "http"})
    assert (status, answer) == (400, {"error": "this node has no restart command"})

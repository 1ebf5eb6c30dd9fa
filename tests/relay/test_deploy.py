"""The whole relay against fake peers: real sockets, real TLS."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.broken_answers import (
    ContentLengthOff,
    HeadThenSilence,
    UnfinishedChunks,
)
from deploy_relay_kit.harness.faults.events import Event, EventStream
from deploy_relay_kit.harness.faults.kinds import (
    AnswerEarly,
    CertificateFlaw,
    ClientCertificateRequired,
    CloseWithoutAnswer,
    Fault,
    HangInHandshake,
    MintHangs,
    ReadSlowly,
    Refuse,
    ResetAfter,
    StopReadingAfter,
    mint_refused,
)
from tests.relay.driving import DEPLOY, deploy, node_of
from tests.relay.rawpeers import listening


def test_every_peer_gets_the_same_bytes(cluster: FakeCluster, package: Path) -> None:
    peers = [cluster.peer() for _ in range(3)]
    report = deploy(cluster, package)
    assert report.succeeded
    assert [record["node"] for record in report.records] == [peer.name for peer in peers]
    for peer in peers:
        assert peer.upload.findings == []
        assert peer.upload.file.sha256 == hashlib.sha256(package.read_bytes()).hexdigest()


def test_a_request_has_only_the_headers_it_needs(cluster: FakeCluster, package: Path) -> None:
    peer = cluster.peer()
    deploy(cluster, package)
    names = [name.lower() for name, _ in peer.upload.headers]
    assert sorted(names) == ["authorization", "content-type", "host", "transfer-encoding"]


def test_the_mint_asks_for_a_short_lifetime(cluster: FakeCluster, package: Path) -> None:
    peer = cluster.peer()
    deploy(cluster, package)
    [mint] = peer.mints
    assert mint.body["expires_in"] == "5m"


@pytest.mark.parametrize(
    ("fault", "stage", "reason"),
    [
        (HangInHandshake(), "connect", "{}: no connection in 0.3 s"),
        (Refuse(), "connect", "{}: cannot connect: Connection refused"),
        (
            ClientCertificateRequired(),
            "tls",
            (
                "TLS with {} failed: tlsv13 alert certificate required; "
                "it requires a client certificate"
            ),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_why_there_is_no_connection(
    cluster: FakeCluster, package: Path, fault: Any, stage: str, reason: str
) -> None:
    peer = cluster.peer(fault=fault)
    [record] = deploy(cluster, package, limits=relay.Limits(connect=0.3)).records
    address = f"{peer.http.host}:{peer.http.port}"
    assert record["stage"] == stage
    assert record["reason"] == f"token mint failed: {reason.format(address)}"


def test_a_port_of_plain_http_is_named_as_the_likely_cause(package: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async def reason() -> object:
        async with listening(refuse) as address:
            url = f"https://{address}/"
            node = relay.Node("a", url, mint=relay.GivenToken("token"))
            return (await relay.deploy([node], DEPLOY, package)).records[0]["reason"]

    assert str(asyncio.run(reason())).endswith("; does this port speak plain http?")


def test_a_given_token_needs_no_mint(cluster: FakeCluster, package: Path) -> None:
    peer = cluster.peer()
    report = deploy(cluster, package, [node_of(peer, mint=relay.GivenToken("made-elsewhere"))])
    assert report.records[0]["status"] == "failed"  # this peer knows only its own tokens
    assert peer.mints == []
    assert ("Authorization", "Bearer made-elsewhere") in peer.upload.headers


@pytest.mark.parametrize(
    ("fault", "stage", "uncertain"),
    [
        (mint_refused(), "mint", False),
        (ResetAfter(100_000), "upload", False),
        (CloseWithoutAnswer(), "answer", True),
        (Answer.error(500, "boom"), "answer", False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_failing_peer_costs_one_record(
    cluster: FakeCluster, package: Path, fault: Any, stage: str, *, uncertain: bool
) -> None:
    os.truncate(package, 16_000_000)  # more than the buffers between relay and peer hold
    for name, its_fault in (("a", None), ("b", fault), ("c", None)):
        cluster.peer(name, fault=its_fault)
    report = deploy(cluster, package)
    assert [record["status"] for record in report.records] == ["success", "failed", "success"]
    failed = report.records[1]
    assert (failed["stage"], failed.get("uncertain", False)) == (stage, uncertain)
    assert not report.succeeded


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        (CertificateFlaw.EXPIRED, "has expired"),
        (CertificateFlaw.WRONG_HOST, "another"),
        (CertificateFlaw.WRONG_AUTHORITY, "not trusted; --ca must name the cluster's CA file"),
        (CertificateFlaw.NOT_YET_VALID, "not valid yet"),
    ],
)
def test_the_reason_says_what_is_wrong_with_a_certificate(
    cluster: FakeCluster, package: Path, flaw: CertificateFlaw, words: str
) -> None:
    cluster.peer(fault=flaw)
    [record] = deploy(cluster, package).records
    assert record["stage"] == "tls"
    assert words in str(record["reason"])


def test_an_authority_may_be_trusted_for_one_node_only(cluster: FakeCluster, package: Path) -> None:
    peers = [cluster.peer(), cluster.peer()]
    nodes = [node_of(peers[0], ca_file=cluster.ca_file), node_of(peers[1])]
    report = deploy(cluster, package, nodes, tls=relay.Tls())
    assert [record["status"] for record in report.records] == ["success", "failed"]


def test_a_closed_port_is_a_failure_to_connect(cluster: FakeCluster, package: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    node = relay.Node("gone", f"https://127.0.0.1:{port}/", mint=relay.OperationsMint("u", "p"))
    [record] = deploy(cluster, package, [node]).records
    assert record["stage"] == "connect"
    assert str(record["reason"]).startswith("token mint failed: ")
    assert "statusCode" not in record


def test_a_handshake_without_an_end_reaches_the_limit(cluster: FakeCluster, package: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        node = relay.Node("silent", url, mint=relay.GivenToken("t"))
        [record] = deploy(cluster, package, [node], limits=relay.Limits(connect=0.02)).records
    assert record["stage"] == "connect"


@pytest.mark.parametrize("at", ["head", "file", 100_000])
@pytest.mark.parametrize("then", ["drain", "stop", "close"])
def test_an_early_refusal_ends_the_upload(
    cluster: FakeCluster, package: Path, at: Any, then: Any
) -> None:
    os.truncate(package, 16_000_000)
    cluster.peer(fault=AnswerEarly(Answer.error(401, "invalid token"), at=at, then=then))
    [record] = deploy(cluster, package).records
    assert (record["reason"], record["statusCode"]) == ("invalid token", 401)


def test_a_success_before_the_upload_finished_is_a_failure(
    cluster: FakeCluster, package: Path
) -> None:
    os.truncate(package, 16_000_000)
    cluster.peer(fault=AnswerEarly(Answer(200, json={"message": "done"}), then="stop"))
    [record] = deploy(cluster, package).records
    assert (record["status"], record["uncertain"]) == ("failed", True)


@pytest.mark.parametrize(
    ("fault", "stage", "limit", "words"),
    [
        (StopReadingAfter(100_000), "upload", "stall", "took no data for 0.3 s"),
        (HeadThenSilence(Answer(200, json={})), "answer", "answer", "no answer in 0.3 s"),
        (MintHangs(), "mint", "mint", "no answer in 0.3 s"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_silent_peer_reaches_a_limit(
    cluster: FakeCluster, package: Path, fault: Any, *, stage: str, limit: str, words: str
) -> None:
    os.truncate(package, 16_000_000)
    cluster.peer(fault=fault)
    # The other limits stay long, so that a busy machine reaches none of them first.
    limits: dict[str, Any] = {limit: 0.3}
    [record] = deploy(cluster, package, limits=relay.Limits(**limits)).records
    assert record["stage"] == stage
    assert words in str(record["reason"])


@pytest.mark.parametrize(
    "fault",
    [
        ContentLengthOff(Answer(200, json={"message": "done"}), by=10),
        UnfinishedChunks(Answer(200, json={"message": "done"})),
        UnfinishedChunks(Answer(200, json={"message": "done"}), end="reset"),
    ],
    ids=["length", "close", "reset"],
)
def test_an_answer_cut_short_is_no_success(cluster: FakeCluster, package: Path, fault: Any) -> None:
    cluster.peer(fault=fault)
    [record] = deploy(cluster, package).records
    assert (record["status"], record["uncertain"]) == ("failed", True)
    assert "cut short" in str(record["reason"])


def test_a_long_answer_is_read_up_to_the_limit(cluster: FakeCluster, package: Path) -> None:
    cluster.peer(fault=Answer(500, body="x" * 100_000))
    cluster.peer(fault=Answer(200, body="x" * 100_000))
    refused, accepted = deploy(cluster, package, limits=relay.Limits(answer_bytes=1_000)).records
    assert (refused["reason"], refused["statusCode"]) == ("x" * 200, 500)
    assert accepted["uncertain"] is True


def test_a_quoted_token_is_not_in_the_record(cluster: FakeCluster, package: Path) -> None:
    token = "a-token-to-be-quoted"
    peer = cluster.peer(fault=Answer(200, json={"message": f"you sent {token}"}))
    [record] = deploy(cluster, package, [node_of(peer, mint=relay.GivenToken(token))]).records
    assert token not in str(record)


def test_events_report_the_progress_of_each_node(cluster: FakeCluster, package: Path) -> None:
    events: list[relay.Event] = []

    def listen(event: relay.Event) -> None:
        events.append(event)
        raise RuntimeError("a listener's own trouble")

    cluster.peer("a")
    report = deploy(cluster, package, on_event=listen)
    size = package.stat().st_size
    names = [event.name for event in events]
    assert names == ["mint", *["sent"] * (len(names) - 2), "settled"]
    assert events[1] == relay.Event("a", "sent", {"bytes": 0, "total": size})
    assert events[-2] == relay.Event("a", "sent", {"bytes": size, "total": size})
    assert events[-1].data["record"] == report.records[0]


def test_a_listener_cannot_end_the_deploy(cluster: FakeCluster, package: Path) -> None:
    def listen(_: relay.Event) -> None:
        raise asyncio.CancelledError

    cluster.peer()
    assert deploy(cluster, package, on_event=listen).succeeded


def test_the_failure_of_a_peer_that_is_too_old_has_a_hint(
    cluster: FakeCluster, package: Path
) -> None:
    cluster.peer(profile="pre-5.1")
    [record] = deploy(cluster, package).records
    assert record["statusCode"] == 415
    assert "multipart/form-data" in str(record["reason"])
    assert str(record["hint"]).startswith("a node older than 5.1 takes no forms")


def test_an_unresolvable_node_is_a_record_and_the_others_are_served(
    cluster: FakeCluster, package: Path
) -> None:
    peer = cluster.peer()
    nodes = [relay.Node("odd", "ftp://h/", mint=relay.GivenToken("t")), node_of(peer)]
    odd, good = deploy(cluster, package, nodes).records
    assert (odd["stage"], odd["status"], good["status"]) == ("resolve", "failed", "success")


@pytest.mark.parametrize("what", ["missing", "directory", "empty"])
def test_without_a_payload_every_node_fails_and_nothing_is_sent(
    cluster: FakeCluster, tmp_path: Path, what: str
) -> None:
    path = tmp_path / what
    if what == "directory":
        path.mkdir()
    if what == "empty":
        path.touch()
    peers = [cluster.peer(), cluster.peer()]
    events: list[relay.Event] = []
    report = deploy(cluster, path, on_event=events.append)
    assert [record["stage"] for record in report.records] == ["payload", "payload"]
    assert all(what in str(record["reason"]) for record in report.records)
    assert [peer.connections for peer in peers] == [[], []]
    assert [event.name for event in events] == ["settled", "settled"]


@pytest.mark.parametrize("change", ["shrinks", "grows", "vanishes"])
def test_a_payload_that_changes_during_the_upload_is_a_failure(
    cluster: FakeCluster, package: Path, change: str
) -> None:
    def meddle(event: relay.Event) -> None:
        if event.name == "mint" and change == "vanishes":
            package.unlink()
        if event.name == "sent" and event.data["bytes"] == 0 and change != "vanishes":
            os.truncate(package, 5_000 if change == "shrinks" else 5_000_000)

    peer = cluster.peer()
    [record] = deploy(cluster, package, on_event=meddle).records
    assert (record["status"], record["stage"]) == ("failed", "payload")
    assert all(upload.findings for upload in peer.uploads)


def test_no_descriptor_of_the_payload_stays_open(cluster: FakeCluster, package: Path) -> None:
    for fault in (None, ResetAfter(100_000), CloseWithoutAnswer(), Answer.error(500, "boom")):
        cluster.peer(fault=fault)

    async def run() -> None:
        tls = relay.Tls(ca_file=cluster.ca_file)
        await relay.deploy([node_of(peer) for peer in cluster.peers], DEPLOY, package, tls=tls)
        assert package not in open_files()

    asyncio.run(run())


def open_files() -> set[Path]:
    """The files that this process has open, where /proc lists them."""
    found = set()
    for descriptor in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists the others
            found.add(descriptor.readlink())
    return found


def test_cancelling_an_upload_closes_everything(cluster: FakeCluster, package: Path) -> None:
    os.truncate(package, 64_000_000)
    peer = cluster.peer(fault=ReadSlowly(5_000_000))

    async def run() -> None:
        task = asyncio.create_task(
            relay.deploy([node_of(peer)], DEPLOY, package, tls=relay.Tls(cluster.ca_file))
        )
        async with asyncio.timeout(20):
            while not peer.live_uploads:  # noqa: ASYNC110  the peer is not of this loop
                await asyncio.sleep(0)
        assert package in open_files()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert package not in open_files()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
    peer.wait_until(lambda peer: all(each.closed_by for each in peer.connections), timeout=20)
    assert {each.closed_by for each in peer.connections} == {"client"}
    assert not peer.upload.complete


def test_cancelling_a_mint_closes_its_connection(package: Path) -> None:
    async def run() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"create_authentication_tokens")
            begun.set()
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
            writer.close()
            ended.set()

        async with asyncio.timeout(20), listening(peer) as address:
            url = f"http://{address}/"
            node = relay.Node("n", url, mint=relay.OperationsMint("u", "p"))
            task = asyncio.create_task(relay.deploy([node], DEPLOY, package))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await ended.wait()

    asyncio.run(run())


def test_no_nodes_give_an_empty_report_that_is_no_success(
    cluster: FakeCluster, package: Path
) -> None:
    report = deploy(cluster, package, [])
    assert report.records == []
    assert not report.succeeded


MINT = relay.GivenToken("t")


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([relay.Node("a", "https://h/", mint=MINT)] * 2, "duplicate node name 'a'"),
        ([relay.Node("", "https://h/", mint=MINT)], "a node name is empty"),
        ([relay.Node("a", "https://h/")], "no credentials for node 'a'; pass mint="),
        ([relay.Node("a", "https://u:p@h/", mint=MINT)], "user name or password"),
    ],
)
def test_invalid_nodes_are_refused(
    cluster: FakeCluster, package: Path, nodes: list[relay.Node], words: str
) -> None:
    with pytest.raises(relay.InputError, match=words):
        deploy(cluster, package, nodes)


def test_an_unusable_ca_file_is_named(cluster: FakeCluster, package: Path, tmp_path: Path) -> None:
    cluster.peer()
    for ca_file in (tmp_path / "none.pem", tmp_path, package):
        with pytest.raises(relay.InputError, match=ca_file.name):
            deploy(cluster, package, tls=relay.Tls(ca_file=ca_file))
    assert cluster.peers[0].connections == []


@pytest.mark.parametrize(
    "limit", [{"concurrency": 0.5}, {"concurrency": True}, {"answer_bytes": 1.5}]
)
def test_a_limit_of_a_count_is_an_integer(limit: Any) -> None:
    with pytest.raises(relay.InputError, match="must be an integer above 0"):
        relay.Limits(**limit)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "10", None, True])
def test_a_limit_is_a_positive_number(value: Any) -> None:
    with pytest.raises(relay.InputError, match="stall"):
        relay.Limits(stall=value)


def test_secrets_are_in_no_repr() -> None:
    node = relay.Node("n", mint=relay.OperationsMint("admin", "hunter2"))
    assert "hunter2" not in repr(node)
    assert "hunter2" not in repr(relay.GivenToken("hunter2"))


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: 1", "é"])
def test_a_given_token_fits_a_header(token: str) -> None:
    with pytest.raises(relay.InputError):
        relay.GivenToken(token)


class OwnMint:
    """A custom mint."""

    def __init__(self, result: object) -> None:
        self.result = result

    async def mint(self, _: object) -> str:
        if isinstance(self.result, BaseException):
            raise self.result
        return str(self.result)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (RuntimeError("vault is sealed"), "RuntimeError: vault is sealed"),
        ("to\nken", "the token is not valid in a header, or too long for it"),
        ("", "the token is not valid in a header, or too long for it"),
    ],
)
def test_a_custom_mint_that_fails_costs_one_record(
    cluster: FakeCluster, package: Path, result: object, reason: str
) -> None:
    own, other = cluster.peer(), cluster.peer()
    nodes = [node_of(own, mint=OwnMint(result)), node_of(other)]
    failed, fine = deploy(cluster, package, nodes).records
    assert (failed["reason"], failed["stage"]) == (f"token mint failed: {reason}", "mint")
    assert fine["status"] == "success"


def test_a_mint_that_cancels_itself_costs_one_record(cluster: FakeCluster, package: Path) -> None:
    own, other = cluster.peer(), cluster.peer()
    nodes = [node_of(own, mint=OwnMint(asyncio.CancelledError())), node_of(other)]
    assert [it["status"] for it in deploy(cluster, package, nodes).records] == ["failed", "success"]


def test_an_unknown_argument_is_an_error(cluster: FakeCluster, package: Path) -> None:
    with pytest.raises(TypeError, match="'limit'"):
        deploy(cluster, package, limit=relay.Limits())


def test_paths_may_be_strings(cluster: FakeCluster, package: Path) -> None:
    node = node_of(cluster.peer(), ca_file=str(cluster.ca_file))
    assert deploy(cluster, package, [node], tls=relay.Tls(str(cluster.ca_file))).succeeded


@pytest.mark.parametrize(
    ("status", "uncertain"), [(502, "uncertain"), (504, "uncertain"), (503, "")]
)
def test_a_gateway_that_gave_up_on_a_node_leaves_it_uncertain(
    cluster: FakeCluster, package: Path, status: int, uncertain: str
) -> None:
    cluster.peer(fault=Answer(status))
    assert ("uncertain" in deploy(cluster, package).records[0]) is bool(uncertain)
    os.truncate(package, 16_000_000)  # more than the buffers on the way to the peer hold
    cluster.peer(fault=AnswerEarly(Answer(status), "head", "stop"))
    assert "uncertain" not in deploy(cluster, package).records[1]


def test_a_code_in_a_stream_is_not_the_status_of_a_gateway(
    cluster: FakeCluster, package: Path
) -> None:
    error = Event("error", {"message": "npm is away", "code": 504})
    cluster.peer(fault=EventStream((error,), after_upload=True))
    [record] = deploy(cluster, package).records
    assert (record["reason"], record["statusCode"]) == ("npm is away", 504)
    assert "uncertain" not in record


def test_a_code_in_a_stream_gives_no_hint(cluster: FakeCluster, package: Path) -> None:
    cluster.peer(fault=EventStream((Event("error", {"message": "no package", "code": 404}),)))
    [record] = deploy(cluster, package).records
    assert record["statusCode"] == 404
    assert "hint" not in record


def test_a_refusal_without_an_end_keeps_its_status(cluster: FakeCluster, package: Path) -> None:
    os.truncate(package, 16_000_000)
    cluster.peer(fault=AnswerEarly(HeadThenSilence(Answer.error(507, "full")), "file", "stop"))
    [record] = deploy(cluster, package, limits=relay.Limits(stall=0.3)).records
    assert (record["statusCode"], record["stage"]) == (507, "answer")
    assert record["reason"] == "HTTP 507, but its answer did not end in time"


@pytest.mark.parametrize(("status", "is_uncertain"), [(500, False), (504, True)])
@pytest.mark.parametrize("end", ["whole", "cut short", "did not end in time"])
def test_the_head_of_a_refusal_counts_even_if_its_body_is_incomplete(
    cluster: FakeCluster, package: Path, status: int, end: str, *, is_uncertain: bool
) -> None:
    refusal = Answer.error(status, "whole")
    ends: dict[str, Fault] = {"whole": refusal, "cut short": UnfinishedChunks(refusal)}
    cluster.peer(fault=ends.get(end, HeadThenSilence(refusal)))
    [record] = deploy(cluster, package, limits=relay.Limits(answer=0.3)).records
    assert (record["statusCode"], record["stage"]) == (status, "answer")
    assert ("uncertain" in record) is is_uncertain
    assert record["reason"].startswith("" if end == "whole" else f"HTTP {status}, but ")
    assert end in record["reason"]

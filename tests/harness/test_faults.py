"""Every fault, on the wire: what a raw client meets when a peer shows it."""

from __future__ import annotations

import contextlib
import functools
import gzip
import socket
import ssl
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING, Any, Literal

import pytest

from harness import faults
from harness.answers import (
    Answer,
    ContentLengthOff,
    Drip,
    EndlessHead,
    HeadThenSilence,
    Held,
    UnfinishedChunks,
    continue_first,
)
from harness.certs import Authority, CertificateFlaw
from harness.events import Event, EventStream, failure, success
from harness.wire import UploadReader
from tests.rawclient import (
    RawAnswer,
    RawClient,
    chunked,
    client_hello,
    mint,
    mint_request,
    upload_body,
    upload_head,
)

if TYPE_CHECKING:
    from pathlib import Path

    from harness.cluster import FakeCluster
    from harness.peer import FakePeer

PAYLOAD = bytes(range(256)) * 1024
BODY = chunked(upload_body(PAYLOAD))
LARGE = 64 << 20
"""More than the kernel takes for a peer that does not read."""


def upload(peer: FakePeer, cluster: FakeCluster, body: bytes = BODY, **headers: str) -> RawClient:
    """A client that has sent an upload, whole or in part, and not read yet."""
    head = upload_head(peer, mint(peer, cluster.ca_file), **headers)
    client = RawClient(peer.url, ca_file=cluster.ca_file)
    with contextlib.suppress(ConnectionError):  # then reading meets it again
        client.send(head + body)
    return client


def answer_to_upload(peer: FakePeer, cluster: FakeCluster) -> RawAnswer:
    with upload(peer, cluster) as client:
        return client.read_answer()


def is_silent(client: RawClient) -> bool:
    """Whether the connection is open and says nothing for a moment."""
    client.sock.settimeout(0.05)
    try:
        data = client.sock.recv(1)
    except TimeoutError:
        return True
    raise AssertionError(f"not silent but {data!r}")


# -- connections ---------------------------------------------------------------------------------


def test_refuse(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.Refuse())
    with pytest.raises(ConnectionRefusedError):
        RawClient(peer.url, ca_file=cluster.ca_file)
    assert peer.connections == []


def test_silent_after_accept(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.SilentAfterAccept())
    with RawClient(peer.url.replace("https", "http")) as client:
        client.send(b"\x16\x03\x01")
        assert is_silent(client)


def test_reset_at_accept(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.ResetAtAccept())
    with (
        contextlib.suppress(ConnectionResetError),  # the reset may be there before the connect ends
        RawClient(peer.url.replace("https", "http")) as client,
    ):
        client.read_until_reset()
    [seen] = peer.connections
    assert (seen.closed_by, seen.closed_with) == ("peer", "RST")


# -- TLS -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [faults.HangInHandshake(), faults.CloseInHandshake()])
def test_a_handshake_is_left_unanswered_or_closed(
    cluster: FakeCluster, fault: faults.Fault
) -> None:
    peer = cluster.peer(fault=fault)
    with RawClient(peer.url.replace("https", "http")) as client:
        client.send(client_hello("localhost"))
        if isinstance(fault, faults.HangInHandshake):
            assert is_silent(client)
        else:
            assert client.read() == b""
    assert any("ClientHello read" in moment.what for moment in peer.connections[0].moments)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_only(cluster: FakeCluster, version: Any) -> None:
    peer = cluster.peer(fault=faults.TlsOnly(version))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        assert isinstance(client.sock, ssl.SSLSocket)
        assert client.sock.version() == f"TLSv{version}"
    other = {"1.2": ssl.TLSVersion.TLSv1_3, "1.3": ssl.TLSVersion.TLSv1_2}[version]
    context = ssl.create_default_context(cafile=cluster.ca_file)
    context.minimum_version = context.maximum_version = other
    with (
        socket.create_connection((peer.http.host, peer.http.port)) as plain,
        pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"),
    ):
        context.wrap_socket(plain, server_hostname=peer.http.host)
    assert peer.connections[-1].handshake_error == "UNSUPPORTED_PROTOCOL"


def test_client_certificate_required(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.ClientCertificateRequired())
    with (
        RawClient(peer.url, ca_file=cluster.ca_file) as client,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        client.read()
    assert peer.connections[-1].handshake_error == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    context = cluster.authority.client_context()
    cluster.authority.issue_client_certificate(context, "the-origin")
    with (
        socket.create_connection((peer.http.host, peer.http.port)) as plain,
        context.wrap_socket(plain, server_hostname=peer.http.host) as tls,
    ):
        tls.sendall(mint_request(peer))
        assert tls.recv(15) == b"HTTP/1.1 200 OK"
    assert peer.connections[-1].client_certificate is not None


FLAWS: list[tuple[CertificateFlaw, set[int]]] = [
    (CertificateFlaw.WRONG_AUTHORITY, {20}),
    (CertificateFlaw.EXPIRED, {10}),
    (CertificateFlaw.NOT_YET_VALID, {9}),
    (CertificateFlaw.WRONG_HOST, {64}),
    (CertificateFlaw.WRONG_ADDRESS, {64}),
    (CertificateFlaw.MISSING_INTERMEDIATE, {20, 21}),
    (CertificateFlaw.SELF_SIGNED, {18}),
]


@pytest.mark.parametrize(("flaw", "verify_code"), FLAWS)
def test_certificate_flaws(
    cluster: FakeCluster, flaw: CertificateFlaw, verify_code: set[int]
) -> None:
    peer = cluster.peer(fault=flaw)
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        RawClient(peer.url, ca_file=cluster.ca_file)
    assert refused.value.verify_code in verify_code
    with RawClient(peer.url, verify=False) as client:  # and nothing else is wrong with it
        client.send(mint_request(peer))
        assert client.read_answer().status == 200


def test_a_wrong_host_is_the_only_flaw_of_its_certificate(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=CertificateFlaw.WRONG_HOST)
    context = ssl.create_default_context(cafile=cluster.ca_file)
    with (
        socket.create_connection((peer.http.host, peer.http.port)) as plain,
        context.wrap_socket(plain, server_hostname="another-host.invalid") as tls,
    ):
        assert tls.version() == "TLSv1.3"
    assert peer.connections[0].server_name == "another-host.invalid"


def test_every_certificate_flaw_has_a_test() -> None:
    assert {flaw for flaw, _ in FLAWS} == set(CertificateFlaw)


# -- uploads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("received", [1, 100, 65_536, 250_000])
def test_reset_after(cluster: FakeCluster, received: int) -> None:
    peer = cluster.peer(fault=faults.ResetAfter(received))
    with upload(peer, cluster) as client:
        client.read_until_reset()
    assert peer.upload.reader.received == received
    assert (peer.upload.connection.closed_by, peer.upload.connection.closed_with) == ("peer", "RST")


@pytest.mark.parametrize("received", [0, 70_000])
def test_stop_reading_after(cluster: FakeCluster, received: int) -> None:
    peer = cluster.peer(fault=faults.StopReadingAfter(received))
    with upload(peer, cluster, BODY[:1000] + BODY[1000:]) as client:
        client.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):  # the kernel takes a few MB, and then no more
            client.send(bytes(LARGE))
    assert peer.upload.reader.received == received
    assert peer.upload.answer_status is None


def test_stop_reading_until_something_has_happened(cluster: FakeCluster) -> None:
    happened = threading.Event()
    held = faults.StopReadingAfter(70_000, until=functools.partial(happened.wait, 5))
    peer = cluster.peer(fault=held)
    with upload(peer, cluster) as client:
        peer.wait_until(lambda peer: [it.reader.received for it in peer.live_uploads] == [70_000])
        assert is_silent(client)
        assert peer.live_uploads[0].reader.received == 70_000
        happened.set()
        assert client.read_answer().status == 200
    assert peer.upload.complete
    assert peer.upload.findings == []


def never() -> None:
    raise TimeoutError


@pytest.mark.parametrize(
    "fault", [faults.StopReadingAfter(70_000, until=never), Held(Answer(), until=never)]
)
def test_what_has_not_happened_in_time_is_a_reset(
    cluster: FakeCluster, fault: faults.Fault
) -> None:
    peer = cluster.peer(fault=fault)
    with upload(peer, cluster) as client, pytest.raises(ConnectionResetError):
        client.read()
    assert peer.upload.connection.closed_by == "peer"
    assert "answer" not in peer.upload.times


def test_read_slowly(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    rate = 400_000
    reads: list[int] = []
    feed = UploadReader.feed

    def timed(reader: UploadReader, data: bytes, start: int, end: int) -> None:
        reads.append(end - start)
        feed(reader, data, start, end)

    monkeypatch.setattr(UploadReader, "feed", timed)
    peer = cluster.peer(fault=faults.ReadSlowly(rate))
    assert answer_to_upload(peer, cluster).status == 200
    seen = peer.upload.times
    seconds = len(BODY) / rate
    assert seen["body end"] - seen["head"] >= 0.95 * seconds
    assert peer.upload.findings == []
    assert max(reads) <= rate // 20, "evenly: never more than a twentieth of a second's worth"


def test_close_without_answer(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.CloseWithoutAnswer())
    with upload(peer, cluster) as client:
        assert client.read_to_the_end() == b""
    assert peer.upload.complete
    assert (peer.upload.connection.closed_by, peer.upload.connection.closed_with) == ("peer", "FIN")


REFUSAL = Answer.error(400, "no")


@pytest.mark.parametrize("at", ["head", "file", 10_000])
def test_answer_early_then_drain(cluster: FakeCluster, at: Any) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at=at))
    # The rest of the body is sent only when the answer is here.
    sent_first = {"head": 0, "file": 600, 10_000: 10_000}[at]
    with upload(peer, cluster, BODY[:sent_first]) as client:
        answer = client.read_answer()
        client.send(BODY[sent_first:])
        client.send(mint_request(peer))  # the connection is still good
        assert client.read_answer().status == 200
    assert (answer.status, answer.json) == (400, {"error": "no"})
    assert answer.header("connection") == "keep-alive"
    assert peer.upload.received_at_answer == sent_first
    assert peer.upload.received_after_answer == len(BODY) - sent_first
    assert peer.upload.findings == []


def test_answer_early_at_the_file_is_early_for_whoever_sends_all_at_once(
    cluster: FakeCluster,
) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file"))
    with upload(peer, cluster, chunked(upload_body(bytes(200_000)))) as client:
        assert client.read_answer().status == 400
    assert (peer.upload.received_at_answer or 0) < 5000
    assert peer.upload.complete


def test_answer_early_then_stop(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then="stop"))
    with upload(peer, cluster, BODY[:1000]) as client:
        assert client.read_answer().status == 400
        client.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.send(bytes(LARGE))
    assert peer.upload.received_after_answer == 0


def test_answer_early_then_close(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then="close"))
    with upload(peer, cluster, BODY[:1000]) as client:
        answer = client.read_answer()
        assert answer.header("connection") == "close"
        assert client.read() == b""  # FIN, at once
    assert (peer.upload.connection.closed_by, peer.upload.connection.closed_with) == ("peer", "FIN")


def test_answer_early_then_close_resets_nobody(cluster: FakeCluster) -> None:
    """With megabytes on their way, a mere close would make the kernel send a reset."""
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then="close"))
    with upload(peer, cluster, BODY[:1000]) as client:
        client.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):  # neither read nor reset
            client.send(bytes(LARGE))
        client.sock.settimeout(5)
        assert client.read_answer().status == 400
        assert client.read() == b""
    seen = peer.upload
    assert (seen.connection.closed_by, seen.connection.closed_with) == ("peer", "FIN")
    assert seen.received_after_answer == 0
    assert seen.times["answer end"] <= (seen.connection.closed_at or 0)


def test_answer_early_then_grace(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then="grace", grace=0.1))
    with upload(peer, cluster, BODY[:1000]) as client:
        assert client.read_answer().status == 400
        client.send(BODY[1000:2000])
        started = time.monotonic()
        client.read_until_reset()
        assert time.monotonic() - started > 0.05
    assert peer.upload.received_after_answer == 1000
    assert peer.upload.connection.closed_with == "RST"


@pytest.mark.parametrize("then", ["drain", "close", "grace"])
def test_a_client_that_asks_for_a_close_gets_it_behind_an_early_answer(
    cluster: FakeCluster, then: Literal["drain", "close", "grace"]
) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then=then))
    with upload(peer, cluster, BODY[:1000], Connection="close") as client:
        assert client.read_answer().status == 400
        assert client.read() == b""
    assert (peer.upload.connection.closed_by, peer.upload.connection.closed_with) == ("peer", "FIN")


def test_so_does_one_that_is_refused_by_a_real_peer_which_reads_no_more(
    cluster: FakeCluster,
) -> None:
    peer = cluster.peer(profile="harper-5.1", fault=faults.TokensExpire())
    with upload(peer, cluster, BODY[:1000], Connection="close") as client:
        assert client.read_answer().status == 401
        assert client.read() == b""
    assert peer.upload.connection.closed_by == "peer"


def test_an_upload_that_ends_within_the_grace_keeps_its_connection(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.AnswerEarly(REFUSAL, at="file", then="grace", grace=5))
    with upload(peer, cluster, BODY[:1000]) as client:
        assert client.read_answer().status == 400
        client.send(BODY[1000:] + mint_request(peer))
        assert client.read_answer().status == 200


def test_in_turn(cluster: FakeCluster) -> None:
    busy = Answer(503, headers=(("Retry-After", "1"),))
    peer = cluster.peer(fault=faults.in_turn(busy, None))
    answers = [answer_to_upload(peer, cluster) for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 200, 200]
    assert answers[0].header("retry-after") == "1"


# -- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "content_type"),
    [
        (Answer(json={"message": "é"}), "application/json"),
        (Answer(json=[1, 2]), "application/json"),
        (Answer(json="text"), "application/json"),
        (Answer(json=None), "application/json"),
        (Answer(200, body="{not json", content_type="application/json"), "application/json"),
        (Answer(502, body="<h1>Bad Gateway</h1>", content_type="text/html"), "text/html"),
        (Answer(500), None),
        (Answer(299, body=b"\xff\xfe\x80", content_type="text/plain"), "text/plain"),
        (Answer.redirect("https://elsewhere.invalid/"), None),
    ],
    ids=lambda value: repr(value.content) if isinstance(value, Answer) else "",
)
def test_answers_of_any_status_and_body(
    cluster: FakeCluster, answer: Answer, content_type: str | None
) -> None:
    came = answer_to_upload(cluster.peer(fault=answer), cluster)
    assert (came.status, came.body) == (answer.status, answer.content)
    assert came.header("content-type") == content_type
    assert set(answer.headers) <= set(came.headers)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_announces_none(cluster: FakeCluster, status: int) -> None:
    peer = cluster.peer(fault=faults.in_turn(Answer(status), None))
    with upload(peer, cluster) as client:
        came = client.read_answer()
        assert (came.status, came.body) == (status, b"")
        assert came.header("content-length") is came.header("transfer-encoding") is None
    assert answer_to_upload(peer, cluster).status == 200


def test_a_body_split_inside_a_character(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=Answer(500, json={"error": "☃"}, chunk_size=1))
    with upload(peer, cluster) as client:
        client.send(b"")
        came = b""
        while not came.endswith(b"0\r\n\r\n"):
            came += client.read()
    body = came.partition(b"\r\n\r\n")[2]
    assert b"1\r\n\xe2\r\n1\r\n\x98\r\n1\r\n\x83\r\n" in body


def test_100_mb_of_error_text(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=Answer(500, body="x" * 1000, times=100_000))
    with upload(peer, cluster) as client:
        assert len(client.read_answer().body) == 100_000_000


def test_a_compressed_answer(cluster: FakeCluster) -> None:
    came = answer_to_upload(cluster.peer(fault=Answer(json={"message": "m"}).gzipped()), cluster)
    assert came.header("content-encoding") == "gzip"
    assert gzip.decompress(came.body) == b'{"message":"m"}'


def test_100_continue_before_a_refusal(cluster: FakeCluster) -> None:
    answer = continue_first(Answer.error(401, "Must login"))
    peer = cluster.peer(fault=faults.AnswerEarly(answer, at="head"))
    with upload(peer, cluster, b"") as client:
        assert client.read_answer_head().startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert b"HTTP/1.1 401 Unauthorized\r\n" in client.read_answer_head()


def test_a_large_chunked_answer_is_never_in_memory() -> None:
    answer = Answer(body=b"x" * 999, times=50_000, chunk_size=1000)
    tracemalloc.start()
    length = sum(len(block) - len(b"3e8\r\n\r\n") for block in answer.blocks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length == answer.length == 49_950_000
    assert peak < 1_000_000


def test_chunks_go_on_from_one_repetition_to_the_next() -> None:
    blocks = list(Answer(body=b"12345", times=3, chunk_size=7).blocks())
    assert blocks == [b"7\r\n1234512\r\n", b"7\r\n3451234\r\n", b"1\r\n5\r\n"]


@pytest.mark.parametrize("by", [10, -2])
def test_content_length_off(cluster: FakeCluster, by: int) -> None:
    peer = cluster.peer(fault=ContentLengthOff(Answer(body="12345"), by))
    with upload(peer, cluster) as client:
        head, _, body = client.read_to_the_end().partition(b"\r\n\r\n")
    assert f"content-length: {5 + by}".encode() in head
    assert body == b"12345"


@pytest.mark.parametrize("end", ["close", "reset"])
def test_unfinished_chunks(cluster: FakeCluster, end: Any) -> None:
    peer = cluster.peer(fault=UnfinishedChunks(Answer(json={"message": "m"}), end))
    with upload(peer, cluster) as client:
        came = client.read_to_the_end() if end == "close" else client.read_until_reset()
    assert came.endswith(b'f\r\n{"message":"m"}\r\n')
    assert peer.upload.connection.closed_with == {"close": "FIN", "reset": "RST"}[end]


@pytest.mark.parametrize(
    "fault",
    [
        ContentLengthOff(Answer(body="12345"), 1),
        UnfinishedChunks(Answer(body="12345")),
        UnfinishedChunks(Answer(body="12345"), "reset"),
        EventStream(success(), truncated=True),
        HeadThenSilence(Answer(body="12345")),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_an_answer_ends_before_its_connection(cluster: FakeCluster, fault: faults.Fault) -> None:
    peer = cluster.peer(fault=fault)
    with upload(peer, cluster) as client:
        client.read_answer_head()
        if isinstance(fault, HeadThenSilence):
            assert is_silent(client)
        else:
            with contextlib.suppress(ConnectionError):
                client.read_to_the_end()
    seen = peer.upload
    assert seen.last_byte_at is not None
    assert seen.last_byte_at <= seen.times["body end"] <= seen.times["answer end"]
    peer.wait_until(lambda _: seen.connection.closed_at is not None)
    assert seen.times["answer end"] <= (seen.connection.closed_at or 0)


def test_a_head_that_never_ends(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=EndlessHead())
    with upload(peer, cluster) as client:
        came = b""
        while len(came) < 1_000_000:
            came += client.read()
    assert came.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n" not in came


def test_head_then_silence(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=HeadThenSilence(Answer(json={"message": "m"})))
    with upload(peer, cluster) as client:
        assert b"content-length: 15\r\n" in client.read()
        assert is_silent(client)


def test_held(cluster: FakeCluster) -> None:
    happened = threading.Event()
    answer = Held(Answer.error(507, "full"), until=functools.partial(happened.wait, 5))
    peer = cluster.peer(fault=answer)
    with upload(peer, cluster) as client:
        peer.wait_until(lambda peer: [it.complete for it in peer.live_uploads] == [True])
        assert is_silent(client)
        happened.set()
        assert client.read_answer().status == 507
    assert peer.upload.answer_status == 507


def test_nobody_is_answered_who_has_gone_meanwhile(cluster: FakeCluster) -> None:
    gone = threading.Event()
    peer = cluster.peer(fault=Held(Answer(), until=functools.partial(gone.wait, 5)))
    with upload(peer, cluster):
        peer.wait_until(lambda peer: [it.complete for it in peer.live_uploads] == [True])
    gone.set()
    assert "answer" not in peer.upload.times
    assert peer.upload.connection.closed_by == "client"


def test_drip(cluster: FakeCluster) -> None:
    rate = 1000
    peer = cluster.peer(fault=Drip(Answer(json={"message": "m"}), rate))
    started = time.monotonic()
    came = answer_to_upload(peer, cluster)
    assert came.json == {"message": "m"}
    assert time.monotonic() - started > 100 / rate


# -- mints ---------------------------------------------------------------------------------------


def answer_to_mint(peer: FakePeer, cluster: FakeCluster) -> RawAnswer:
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        return client.read_answer()


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (faults.mint_refused(), 401, {"error": "invalid credentials"}),
        (faults.mint_refused("Must login"), 401, {"error": "Must login"}),
        (faults.mint_refused("no keys", 500), 500, {"error": "no keys"}),
        (faults.mint_without_token(), 200, {"refresh_token": "not-what-was-asked-for"}),
        (faults.mint_with_token(123), 200, {"operation_token": 123}),
        (faults.mint_with_token(None), 200, {"operation_token": None}),
    ],
)
def test_mint_answers(cluster: FakeCluster, fault: faults.Fault, status: int, body: object) -> None:
    peer = cluster.peer(fault=fault)
    came = answer_to_mint(peer, cluster)
    assert (came.status, came.json) == (status, body)
    assert peer.mints[0].token is None


def test_mint_nested(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.MintNested())
    token = answer_to_mint(peer, cluster).json["results"]["operation_token"]
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, token) + BODY)
        assert client.read_answer().status == 200


def test_mint_hangs(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.MintHangs())
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        assert is_silent(client)
    assert len(peer.mints) == 1


def test_mint_dropped(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.MintDropped())
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        assert client.read_to_the_end() == b""


def test_mint_for_another_user(cluster: FakeCluster) -> None:
    came = answer_to_upload(cluster.peer(fault=faults.MintForAnotherUser()), cluster)
    assert came.status == 403
    assert set(came.json) == {"error", "unauthorized_access", "invalid_schema_items"}


def test_tokens_expire(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.TokensExpire(first=1))
    answers = [answer_to_upload(peer, cluster) for _ in range(2)]
    assert [answer.status for answer in answers] == [401, 200]
    assert answers[0].json == {"error": "token expired"}


# -- event streams -------------------------------------------------------------------------------


def stream_of(peer: FakePeer, cluster: FakeCluster) -> tuple[bytes, list[bytes]]:
    """The head of a chunked answer, and its chunks."""
    with upload(peer, cluster) as client:
        came = b""
        while not came.endswith(b"0\r\n\r\n"):
            block = client.read()
            if not block:
                break
            came += block
    head, _, body = came.partition(b"\r\n\r\n")
    chunks = []
    while body:
        size, _, body = body.partition(b"\r\n")
        chunks.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return head, chunks


def test_a_successful_event_stream_is_as_recorded(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=EventStream(success("demo", "an-id")))
    head, chunks = stream_of(peer, cluster)
    assert head.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
    assert b"cache-control: no-cache\r\nx-accel-buffering: no\r\n" in head
    assert chunks[:4] == [
        b": stream open\n",
        b"\n",
        b"event: phase\n",
        b'data: {"phase":"prepare","status":"start"}\n',
    ]
    assert b"".join(chunks).endswith(
        b'event: phase\ndata: {"phase":"success","status":"done"}\n\n'
        b'event: _recorder_finished\ndata: {"status":"success"}\n\n'
        b'event: done\ndata: {"result":{"message":"Successfully deployed: demo",'
        b'"deployment_id":"an-id"}}\n\n'
    )
    assert chunks[-1] == b""


def test_an_event_stream_begins_before_the_upload_ends(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=EventStream())
    with upload(peer, cluster, BODY[:1000]) as client:
        came = b""
        while b": stream open\n" not in came:
            came += client.read()
        client.send(BODY[1000:])
        while b"event: done\n" not in came:
            came += client.read()
    assert peer.upload.received_at_answer == 1000


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (
            EventStream(failure("boom", "ERR_X", "an-id")),
            (
                b': stream open\n\nevent: phase\ndata: {"phase":"prepare","status":"start"}\n\n'
                b'event: error\ndata: {"message":"boom","code":"ERR_X","phase":"prepare",'
                b'"deployment_id":"an-id"}\n\n'
                b'event: _recorder_finished\ndata: {"status":"failed"}\n\n'
            ),
        ),
        (
            EventStream((Event("note", "two\r\nlines"),), prime=False),
            b"event: note\ndata: two\ndata: lines\n\n",
        ),
        (EventStream((": a comment\n\n",), prime=False), b": a comment\n\n"),
        (
            EventStream((Event("done", {"result": {}}),), line_end="\r\n", prime=False),
            b'event: done\r\ndata: {"result":{}}\r\n\r\n',
        ),
        (
            EventStream((Event("done", {"result": {}}),), prime=False, chunk_size=1),
            b'event: done\ndata: {"result":{}}\n\n',
        ),
        (EventStream((Event("surprise", {}),), prime=False), b"event: surprise\ndata: {}\n\n"),
        (
            EventStream((*failure("boom"), *success()[-1:]), prime=False),
            (
                b'event: phase\ndata: {"phase":"prepare","status":"start"}\n\n'
                b'event: error\ndata: {"message":"boom","code":500,"phase":"prepare",'
                b'"deployment_id":"5f0c6a52"}\n\n'
                b'event: _recorder_finished\ndata: {"status":"failed"}\n\n'
                b'event: done\ndata: {"result":{"message":"Successfully deployed: demo",'
                b'"deployment_id":"5f0c6a52"}}\n\n'
            ),
        ),
        (
            EventStream(success()[:2], prime=False),
            (
                b'event: phase\ndata: {"phase":"prepare","status":"start"}\n\n'
                b'event: phase\ndata: {"phase":"prepare","status":"done"}\n\n'
            ),
        ),
        (EventStream(('data: {"error":"no"}\n\n',), prime=False), b'data: {"error":"no"}\n\n'),
    ],
    ids=[
        *("failure", "multi-line data", "comment", "CRLF", "split at every byte", "unknown event"),
        *("both error and done", "end without done", "bare data"),
    ],
)
def test_event_streams(cluster: FakeCluster, stream: EventStream, text: bytes) -> None:
    _, chunks = stream_of(cluster.peer(fault=stream), cluster)
    assert b"".join(chunks) == text
    assert chunks[-1] == b""
    if stream.chunk_size == 1:
        assert {len(chunk) for chunk in chunks[:-1]} == {1}


def test_a_truncated_event_stream(cluster: FakeCluster) -> None:
    _, chunks = stream_of(cluster.peer(fault=EventStream(success()[:2], truncated=True)), cluster)
    assert chunks[-1] != b""


def test_an_authority_outside_the_cluster_is_not_trusted(tmp_path: Path) -> None:
    assert Authority().write(tmp_path / "a").read_bytes() != Authority().pem

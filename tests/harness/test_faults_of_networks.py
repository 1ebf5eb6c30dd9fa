"""Faults of the network, and choices among faults, on the wire: what a raw client meets.

No time is compared with another one of the same machine: a delay is at least what it says.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from pathlib import Path
from random import Random

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.text import parse_fault
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.harness.uploading import BODY, answer_to_upload, is_silent, upload
from tests.rawclient import RawClient, mint, mint_request, post, upload_head

PAUSE = 0.15  # seconds
CHUNKED = Answer(json={"message": "x" * 30}, chunk_size=10)


@pytest.mark.parametrize("written", ["Latency:0.15:accept", "Latency:0.15:handshake"])
def test_latency_before_the_handshake_ends(cluster: FakeCluster, written: str) -> None:
    peer = cluster.peer(fault=parse_fault(written))
    begin = time.monotonic()
    with RawClient(peer.url, ca_file=cluster.ca_file):
        assert time.monotonic() - begin >= PAUSE
    assert peer.fault_not_shown is None


def test_latency_before_the_head_of_an_answer(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.Latency(PAUSE))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        begin = time.monotonic()
        client.send(mint_request(peer))
        assert client.read_answer().status == 200
        assert time.monotonic() - begin >= PAUSE
    assert peer.fault_not_shown is None


def test_latency_before_the_first_byte_of_a_body(cluster: FakeCluster) -> None:
    """The head is there before the delay, alone."""
    peer = cluster.peer(fault=faults.Latency(PAUSE, "first-byte"))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        head = client.sock.recv(65536)
        begin = time.monotonic()
        assert head.endswith(b"\r\n\r\n")
        assert client.sock.recv(1) == b"{"
        assert time.monotonic() - begin >= PAUSE / 2  # the head may have been read late
    assert peer.fault_not_shown is None


def test_latency_of_each_chunk_with_jitter(cluster: FakeCluster) -> None:
    """The mint has one block, the answer six; the delays are those of the seed."""
    latency = faults.Latency(0.05, "chunk", jitter=0.05, seed=3)
    peer = cluster.peer(fault=(CHUNKED, latency))
    begin = time.monotonic()
    with upload(peer, cluster) as client:
        client.read_answer_head()
        blocks: list[bytes] = []
        while not blocks or not blocks[-1].endswith(b"0\r\n\r\n"):
            blocks.append(client.read())
        elapsed = time.monotonic() - begin
    random = Random(3)
    drawn = [latency.delay(random) for _ in range(1 + len(blocks))]
    assert len(blocks) == 6
    assert len(set(drawn)) == len(drawn)
    assert elapsed >= sum(drawn)
    assert "fault: latency (seconds 0.05, at chunk, jitter 0.05, seed 3)" in peer.timeline()


def test_bandwidth_to_the_client(cluster: FakeCluster) -> None:
    answer = faults.MintAnswer(Answer(body="x" * 2000))
    peer = cluster.peer(fault=(answer, faults.Bandwidth(send=10_000)))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        begin = time.monotonic()
        client.send(mint_request(peer))
        assert len(client.read_answer().body) == 2000
        assert time.monotonic() - begin >= 0.15
    assert peer.fault_not_shown is None


def test_bandwidth_from_the_client(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.Bandwidth(1_000_000))
    begin = time.monotonic()
    assert answer_to_upload(peer, cluster).status == 200
    assert time.monotonic() - begin >= len(BODY) / 1_000_000
    assert peer.upload.complete
    assert peer.fault_not_shown is None


def test_slices(cluster: FakeCluster) -> None:
    """Each slice is a record of TLS, which a read returns alone."""
    peer = cluster.peer(
        fault=(faults.MintAnswer(Answer(body="x" * 90 + "!")), faults.Slices(20, 5))
    )
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        slices: list[bytes] = []
        while not slices or not slices[-1].endswith(b"x!"):
            slices.append(client.sock.recv(4096))
    sizes = {len(data) for data in slices[:-1]}
    assert sizes <= set(range(1, 26))
    assert len(sizes) > 1
    assert "fault: slices (size 20, variation 5, seed 0)" in peer.timeline()


def test_slow_close(cluster: FakeCluster) -> None:
    """The answer announces the end, which comes later."""
    peer = cluster.peer(fault=faults.SlowClose(PAUSE))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        answer = client.read_answer()
        assert answer.header("connection") == "close"
        answered = time.monotonic()
        assert client.read_to_the_end() == b""
        assert time.monotonic() - answered >= PAUSE * 0.9
    assert (peer.connections[0].closed_by, peer.connections[0].closed_with) == ("peer", "FIN")
    assert peer.fault_not_shown is None


def test_half_open(cluster: FakeCluster) -> None:
    """One answer, no end, and RST for the next bytes."""
    peer = cluster.peer(fault=faults.HalfOpen())
    token = mint(peer, cluster.ca_file)
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        assert client.read_answer().status == 200
        peer.wait_until(lambda peer: "loses the connection" in peer.timeline())
        assert is_silent(client)
        with contextlib.suppress(ConnectionResetError):
            client.send(upload_head(peer, token))
        client.read_until_reset()
    assert peer.uploads == []
    assert peer.connections[-1].closed_with == "RST"
    assert peer.fault_not_shown is None


def test_the_network_combines_with_other_faults(cluster: FakeCluster) -> None:
    peer = cluster.peer(
        fault=(
            faults.Latency(0.01, "accept"),
            faults.Latency(0.01, "head"),
            faults.Slices(7),
            faults.Bandwidth(10_000_000, 1_000_000),
            Answer(503),
        )
    )
    assert answer_to_upload(peer, cluster).status == 503
    assert peer.fault_not_shown is None


# -- choices -------------------------------------------------------------------------------------


def test_refuse_in_turns(cluster: FakeCluster) -> None:
    """The first connection is refused for a while, the next accepted, all later ones refused."""
    turns = faults.in_turn(faults.Refuse(1), None, faults.Refuse())
    peer = cluster.peer(fault=turns)
    with pytest.raises(ConnectionRefusedError):
        RawClient(peer.url, ca_file=cluster.ca_file)
    with accepted_in_the_end(peer, cluster.ca_file) as client:
        with pytest.raises(ConnectionRefusedError):
            RawClient(peer.url, ca_file=cluster.ca_file)
        client.send(mint_request(peer))
        assert client.read_answer().status == 200, "the accepted connection goes on"
    assert len(peer.connections) == 1
    assert peer.fault_not_shown is None


def accepted_in_the_end(peer: FakePeer, ca_file: Path) -> RawClient:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError):
            return RawClient(peer.url, ca_file=ca_file)
    raise TimeoutError("refused for 10 s")


def test_refuse_for_a_while(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.Refuse(1))
    with pytest.raises(ConnectionRefusedError):
        RawClient(peer.url, ca_file=cluster.ca_file)
    accepted_in_the_end(peer, cluster.ca_file).__exit__()
    mint(peer, cluster.ca_file)


def test_a_peer_that_refuses_can_be_stopped_and_killed() -> None:
    with FakeCluster() as own:
        own.peer(fault=faults.Refuse(3600))
        peer = own.peer(fault=faults.in_turn(faults.Refuse(3600), None))
        peer.kill()
        peer.fault = None
        peer.start()
        mint(peer, own.ca_file)


def test_matching_by_a_header(cluster: FakeCluster) -> None:
    """As a test writes it, and as a command line writes it."""
    by_function = faults.Matching(lambda request: request.header("x-try") == "2", Answer(503))
    for fault in (by_function, parse_fault("Matching:x-try:2:Answer:503")):
        peer = cluster.peer(fault=fault)
        statuses = []
        for value in "121":
            with upload(peer, cluster, BODY, **{"X-Try": value}) as client:
                statuses.append(client.read_answer().status)
        assert statuses == [200, 503, 200]
        assert peer.fault_not_shown is None


def test_matching_mints_see_the_body_and_take_turns(cluster: FakeCluster) -> None:
    refused = faults.in_turn(faults.mint_refused(status=418), None)
    peer = cluster.peer(fault=faults.Matching(lambda mint: mint.username == "eve", refused))
    statuses = []
    for name in ("adam", "eve", "eve"):
        body = f'{{"operation":"create_authentication_tokens","username":"{name}"}}'.encode()
        with RawClient(peer.url, ca_file=cluster.ca_file) as client:
            client.send(post("/", {"Host": "p", "Content-Length": str(len(body))}, body))
            statuses.append(client.read_answer().status)
    assert statuses == [401, 418, 401]


def test_sometimes_draws_from_its_seed(cluster: FakeCluster) -> None:
    """The same seed makes the same choices, which are not all alike; the timeline names it."""

    def statuses(seed: int) -> list[int]:
        peer = cluster.peer(fault=faults.Sometimes(0.5, Answer(503), seed=seed))
        found = [answer_to_upload(peer, cluster).status for _ in range(12)]
        line = f"  fault: answer 503, with probability 0.5 (seed {seed})"
        assert line in peer.timeline().splitlines()
        return found

    first = statuses(7)
    assert set(first) == {200, 503}
    assert statuses(7) == first
    assert statuses(8) != first


@pytest.mark.parametrize(("probability", "is_shown"), [(0, False), (1, True)])
def test_sometimes_at_its_ends(cluster: FakeCluster, probability: float, *, is_shown: bool) -> None:
    peer = cluster.peer(fault=faults.Sometimes(probability, faults.ResetAtAccept()))
    was_reset = False
    try:
        mint(peer, cluster.ca_file)
    except (ConnectionError, ssl.SSLError):
        was_reset = True
    assert was_reset is is_shown
    assert peer.fault_not_shown is None

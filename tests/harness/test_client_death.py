"""A client that dies in any phase: its thread ends by itself, and nothing of the peer is left."""

from __future__ import annotations

import gc
import os
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.broken_answers import (
    Drip,
    HeadThenSilence,
)
from deploy_relay_kit.harness.faults.events import EventStream
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.replication import faults as socket_faults
from tests.rawclient import (
    RawClient,
    chunked,
    client_hello,
    mint_request,
    upload_body,
    upload_head,
)
from tests.websocketclient import BINARY, PING, PONG, REQUEST, masked, upgrade

BODY = chunked(upload_body(b"x" * 1000))
REFUSAL = Answer.error(400, "no")
MORE = 1 << 20  # bytes; an answer of so many is never taken whole by the kernel alone


@dataclass(frozen=True)
class Phase:
    """Where a client dies: after it has sent `sent` and read `read`."""

    name: str
    sent: bytes = b""
    """Behind the head of an upload, unless it says otherwise."""
    fault: Any = None
    read: bytes = b""
    head: bool = True
    secure: bool = True
    at_socket: bool = False

    def __str__(self) -> str:
        return self.name

    def live_through(self, peer: FakePeer, client: RawClient) -> None:
        token = peer.tokens.issue(peer.username)
        sent = self.sent
        if sent.startswith(b"mint"):
            sent = mint_request(peer)[: -5 if sent == b"mint, but its end" else None]
        elif self.head:
            sent = upload_head(peer, token) + sent
        client.send(sent)
        answer = b""
        while self.read not in answer:
            answer += client.read()


def early(then: Any) -> faults.AnswerEarly:
    return faults.AnswerEarly(REFUSAL, then=then, grace=60)


PHASES = [
    Phase("nothing sent", head=False),
    Phase("half a ClientHello", client_hello("localhost")[:50], head=False, secure=False),
    Phase("half a head", b"POST / HT", head=False),
    Phase("a head"),
    Phase("half the fields", BODY[:100]),
    Phase("half the file", BODY[:-60]),
    Phase("all but the last chunk", BODY[:-5]),
    Phase("all", BODY),
    Phase("half a mint", b"mint, but its end", head=False),
    Phase("a mint that hangs", b"mint", faults.MintHangs(), head=False),
    Phase("a large answer", BODY, Answer(body=b"x" * MORE, times=64), read=b"xxx"),
    Phase("a dripping answer", BODY, Drip(REFUSAL, 20), read=b"HTTP"),
    Phase("an event stream", BODY[:-60], EventStream(), read=b": stream open"),
    Phase("a drained refusal", BODY[:-60], early("drain"), read=b'"no"'),
    Phase("a refusal that stops reading", BODY[:-60], early("stop"), read=b'"no"'),
    Phase("a refusal that closes", BODY[:-60], early("close"), read=b'"no"'),
    Phase("a refusal with a grace", BODY[:-60], early("grace"), read=b'"no"'),
    Phase("a head of an answer", BODY, HeadThenSilence(REFUSAL), read=b"\r\n\r\n"),
    Phase("a peer that stops reading", BODY, faults.StopReadingAfter(100)),
    Phase("a peer that reads slowly", BODY, faults.ReadSlowly(1000)),
    Phase("a silent peer", b"\x16\x03\x01", faults.SilentAfterAccept(), head=False, secure=False),
    Phase(
        "a hanging handshake",
        client_hello("localhost"),
        faults.HangInHandshake(),
        head=False,
        secure=False,
    ),
    Phase("half an upgrade", upgrade()[:50], head=False, at_socket=True),
    Phase("an upgrade", upgrade(), read=b"\r\n\r\n", head=False, at_socket=True),
    Phase("half a frame", upgrade() + masked(BINARY, REQUEST)[:9], head=False, at_socket=True),
    Phase(
        "a request over the socket that is never answered",
        upgrade() + masked(BINARY, REQUEST) + masked(PING),
        socket_faults.NoAnswer(),
        read=bytes([0x80 | PONG]),
        head=False,
        at_socket=True,
    ),
    Phase(
        "a request over the socket that is answered late",
        upgrade() + masked(BINARY, REQUEST) + masked(PING),
        socket_faults.LateAnswer(after_pings=9, silence_limit=60),
        read=bytes([0x80 | PONG]),
        head=False,
        at_socket=True,
    ),
]


@pytest.fixture(scope="session", autouse=True)
def _little_to_collect() -> None:
    """What lives already is left out of the many collections here; each would take long."""
    gc.collect()
    gc.freeze()


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - a descriptor of its own would be counted


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_a_client_that_dies_leaves_nothing_behind(
    relay_authority: Authority, phase: Phase, end: str
) -> None:
    threads, before = set(threading.enumerate()), descriptors()
    with FakeCluster(authority=relay_authority) as cluster:
        peer = cluster.peer(fault=None if phase.at_socket else phase.fault)
        at = cluster.replication(peer, fault=phase.fault if phase.at_socket else None)
        server = at.http if phase.at_socket else peer.http
        scheme = "https" if phase.secure else "http"
        url = f"{scheme}://{server.host}:{server.port}/"
        with RawClient(url, ca_file=cluster.ca_file) as client:
            phase.live_through(peer, client)
            if end == "reset":
                client.reset()
        server.wait_until(lambda: len(server.connections) == 1 and server.accepted == 0)
        [seen] = server.connections
        assert seen.closed_at is not None
        assert server._listener is not None
        listens = server._listener._socket
        assert listens.fileno() >= 0
    assert set(threading.enumerate()) <= threads
    assert descriptors() <= before
    # Its port is not tried: another test may have it by now.
    assert listens.fileno() == -1

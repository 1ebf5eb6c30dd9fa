"""What a peer takes as its fault, and the errors that name what it does not take."""

from __future__ import annotations

import ast
import contextlib
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.faults.answers import (
    Answer,
    End,
    continue_first,
)
from deploy_relay_kit.harness.faults.broken_answers import (
    ContentLengthOff,
    Drip,
    EndlessHead,
    Flood,
    HeadThenSilence,
    Held,
    UnfinishedChunks,
)
from deploy_relay_kit.harness.faults.events import (
    Event,
    EventStream,
    failure_events,
    success_events,
)
from deploy_relay_kit.harness.faults.kinds import CertificateFlaw
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.replication import FakeReplicationSocket
from deploy_relay_kit.harness.replication import faults as socket_faults
from tests.faultkinds import fault_classes
from tests.rawclient import RawClient, chunked, mint_request, upload_body, upload_head

OK = Answer()


def anyhow(kind: Any, *values: Any, **more: Any) -> Callable[[], Any]:
    """Make an object of values that its types do not allow."""
    return lambda: kind(*values, **more)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (anyhow(Answer, 0), "status must be an integer from 200 to 599, not 0"),
        (anyhow(Answer, 100), "status must .*, not 100"),
        (anyhow(Answer, 9999), "status must .*, not 9999"),
        (anyhow(Answer, 204, body="x"), "an answer of status 204 has no body"),
        (anyhow(Answer, 304, chunk_size=1), "an answer of status 304 has no body"),
        (anyhow(Answer, times=0), "times must be an integer of 1 or more, not 0"),
        (anyhow(Answer, chunk_size=0), "chunk_size must .*, not 0"),
        (
            anyhow(Answer, interim=(200,)),
            r"interim must be a tuple of which each is an integer from 100 to 199, not \(200,\)",
        ),
        (anyhow(EndlessHead, 99), "status must .*, not 99"),
        (anyhow(Flood, "tears"), "of must be .*, not 'tears'"),
        (anyhow(Drip, OK, 0), "bytes_per_second must be a number above 0, .*, not 0"),
        (anyhow(Drip, OK, math.nan), "bytes_per_second must .*, not nan"),
        (anyhow(Drip, OK, math.inf), "bytes_per_second must .*, not inf"),
        (
            anyhow(ContentLengthOff, Answer(body="12"), -3),
            "by must be an integer of -2 or more, not -3",
        ),
        (anyhow(UnfinishedChunks, OK, "fin"), "end must be one of 'close', 'reset', not 'fin'"),
        (anyhow(EventStream, chunk_size=0), "chunk_size must .*, not 0"),
        (anyhow(EventStream, line_end="\r"), r"line_end must be one of '\\n', '\\r\\n', not '\\r'"),
        (anyhow(EventStream, Event("done", {})), "events must be an iterable .*, not Event"),
        (anyhow(EventStream, "event: done"), "events must be an iterable .*, not 'event: done'"),
        (anyhow(faults.TlsOnly, "1.1"), "version must be one of '1.2', '1.3', not '1.1'"),
        (anyhow(faults.ResetAfter, -5), "received must be an integer of 0 or more, not -5"),
        (anyhow(faults.ResetAfter, 1.5), "received must .*, not 1.5"),
        (anyhow(faults.ResetAfter, received=True), "received must .*, not True"),
        (anyhow(faults.StopReadingAfter, -1), "received must .*, not -1"),
        (
            anyhow(faults.StopReadingAfter, 1, until=5),
            "until must be a function without parameters, not 5",
        ),
        (anyhow(Held, OK, until=True), "until must be a function without parameters, not True"),
        (anyhow(faults.Bandwidth), "receive and send are both 0, .* at least one"),
        (anyhow(faults.ReadSlowly, 0), "bytes_per_second must .*, not 0"),
        (
            anyhow(faults.AnswerEarly, 403),
            "answer must be an instance of one of Answer, ContentLengthOff, .*, not 403",
        ),
        (
            anyhow(faults.MintAnswer, "no"),
            "answer must be an instance of one of Answer, .*, not 'no'",
        ),
        (
            anyhow(faults.AnswerEarly, OK, at=-3),
            "at must be one of .* or an integer of 0 or more, not -3",
        ),
        (
            anyhow(faults.AnswerEarly, OK, at="tail"),
            "at must be one of 'head', 'file' or .*, not 'tail'",
        ),
        (
            anyhow(faults.AnswerEarly, OK, then="go"),
            "then must be one of 'drain', 'stop', 'close', 'grace', not 'go'",
        ),
        (anyhow(faults.AnswerEarly, OK, grace=-1), "grace must be a number from 0 to 1e9, not -1"),
        (anyhow(faults.TokensExpire, 0), "first must .*, not 0"),
        (anyhow(faults.InTurn, ()), r"turns must be faults of uploads, or of mints, .*, not \(\)"),
        (anyhow(faults.in_turn, None), "turns"),
        (anyhow(faults.in_turn, OK, faults.MintHangs()), "turns"),
        (anyhow(faults.in_turn, faults.Refuse(), None), "turns"),
        (anyhow(faults.in_turn, CertificateFlaw.EXPIRED), "turns"),
        (anyhow(Answer, 503, headers={"Retry-After": 5}), r"headers hold \('Retry-After', 5\)"),
        (anyhow(Answer, 503, headers=["Retry-After: 5"]), "headers hold 'Retry-After: 5'"),
        (anyhow(Answer, 503, headers={"A": "5\r\nB: 6"}), "without line breaks"),
        (anyhow(Answer, 503, headers=(("A", "\u20ac"),)), "latin-1"),
        (anyhow(socket_faults.UpgradeRefused, 101), "status must .*, not 101"),
        (anyhow(socket_faults.Unauthorized, "later"), "when must .*, not 'later'"),
        (
            anyhow(socket_faults.Unauthorized, reason="x" * 124),
            "reason must be at most 123 bytes long, not 'xxx",
        ),
        (anyhow(socket_faults.Dropped, "start"), "at must .*, not 'start'"),
        (anyhow(socket_faults.Dropped, how=End.SILENCE), "how must be one of .*, not <End.SILENCE"),
        (anyhow(socket_faults.LateAnswer, -1), "after_pings must .*, not -1"),
        (anyhow(socket_faults.LateAnswer, 1, math.nan), "after_seconds must .*, not nan"),
        (anyhow(socket_faults.LateAnswer, silence_limit=0), "silence_limit must .*, not 0"),
        (anyhow(socket_faults.Fragments, 0), "size must be an integer of 1 or more, not 0"),
        (anyhow(socket_faults.PingFirst, bytes(126)), "data must be at most 125 bytes long, not b"),
        (anyhow(socket_faults.HugeAnswer, -1), "padding must .*, not -1"),
        (anyhow(continue_first, 401), "answer must be an Answer, such as .*, not 401"),
        (anyhow(Answer, interim=100), "interim must be a tuple .*, not 100"),
        (anyhow(Answer, json=b"x"), "json must be JSON values: .*, not b'x'"),
        (anyhow(Answer, json=math.nan), "json must be JSON values: .*, not nan"),
        (anyhow(Answer.error, 503, 5), "message must be a text or an object .*, not 5"),
        (anyhow(Answer.error, 503, b"no"), "message must be a text or an object .*, not b'no'"),
        (anyhow(Answer.error, 503, {"a": OK}), "message must be a text or an object .*, not {"),
        (anyhow(Event, "done", "\ud800"), "data must be .* no half characters"),
        (anyhow(EventStream, ("\ud800",)), "events must be an iterable of events and texts"),
        (anyhow(Answer, body=5), "body must be bytes or a text .*, not 5"),
        (anyhow(Answer, body="\ud800"), "body must be bytes or a text without half characters"),
        (anyhow(Answer, content_type="a\r\nb"), "content_type must be a text .* line breaks"),
        (anyhow(Answer, content_type=5), "content_type must be a text .*, not 5"),
        (anyhow(ContentLengthOff, 503, 1), "answer must be an Answer, such as .*, not 503"),
        (anyhow(UnfinishedChunks, 503), "answer must be an Answer, such as .*, not 503"),
        (anyhow(HeadThenSilence, 503), "answer must be an Answer, such as .*, not 503"),
        (anyhow(Drip, 503, 1), "answer must be an instance of .*, not 503"),
        (anyhow(Held, 503, dict), "answer must be an instance of .*, not 503"),
        (anyhow(Event, 5, {}), "name must be a text .*, not 5"),
        (anyhow(Event, "done", OK), "data must be JSON values: .*, not Answer"),
        (anyhow(EventStream, [b"x"]), "events must be an iterable of events and texts, .*, not"),
        (anyhow(EventStream, b"x"), "events must be an iterable of events and texts, .*, not"),
        (anyhow(EventStream, head=200), "head must be an Answer, .*, not 200"),
        *(
            (anyhow(EventStream, **{name: "no"}), f"{name} must be True or False, not 'no'")
            for name in ("prime", "after_upload", "truncated")
        ),
        (anyhow(success_events, 5), "project must be a text, not 5"),
        (anyhow(success_events, deployment_id=5), "deployment_id must be a text, not 5"),
        (anyhow(failure_events, 5), "message must be a text, not 5"),
        (anyhow(failure_events, code=b"x"), "code must be JSON values: .*, not b'x'"),
        (anyhow(failure_events, deployment_id=5), "deployment_id must be a text, not 5"),
        (anyhow(faults.mint_refused, 5), "message must be a text, not 5"),
        (anyhow(faults.mint_with_token, b"x"), "json must be JSON values: .*, not "),
        (anyhow(faults.HasHeader, "", "x"), "name must be a text that is not empty, not ''"),
        (anyhow(faults.HasHeader, "x", 5), "value must be a text, not 5"),
        (anyhow(faults.Latency, 1e30), r"seconds must be a number from 0 to 1e9, not 1e\+30"),
        (anyhow(socket_faults.UpgradeRefused, location=5), "location must be a text .*, not 5"),
        (anyhow(socket_faults.Subprotocol, 5), "echo must be a text .*, not 5"),
        (anyhow(socket_faults.ErrorAnswer, 5), "error must be a text, not 5"),
        (anyhow(socket_faults.UnknownRequestId, 5), "then_answer must be True or False, not 5"),
        (anyhow(socket_faults.WithToken, OK), "token must be JSON values: .* or bytes, not Answer"),
        (anyhow(socket_faults.OthersFirst, 5), "codes must be a tuple of integers, not 5"),
        (anyhow(socket_faults.OthersFirst, data="x"), "data must be bytes, not 'x'"),
        (anyhow(socket_faults.Garbage, "x"), "message must be bytes, not 'x'"),
        (anyhow(socket_faults.PingFirst, 5), "data must be at most 125 bytes long, not 5"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (faults.ResetAfter, TypeError, r"give an object of it, ResetAfter\("),
        ("expired", TypeError, r"fault 'expired' is a text: write parse_fault\('expired'\)"),
        ([faults.MintHangs()], TypeError, "is a list: give a tuple"),
        (503, TypeError, "fault 503 is not a fault of a peer"),
        ((None,), TypeError, "fault None is not a fault"),
        (socket_faults.NoAnswer(), TypeError, "give it to FakeReplicationSocket"),
        ((OK, faults.ResetAfter(1)), ValueError, "concern the same upload"),
        ((faults.MintHangs(), faults.MintNested()), ValueError, "concern the same mint"),
        ((CertificateFlaw.EXPIRED, CertificateFlaw.SELF_SIGNED), ValueError, "same certificate"),
        ((faults.TlsOnly("1.2"), faults.TlsOnly("1.3")), ValueError, "same version of TLS"),
        ((faults.Refuse(), faults.HangInHandshake()), ValueError, "same connection"),
        ((faults.in_turn(OK, None), faults.ResetAfter(1)), ValueError, r"in_turn\("),
    ],
)
def test_what_is_no_fault_of_a_peer_is_refused(
    fault: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        FakePeer(None, fault=fault)
    peer = FakePeer(None, fault=OK)
    with pytest.raises(error, match=words):
        peer.fault = fault
    assert peer.fault == OK


def test_half_a_character_in_json_is_an_escape() -> None:
    assert Answer(json={"message": "é\ud800"}).content == '{"message":"é\\ud800"}'.encode()


@pytest.mark.parametrize("fault", [OK, "expired", socket_faults.NoAnswer])
def test_what_is_no_fault_of_a_socket_is_refused(cluster: FakeCluster, fault: Any) -> None:
    with pytest.raises(TypeError, match=r"harness\.replication\.faults"):
        FakeReplicationSocket(None, cluster.peer().node, fault=fault)


def test_what_is_read_at_the_start_is_set_before_it(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=CertificateFlaw.EXPIRED)
    peer.fault = (CertificateFlaw.EXPIRED, OK)
    with pytest.raises(ValueError, match=r"Refuse\(seconds=None\) is read at the start: kill\(\)"):
        peer.fault = faults.Refuse()
    peer.kill()
    peer.fault = faults.Refuse()
    peer.start()
    with pytest.raises(ConnectionRefusedError):
        RawClient(peer.url)


# -- one after the other -------------------------------------------------------------------------


def mint_status(peer: FakePeer, cluster: FakeCluster) -> int:
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        return client.read_answer().status


def test_mints_take_turns(cluster: FakeCluster) -> None:
    busy = faults.MintAnswer(Answer(503))
    peer = cluster.peer(fault=faults.in_turn(busy, None))
    assert [mint_status(peer, cluster) for _ in range(3)] == [503, 200, 200]


def test_mints_over_the_replication_socket_take_turns_as_well(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.in_turn(faults.MintForAnotherUser(), None))
    worth = [
        peer.tokens.worth(f"Bearer {peer.node.issue_tokens(peer.node.schedule.due('mint'))[name]}")
        for name in ("operation_token", "operation_token", "refresh_token")
    ]
    assert worth == ["forbidden", "good", "refresh"]


def test_connections_take_turns(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.in_turn(faults.ResetAtAccept(), None))
    with (
        contextlib.suppress(ConnectionResetError),  # the reset may be there before the connect ends
        RawClient(peer.url.replace("https", "http")) as client,
    ):
        client.read_until_reset()
    peer.wait_until(lambda peer: len(peer.live_connections) == 1)
    assert mint_status(peer, cluster) == 200


def test_several_sequences_go_on_beside_each_other_and_begin_anew(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    refused = faults.MintAnswer(Answer(503))
    for _ in range(2):
        peer.fault = (faults.in_turn(refused, None), faults.in_turn(Answer(502), Answer(504)))
        assert [mint_status(peer, cluster) for _ in range(2)] == [503, 200]
        for status in (502, 504, 504):
            with RawClient(peer.url, ca_file=cluster.ca_file) as client:
                head = upload_head(peer, peer.tokens.issue(peer.username))
                client.send(head + chunked(upload_body()))
                assert client.read_answer().status == status


# -- all of them are tested on the wire ----------------------------------------------------------


def test_every_fault_is_shown_to_a_raw_client() -> None:
    """By name: some test of the harness that has a raw client mentions each kind of fault."""
    kinds = fault_classes()
    shown = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        text = path.read_text()
        clients = ("rawclient", "websocketclient", "harness.uploading")
        if path == Path(__file__) or not any(client in text for client in clients):
            continue
        tests = [it for it in ast.parse(text).body if getattr(it, "name", "").startswith("test_")]
        nodes = itertools.chain.from_iterable(map(ast.walk, tests))
        shown |= {getattr(node, "attr", getattr(node, "id", None)) for node in nodes}
    helpers = {
        "InTurn": "in_turn",
        "CertificateFlaw": "certificate_flaws",
        "MintAnswer": "mint_refused",
    }
    missing = {
        kind.__name__ for kind in kinds if helpers.get(kind.__name__, kind.__name__) not in shown
    }
    missing -= {"CertificateFlaw"}  # each of its members has a test
    assert missing == set(), "test these with a raw client in tests/harness/test_….py"
    assert len(kinds) > 30

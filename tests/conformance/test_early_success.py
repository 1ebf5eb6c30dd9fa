"""Successes that begin before the end of the upload, and refusals inside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    Event,
    EventStream,
    FakeCluster,
    FakePeer,
    HasHeader,
    Matching,
    MintAnswer,
    Payload,
    UploadWitness,
    failure_events,
    in_turn,
)
from deploy_relay_kit.harness.fronts.caddy import CaddyFront
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME, LIMIT, THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_early_refusals
from deploy_relay_kit.harness.targets import DeployNode, GivenToken, Limits

At = Literal["head", "file"] | int
Rest = Literal["drain", "close", "grace", "stop"]


def sha256_of(upload: UploadWitness) -> str | None:
    """The SHA-256 of the payload that arrived; None without a file part."""
    return upload.file.sha256 if upload.file else None


@pytest.mark.parametrize("at", ["head", "file", 8_000_000])
def test_an_early_success_is_none_without_the_whole_payload(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    large: Payload,
    *,
    at: At,
) -> None:
    """A success before the end of the upload is reported as one only if the upload is whole.

    Some clients stop sending at any answer; then the record is failed.
    """
    peer = cluster.peer(fault=AnswerEarly(Answer(json={"message": "done"}), at, "drain"))
    # After `Connection: close`, the peer takes no more of the upload: it ends when it stalls.
    deadline = Limits().stall + IN_TIME
    record = relay.deploy(to=[peer], payload=large.path, deadline=deadline)[peer]
    with check("RES-02", "the upload of a success"):
        upload, received = peer.upload, f"{peer.upload.reader.received:,}"
        failed = record.status == "failed"
        assert failed or upload.complete, f"expected a whole upload, got {received} bytes of it"
    if record.status == "success":
        with check("FLD-08", "the SHA-256 of the payload"):
            check.need(peer.upload.complete, "the upload is not whole (RES-02)")
            assert sha256_of(peer.upload) == large.sha256


DONE = Event("done", {"result": {"message": "done"}})
EARLY: Mapping[str, Answer | EventStream] = {
    "201": Answer(201, json={"message": "done"}),
    "202 with an id": Answer(202, json={"message": "done", "deployment_id": "5f0c"}),
    "299": Answer(299, json=["done"]),
    "204": Answer(204),
    "200 without a body": Answer(200),
    "200 with a text": Answer(200, body="done", content_type="text/plain"),
    "200 with a long object": Answer(json={"message": "done", "log": ["a line"] * 5_000}),
    "200 in chunks": Answer(json={"message": "done"}, chunk_size=5),
    "a stream with done": EventStream((DONE,), after_upload=False),
    "a stream with done and without an end": EventStream(
        (DONE,), after_upload=False, truncated=True
    ),
}


@pytest.mark.parametrize("then", ["drain", "close", "grace", "stop"])
def test_no_early_success_of_any_form_is_one_without_the_whole_payload(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload, then: Rest
) -> None:
    """A success in any form, before the payload was taken, is none if the rest is not taken."""
    peers = {
        what: cluster.peer(fault=AnswerEarly(it, "file", then, 0.2)) for what, it in EARLY.items()
    }
    limits = Limits(stall=LIMIT) if then == "stop" else Limits()
    deadline = limits.stall + IN_TIME
    events = "events" in relay.target.capabilities
    outcome = relay.deploy(
        to=peers.values(), payload=large.path, limits=limits, deadline=deadline, events=events
    )
    for what, peer in peers.items():
        with check("RES-02", f"the upload of a success, after an early {what}"):
            check.need(peer.uploads, f"{peer.name} saw no upload")
            is_whole = peer.uploads[-1].complete
            assert is_whole or outcome[peer].status == "failed", (
                f"expected a whole upload, got {peer.uploads[-1].reader.received:,} bytes of it"
            )


def test_a_refusal_in_a_stream_that_began_early_has_its_reason(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A refusal as an event during the upload, after which the peer stops reading, is a failure."""
    reason = "'project' is required"
    events = failure_events(reason, 400)
    early = EventStream(events, after_upload=False)
    peer = cluster.peer(fault=AnswerEarly(early, "file", "stop"))
    control = cluster.peer(fault=EventStream(events))
    with check("EARLY-07", "the end of the deploy"):
        outcome = relay.deploy(
            to=[peer, control], payload=large.path, events=True, deadline=IN_TIME
        )
    with check("EARLY-07", "the status of the record"):
        check.need(outcome[control].status == "failed", "the control is not failed (RES-13)")
        assert outcome[peer].status == "failed"
    with check("EARLY-07", "the reason of the record"):
        check.need(outcome[control].reason == reason, "the control has another reason (SSE-09)")
        if outcome[peer].reason != reason:
            need_early_refusals(cluster, relay, payload=large.path)
        assert outcome[peer].reason == reason


@pytest.mark.skipif(not CaddyFront.is_available(), reason="there is no Caddy on this machine")
def test_a_payload_behind_caddy_arrives_whole_with_events(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """Caddy drops a part of an upload that is answered early; the last upload is whole anyway.

    A node answers early only if it is asked for events.
    """
    peer = cluster.peer(profile="harper-5.1")
    with CaddyFront(cluster.authority, peer, "/ops") as front:
        relay.deploy(to=[front], payload=large.path, events=True)
    with check("FLD-08", "the SHA-256 of the payload behind Caddy"):
        check.need(peer.uploads, "no upload came through Caddy")
        check.need(peer.uploads[-1].complete, "the upload is not whole (BUG-34)")
        assert sha256_of(peer.uploads[-1]) == large.sha256


SERVERS = ("nginx", "nginx/1.27.3", "NGINX/1.18.0 (Ubuntu)", "openresty/1.25.3.1", "Caddy")


def test_no_events_are_requested_from_a_node_behind_a_proxy_that_cannot_answer_early(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload
) -> None:
    """A node whose answers name such a proxy receives the whole payload, also with events.

    Such a proxy forwards no more of an upload that is answered early, as a node does that is asked
    for events. The mint shows the name, or the upload of an earlier attempt.
    """
    relay.need("events")
    declared, nodes = relay.target.capabilities, list[DeployNode]()
    early = AnswerEarly(EventStream((), after_upload=False), "file", "stop", 0.2)
    asks = HasHeader("accept", "text/event-stream")
    shows: dict[str, FakePeer] = {}
    for server in SERVERS:
        header = ("Server", server)
        if "mint.operations" in declared:
            shows[f"a mint by {server}"] = peer = cluster.peer()
            minted = Answer(json=peer.node.issue_tokens(None), headers=(header,))
            peer.fault = (MintAnswer(minted), Matching(asks, early))
            relay.leave_out(peer)  # a right relay does not see the early answer
            nodes.append(relay.minting(peer))
        if {"mint.given", "retry"} <= set(declared):
            busy = Answer(503, headers=(header,))
            fault = Matching(asks, in_turn(busy, early))
            shows[f"an upload by {server}"] = peer = cluster.peer(fault=fault)
            nodes.append(relay.node(peer, mint=GivenToken(peer.tokens.issue(peer.username))))
    if not nodes:
        relay.need("mint.operations")
    limits = THRICE if "retry" in declared else Limits()
    relay.deploy(to=nodes, events=True, limits=limits)
    for what, peer in shows.items():
        with check("FLD-08", f"the SHA-256 of the payload after an answer to {what}"):
            check.need(peer.uploads, f"{peer.name} saw no upload")
            tried = what.startswith("a mint") or len(peer.uploads) > 1
            check.need(tried, "the relay made no second attempt")
            assert sha256_of(peer.uploads[-1]) == payload.sha256


def test_the_head_of_a_success_during_the_upload_does_not_end_it(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """The head of a stream with status 200 during the upload does not end the upload."""
    peer = cluster.peer(fault=EventStream())
    record = relay.deploy(to=[peer], payload=large.path, events=True)[peer]
    upload = peer.upload
    early = upload.times.get("body end", float("inf")) - upload.times["answer"]
    check.need(early > 0, "the answer did not begin before the end of the upload")
    if not upload.complete:
        plain = cluster.peer(fault=EventStream(prime=False))
        relay.deploy(to=[plain], payload=large.path, events=True)
        is_cut = not plain.upload.complete
        check.need(is_cut, "a stream without its first comment does not end the upload (SSE-03)")
    with check("BUG-34", "the upload after the head of the answer"):
        assert upload.complete, f"expected a whole upload, got {upload.reader.received:,} bytes"
    with check("FLD-08", "the SHA-256 of the payload"):
        check.need(upload.complete, "the upload is not whole (BUG-34)")
        assert sha256_of(upload) == large.sha256
    with check("SSE-09", "the status of the record"):
        check.need(upload.complete, "the upload is not whole (BUG-34)")
        assert record.status == "success"

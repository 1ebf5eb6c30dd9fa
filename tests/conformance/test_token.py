"""Minting: one token on each peer, and no upload without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer, ContentLengthOff, UnfinishedChunks
from harness.faults.kinds import (
    MintAnswer,
    MintDropped,
    MintFault,
    MintForAnotherUser,
    MintHangs,
    MintNested,
    TokensExpire,
    mint_refused,
    mint_with_token,
    mint_without_token,
)
from harness.judge.relay import Relay
from harness.peer.tokens import lifetime
from harness.targets import GivenToken, Limits, OperationsMint

requirement = pytest.mark.requirement

IN_TIME = 8.0  # seconds: far from a hang, and far from a loaded machine
AN_HOUR = 3_600


@requirement("MINT-01")
def test_the_mint_asks_for_an_operation_token_without_a_role(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    relay.deploy(to=[relay.minting(peer)])
    [mint] = peer.mints
    assert mint.body["operation"] == "create_authentication_tokens"
    assert "role" not in mint.body


@requirement("SEQ-06")
@pytest.mark.parametrize("status", [401, 500])
def test_a_refused_mint_fails_the_peer_without_an_upload(
    cluster: FakeCluster, relay: Relay, status: int
) -> None:
    peer = cluster.peer(fault=mint_refused("invalid credentials", status))
    outcome = relay.deploy(to=[peer])
    assert outcome[peer].status == "failed"
    assert outcome[peer].reason.startswith("token mint failed: ")
    assert "invalid credentials" in outcome[peer].reason
    assert peer.uploads == []


@requirement("SEQ-06", "MINT-03")
@pytest.mark.parametrize(
    "fault",
    [
        mint_without_token(),
        *(MintAnswer(Answer(json={"results": results})) for results in ("token", ["token"], None)),
    ],
    ids=["alone", "text", "list", "null"],
)
def test_a_mint_without_a_token_fails_the_peer_without_an_upload(
    cluster: FakeCluster, relay: Relay, fault: MintFault
) -> None:
    peer = cluster.peer(fault=fault)
    outcome = relay.deploy(to=[peer])
    assert outcome[peer].status == "failed"
    assert outcome[peer].reason == ("token mint failed: peer did not return an operation_token")
    assert peer.uploads == []


@requirement("SEQ-04")
def test_an_upload_begins_when_its_token_is_there(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    relay.deploy(to=[relay.minting(peer)])
    [mint] = peer.mints
    assert mint.times["answer"] <= peer.upload.times["head"]
    assert peer.upload.token == mint.token


@requirement("SEQ-08", "MINT-11")
def test_a_mint_carries_the_credentials_of_its_own_node(cluster: FakeCluster, relay: Relay) -> None:
    peers = [cluster.peer() for _ in range(3)]
    relay.deploy(to=map(relay.minting, peers))
    for peer in peers:
        [mint] = peer.mints
        assert mint.token is not None, "no other credentials are good here"
        assert peer.upload.token == mint.token


@requirement("MINT-11")
def test_a_password_beyond_ascii_is_good(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer(username="größe", password='pass "wörd" ☃\\')
    node = relay.node(peer, mint=OperationsMint(peer.username, peer.password))
    assert relay.deploy(to=[node])[peer].status == "success"


@requirement("MINT-08", "SEQ-08")
def test_every_deploy_mints_one_token_for_each_peer(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    for _ in range(2):
        relay.deploy(to=[relay.minting(peer)])
    tokens = [upload.token for upload in peer.uploads]
    assert len(peer.mints) == len(set(tokens)) == 2
    assert not any("Bearer" in (mint.header("authorization") or "") for mint in peer.mints)


@requirement("MINT-07")
def test_the_mint_asks_for_a_short_lifetime(cluster: FakeCluster, relay: Relay) -> None:
    """An hour is long enough: the token is judged when the upload begins."""
    peer = cluster.peer()
    relay.deploy(to=[relay.minting(peer)])
    [mint] = peer.mints
    seconds = lifetime(mint.body.get("expires_in"))
    assert seconds is not None
    assert 0 < seconds <= AN_HOUR


@requirement("MINT-01", "MINT-11")
def test_a_real_peer_takes_the_mint(cluster: FakeCluster, relay: Relay) -> None:
    """It reads a body by its Content-Type, and judges every header before."""
    peer = cluster.peer(profile="harper-5.1")
    relay.deploy(to=[relay.minting(peer)])
    assert [mint.token is not None for mint in peer.mints] == [True]


@requirement("MINT-02")
def test_a_token_inside_of_results_is_found(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer(fault=MintNested())
    assert relay.deploy(to=[peer])[peer].status == "success"
    assert peer.upload.token == peer.mints[0].token


@requirement("SEQ-06", "MINT-03")
@pytest.mark.parametrize("token", ["", None, 5, True, {}, ["t"]], ids=repr)
def test_what_is_no_token_fails_the_mint(cluster: FakeCluster, relay: Relay, token: object) -> None:
    peer = cluster.peer(fault=mint_with_token(token))
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "failed"
    assert record.reason.startswith("token mint failed: ")
    assert peer.uploads == []


@requirement("BUG-35", "SEQ-06")
@pytest.mark.parametrize(
    "token",
    ["a\r\nX-Injected: 1", "a\nb", "a\0b", "a\r", "a\u010ab", "a b", "t\u00e9", "a\x7fb"],
    ids=ascii,
)
def test_a_token_that_cannot_stand_in_a_header_fails_the_mint(
    cluster: FakeCluster, relay: Relay, token: str
) -> None:
    peer = cluster.peer(fault=mint_with_token(token))
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "failed"
    assert record.reason.startswith("token mint failed: ")
    assert peer.uploads == []
    assert all(request.header("x-injected") is None for request in peer.requests)


@requirement("SEQ-06", "HTTP-04")
@pytest.mark.parametrize(
    "fault",
    [
        MintDropped(),
        MintAnswer(Answer(200, body="<p>fine</p>", content_type="text/html")),
        MintAnswer(Answer(200, json=["operation_token"])),
        MintAnswer(Answer(204)),
        MintAnswer(Answer.redirect("/elsewhere")),
        MintAnswer(ContentLengthOff(Answer(json={"operation_token": "cut"}), by=10)),
        MintAnswer(UnfinishedChunks(Answer(json={"operation_token": "cut"}))),
    ],
    ids=lambda fault: str(getattr(fault, "answer", fault))[:40],
)
def test_a_mint_without_a_whole_answer_fails_the_peer_without_an_upload(
    cluster: FakeCluster, relay: Relay, fault: MintFault
) -> None:
    peer, other = cluster.peer(fault=fault), cluster.peer()
    outcome = relay.deploy(to=[peer, other])
    assert outcome.statuses == ["failed", "success"]
    assert outcome[peer].reason.startswith("token mint failed: ")
    assert peer.uploads == []


@requirement("HTTP-04", "SEQ-06", "BUG-41")
@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_mint_is_not_taken_elsewhere(cluster: FakeCluster, relay: Relay, status: int) -> None:
    """With 307 and 308 the password would go along."""
    other = cluster.peer("other")
    peer = cluster.peer(fault=MintAnswer(Answer.redirect(other.url, status)))
    record = relay.deploy(to=[peer])[peer]
    assert record.reason.startswith("token mint failed: ")
    assert other.requests == []
    assert peer.uploads == []


@requirement("SEQ-08", "MINT-11")
def test_nodes_at_one_host_and_port_have_tokens_of_their_own(
    cluster: FakeCluster, relay: Relay
) -> None:
    """A proxy tells such nodes apart by path or query; a token of one is none of the other."""
    peer = cluster.peer()
    node = relay.minting(peer)
    other = replace(node, name="node-2", url=f"{peer.url}?site=2")
    assert relay.deploy(to=[node, other]).statuses == ["success", "success"]
    tokens = [upload.token for upload in peer.uploads]
    assert len(tokens) == len(set(tokens)) == len(peer.mints) == 2


@requirement("HTTP-03", "SEQ-06")
def test_a_mint_without_an_answer_is_given_up_in_time(cluster: FakeCluster, relay: Relay) -> None:
    peer, other = cluster.peer(fault=MintHangs()), cluster.peer()
    outcome = relay.deploy(to=[peer, other], limits=Limits(mint=1), deadline=IN_TIME)
    assert outcome.statuses == ["failed", "success"]
    assert outcome[peer].reason.startswith("token mint failed: ")
    assert peer.uploads == []


@requirement("MINT-12")
def test_an_expired_token_is_a_failed_record_in_the_words_of_the_peer(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer(fault=TokensExpire(first=1))
    record = relay.deploy(to=[peer])[peer]
    assert (record.status, record.status_code, record.reason) == ("failed", 401, "token expired")


@requirement("MINT-12", "RES-05")
def test_a_token_that_may_not_deploy_is_a_failed_record_with_403(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer(fault=MintForAnotherUser())
    record = relay.deploy(to=[peer])[peer]
    assert (record.status, record.status_code) == ("failed", 403)


@requirement("MINT-12", "HTTP-01")
def test_a_given_token_is_used_as_it_is_and_nothing_is_minted(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer, other = cluster.peer(), cluster.peer()
    good = peer.tokens.issue(peer.username)
    nodes = [
        relay.node(peer, mint=GivenToken(good)),
        relay.node(other, mint=GivenToken("made-elsewhere")),
    ]
    outcome = relay.deploy(to=nodes)
    assert outcome[peer].status == "success"
    refused = outcome[other]
    assert (refused.status_code, refused.reason) == (401, "invalid token")
    assert (peer.upload.token, other.upload.token) == (good, "made-elsewhere")
    assert peer.mints == other.mints == []

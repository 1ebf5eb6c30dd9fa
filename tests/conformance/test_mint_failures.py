"""A mint that fails: refused, without a usable token, without a whole answer, redirected."""

from __future__ import annotations

import pytest

from deploy_relay_kit.harness import (
    Answer,
    ContentLengthOff,
    FakeCluster,
    MintAnswer,
    MintDropped,
    MintHangs,
    OneFault,
    UnfinishedChunks,
    mint_refused,
    mint_with_token,
    mint_without_token,
)
from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME, LIMIT
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import look_at_neighbour, requests_for
from deploy_relay_kit.harness.targets import Limits

REASON = "token mint failed: "


@pytest.mark.parametrize("status", [401, 500])
def test_a_refused_mint_fails_the_peer_without_an_upload(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int
) -> None:
    """A refused mint is a failed record with the peer's words, and nothing is uploaded."""
    peer = cluster.peer(fault=mint_refused("invalid credentials", status))
    record = relay.deploy(to=[peer])[peer]
    with check("SEQ-06", "the status of the record"):
        assert record.status == "failed"
    with check("SEQ-06", "the reason of the record"):
        assert record.reason == f"{REASON}invalid credentials"
    with check("SEQ-06", "the uploads after the refused mint"):
        assert len(peer.uploads) == 0


@pytest.mark.parametrize(
    "fault",
    [
        mint_without_token(),
        *(MintAnswer(Answer(json={"results": results})) for results in ("token", ["token"], None)),
    ],
    ids=["alone", "text", "list", "null"],
)
def test_a_mint_without_a_token_fails_the_peer_without_an_upload(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: OneFault
) -> None:
    """A mint whose answer holds no token is a failed record that says so."""
    peer = cluster.peer(fault=fault)
    record = relay.deploy(to=[peer])[peer]
    with check("MINT-03", "the uploads after a mint without a token"):
        assert len(peer.uploads) == 0
    with check("MINT-03", "the reason of the record"):
        check.need(not peer.uploads, "the relay took another value for a token")
        check.need(record.reason.startswith(REASON), f"the reason does not begin with {REASON!r}")
        assert record.reason.removeprefix(REASON) == "peer did not return an operation_token"


def need_failed_mints(cluster: FakeCluster, relay: Relay) -> None:
    """Raise Unseen if the relay also uploads after a mint that was refused."""
    refused = cluster.peer(fault=mint_refused())
    relay.deploy(to=[refused])
    if refused.uploads:
        raise Unseen("the relay also uploads after a mint that was refused (SEQ-06)")


@pytest.mark.parametrize("token", ["", None, 5, True, {}, ["t"]], ids=repr)
def test_what_is_no_token_fails_the_mint(
    cluster: FakeCluster, relay: Relay, check: Checks, token: object
) -> None:
    """A token that is empty or not a text fails the mint, and nothing is uploaded."""
    peer = cluster.peer(fault=mint_with_token(token))
    record = relay.deploy(to=[peer])[peer]
    with check("MINT-03", "the status of the record"):
        assert record.status == "failed"
    with check("MINT-03", "the uploads after a mint without a token"):
        assert len(peer.uploads) == 0


@pytest.mark.parametrize(
    "token",
    ["a\r\nX-Injected: 1", "a\nb", "a\0b", "a\r", "a\u010ab", "a b", "t\u00e9", "a\x7fb"],
    ids=ascii,
)
def test_a_token_that_cannot_stand_in_a_header_fails_the_mint(
    cluster: FakeCluster, relay: Relay, check: Checks, token: str
) -> None:
    """A token that cannot stand in a header fails the mint, and no header is made of it."""
    peer = cluster.peer(fault=mint_with_token(token))
    record = relay.deploy(to=[peer])[peer]
    if peer.uploads:
        need_failed_mints(cluster, relay)
    with check("BUG-35", "the status of the record"):
        assert record.status == "failed"
    with check("BUG-35", "the uploads after the failed mint"):
        assert len(peer.uploads) == 0
    with check("BUG-35", "the injected header"):
        injected = [it for it in peer.requests if it.header("x-injected") is not None]
        assert len(injected) == 0
    with check("SEQ-06", "the beginning of the reason"):
        check.need(not peer.uploads, "the relay used the token")
        assert record.reason[: len(REASON)] == REASON


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
        MintAnswer(ContentLengthOff(Answer(json={"results": {"operation_token": "cut"}}), by=1)),
        MintAnswer(UnfinishedChunks(Answer(201, json={"results": {"operation_token": "cut"}}))),
    ],
    ids=lambda fault: str(getattr(fault, "answer", fault))[:40],
)
def test_a_mint_without_a_whole_answer_fails_the_peer_without_an_upload(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: OneFault
) -> None:
    """A mint without a whole answer that holds a token is a failed record without an upload."""
    peer, other = cluster.peer(fault=fault), cluster.peer()
    outcome = relay.deploy(to=[peer, other])
    with check("SEQ-06", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("SEQ-06", "the beginning of the reason"):
        assert outcome[peer].reason[: len(REASON)] == REASON
    with check("SEQ-06", "the uploads after the failed mint"):
        assert len(peer.uploads) == 0
    look_at_neighbour(check, relay, outcome, other)


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_mint_is_not_redirected(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int
) -> None:
    """A redirect of the mint is not followed: with 307 and 308 the password would be sent along."""
    other = cluster.peer("other")
    peer = cluster.peer(fault=MintAnswer(Answer.redirect(f"{other.url}moved", status)))
    record = relay.deploy(to=[peer])[peer]
    with check("HTTP-04", "the requests to the target of the redirect"):
        assert len(requests_for(other, "/moved")) == 0
    with check("SEQ-06", "the beginning of the reason"):
        check.need(not requests_for(other, "/moved"), "the redirect was followed (HTTP-04)")
        assert record.reason[: len(REASON)] == REASON
    with check("SEQ-06", "the uploads after the failed mint"):
        check.need(not requests_for(other, "/moved"), "the redirect was followed (HTTP-04)")
        assert len(peer.uploads) == 0


def test_a_mint_without_an_answer_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A mint without an answer ends at the limit of a mint, with a failed record."""
    peer, other = cluster.peer(fault=MintHangs()), cluster.peer()
    with check("HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s for a mint"):
        outcome = relay.deploy(to=[peer, other], limits=Limits(mint=LIMIT), deadline=IN_TIME)
    with check("SEQ-06", "the beginning of the reason"):
        assert outcome[peer].reason[: len(REASON)] == REASON
    with check("SEQ-06", "the uploads after the failed mint"):
        assert len(peer.uploads) == 0
    look_at_neighbour(check, relay, outcome, other)

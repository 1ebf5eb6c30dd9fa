"""Credential taint: every token and password is a canary, searched wherever it does not belong."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer
from harness.faults.events import Event, EventStream
from harness.faults.kinds import (
    AnswerEarly,
    CloseWithoutAnswer,
    Fault,
    MintAnswer,
    MintForAnotherUser,
    ReadSlowly,
    ResetAfter,
    TokensExpire,
    in_turn,
    mint_refused,
    mint_with_token,
)
from harness.judge.cases.leaks import (
    changed_since,
    files_in_reach,
    leaked,
    leaks,
    received_by,
    reported_by,
)
from harness.judge.cases.relay import Relay
from harness.peer.payloads import Payload
from harness.targets import GivenToken, Limits
from harness.targets.processes import watch_processes

requirement = pytest.mark.requirement

TROUBLED: list[Fault | None] = [
    None,
    Answer.error(500, "boom"),
    TokensExpire(),
    MintForAnotherUser(),
    mint_refused(),
    ResetAfter(70_000),
    CloseWithoutAnswer(),
    AnswerEarly(Answer.error(403, "no")),
]


@requirement("BUG-41", "SEQ-08", "MINT-11")
def test_no_peer_is_sent_a_credential_of_another(cluster: FakeCluster, relay: Relay) -> None:
    peers = [cluster.peer(fault=fault) for fault in TROUBLED]
    relay.deploy(to=peers)
    sent = {peer.name: received_by(peer) for peer in peers}
    for owner in peers:
        assert {name for name, text in sent.items() if leaked(owner, text)} <= {owner.name}


@requirement("BUG-41")
@pytest.mark.parametrize("events", [False, True])
def test_no_record_and_no_output_holds_a_credential(
    cluster: FakeCluster, relay: Relay, capfd: pytest.CaptureFixture[str], *, events: bool
) -> None:
    peers = [cluster.peer(fault=fault) for fault in TROUBLED]
    outcome = relay.deploy(to=peers, events=events)
    written = "".join(capfd.readouterr())
    for text in (reported_by(outcome), relay.target.output, written):
        assert not any(leaked(peer, text) for peer in peers)


@requirement("BUG-41")
@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize("form", ["json", "plain", "deep"])
def test_a_token_that_a_peer_quotes_stands_in_no_record(
    cluster: FakeCluster, relay: Relay, status: int, form: str
) -> None:
    peer = cluster.peer()
    token = peer.tokens.issue(peer.username)
    text = f"bad header: Bearer {token}"
    peer.fault = {
        "json": Answer(status, json={"message": text, "error": text}),
        "plain": Answer(status, body=text, content_type="text/plain"),
        "deep": Answer(status, json={"error": {"seen": [text]}, "more": {token: 1}}),
    }[form]
    outcome = relay.deploy(to=[relay.node(peer, mint=GivenToken(token))])
    assert not leaked(peer, reported_by(outcome))


@requirement("BUG-41")
@pytest.mark.parametrize("at", ["mint", "upload"])
def test_a_secret_that_a_peer_quotes_is_not_shown_in_part(
    cluster: FakeCluster, relay: Relay, at: str
) -> None:
    """It stands where a raw body is cut, so that its first half would stay."""
    peer = cluster.peer()
    secret = peer.password if at == "mint" else peer.tokens.issue(peer.username)
    refusal = Answer(500, body="x" * (200 - len(secret) // 2) + secret, content_type="text/plain")
    peer.fault = MintAnswer(refusal) if at == "mint" else refusal
    node = relay.minting(peer) if at == "mint" else relay.node(peer, mint=GivenToken(secret))
    outcome = relay.deploy(to=[node])
    assert outcome[peer].status == "failed"
    assert secret[: len(secret) // 2 - 1] not in reported_by(outcome)


@requirement("BUG-41", "SEQ-06")
@pytest.mark.parametrize("at", ["mint", "upload"])
def test_a_password_that_a_peer_quotes_stands_in_no_record(
    cluster: FakeCluster, relay: Relay, at: str
) -> None:
    peer = cluster.peer()
    answer = Answer.error(401, f"no user with the password {peer.password}")
    peer.fault = MintAnswer(answer) if at == "mint" else answer
    outcome = relay.deploy(to=[relay.minting(peer)])
    assert outcome[peer].status == "failed"
    assert not leaked(peer, reported_by(outcome))


@requirement("BUG-41")
@pytest.mark.parametrize("name", ["error", "done"])
def test_a_token_that_an_event_quotes_stands_in_no_record(
    cluster: FakeCluster, relay: Relay, name: str
) -> None:
    peer = cluster.peer()
    token = peer.tokens.issue(peer.username)
    told = {"message": f"bad header: Bearer {token}"}
    peer.fault = EventStream((Event(name, {"result": told} if name == "done" else told),))
    outcome = relay.deploy(to=[relay.node(peer, mint=GivenToken(token))], events=True)
    assert outcome[peer].status == ("success" if name == "done" else "failed")
    assert not leaked(peer, reported_by(outcome))


@requirement("BUG-41")
def test_a_token_of_an_earlier_attempt_stands_in_no_record(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    first, second = (peer.tokens.issue(peer.username) for _ in range(2))
    mints = map(mint_with_token, (first, second))
    refusal = Answer.error(401, f"seen too often: {first}")
    peer.fault = (in_turn(*mints), in_turn(Answer(503), refusal))
    limits = Limits(attempts=2, retry_delay=0.01)
    outcome = relay.deploy(to=[relay.minting(peer)], limits=limits)
    assert [upload.token for upload in peer.uploads] == [first, second]
    assert not leaked(peer, reported_by(outcome))


@requirement("BUG-41")
def test_a_cookie_of_one_peer_reaches_no_other(cluster: FakeCluster, relay: Relay) -> None:
    """Cookies know no ports; each upload here begins when some other peer may have set one."""
    peers = [cluster.peer(host="127.0.0.1") for _ in range(2)]
    for peer in peers:
        cookie = ("Set-Cookie", f"of-{peer.name}=canary-of-{peer.name}; Path=/")
        peer.fault = MintAnswer(Answer(json=peer.node.issue_tokens(None), headers=(cookie,)))
    relay.deploy(to=peers)
    for peer in peers:
        others = [f"canary-of-{other.name}" for other in peers if other is not peer]
        assert not any(canary in received_by(peer) for canary in others)


@requirement("BUG-41")
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no processes are shown here")
def test_no_process_shows_a_credential_while_it_deploys(cluster: FakeCluster, relay: Relay) -> None:
    peers = [cluster.peer(fault=ReadSlowly(2_000_000)), cluster.peer(fault=mint_refused())]
    with watch_processes(relay.target.pid) as shown:
        relay.deploy(to=peers)
    assert shown.arguments
    for text in (*shown.arguments, *shown.environments):
        assert not any(leaked(peer, text) for peer in peers)


@requirement("BUG-41", "SEQ-09")
def test_no_file_with_a_credential_is_left_behind(
    cluster: FakeCluster, relay: Relay, payload: Payload
) -> None:
    before, beside = files_in_reach(), set(payload.path.parent.iterdir())
    peers = [cluster.peer(fault=fault) for fault in TROUBLED]
    relay.deploy(to=peers)
    left = changed_since(before) | (set(payload.path.parent.iterdir()) - beside)
    assert list(leaks(peers, relay, left)) == []

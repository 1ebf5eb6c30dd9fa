"""Minting: one token on each peer, and no upload without it."""

from __future__ import annotations

import base64
import secrets
from collections import Counter

from deploy_relay_kit.harness import (
    Answer,
    FakeCluster,
    MintAnswer,
    MintForAnotherUser,
    MintNested,
    MintWitness,
    TokensExpire,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import AN_HOUR, THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import look_for_refused_token, tokens_of
from deploy_relay_kit.harness.peer.tokens import lifetime
from deploy_relay_kit.harness.targets import GivenToken, Limits, OperationsMint

BAD_REQUEST = 400

REASON = "token mint failed: "


def test_the_mint_asks_for_an_operation_token_without_a_role(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The mint asks for create_authentication_tokens and names no role."""
    peer = cluster.peer()
    relay.deploy(to=[relay.minting(peer)])
    with check("MINT-01", "the operation of the mint"):
        assert peer.mint.body.get("operation") == "create_authentication_tokens"
    with check("MINT-01", "the members of the mint"):
        assert "role" not in peer.mint.body


def test_an_upload_begins_when_its_token_is_there(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Nothing of an upload is sent before the answer to its mint."""
    peer = cluster.peer()
    relay.deploy(to=[relay.minting(peer)])
    with check("SEQ-04", "the beginning of the upload"):
        early = peer.mint.times["answer"] - peer.upload.times["head"]
        assert early <= 0, f"expected after the answer to the mint, got {early:.3f} s before it"


def test_a_mint_carries_the_credentials_of_its_own_node(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Each mint carries the login of its own node, also if the nodes differ in nothing else."""
    names = ("node-a", "Node-A", "node-b", "node-a.eu", "node-a.us", "node-a:1", "node-a ")
    peers = [cluster.peer(it, host="127.0.0.1", username="one") for it in names]
    # No word: the files of other programs are searched for it, too.
    shared = f"shared-{secrets.token_hex(8)}"
    peers += [cluster.peer(host="127.0.0.1", username="two", password=shared) for _ in range(2)]
    relay.deploy(to=map(relay.minting, peers))
    for peer in peers:
        with check("MINT-11", f"the credentials of the mint on {peer.name}"):
            check.need(peer.mints, f"{peer.name} saw no mint")
            assert peer.mint.token, "expected the user and password of this node, got others"
        with check("SEQ-08", f"the token of the upload to {peer.name}"):
            check.need(peer.uploads, f"{peer.name} saw no upload")
            check.need(all(mint.token for mint in peer.mints), f"{peer.name} minted no token")
            same = set(tokens_of(peer)) <= {it.token for it in peer.mints}
            assert same, f"expected the token that {peer.name} minted, got another one"


def test_two_nodes_at_one_url_have_a_login_each(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Two nodes with one URL and two users have a login each, in each attempt."""
    peers = {"the mint": cluster.peer()}
    if "retry" in relay.target.capabilities:
        expired = Answer.error(401, "token expired")
        peers["a mint that fails"] = cluster.peer(fault=MintAnswer(Answer(503)))
        for what, answer in {"an upload": Answer(503), "a token that expires": expired}.items():
            peers[what] = peer = cluster.peer()
            peer.fault = (MintAnswer(Answer(json=peer.node.issue_tokens(None))), answer)
    mints = [OperationsMint(name, f"password-of-{name}") for name in ("alice", "bob")]
    relay.deploy(
        to=[
            relay.node(peer, name=f"{peer.name} of {it.username}", mint=it)
            for peer in peers.values()
            for it in mints
        ],
        limits=THRICE if len(peers) > 1 else Limits(),
    )
    for what, peer in peers.items():
        with check("MINT-11", f"the users of the mints for two nodes at one URL, with {what}"):
            check.need(len(peer.mints) > 1, "one mint serves two nodes (SEQ-08)")
            found = Counter(map(login_of, peer.mints))
            assert sorted(found) == sorted(f"{it.username}:{it.password}" for it in mints)
            assert len({*found.values()}) == 1, "expected as many mints of each, got more of one"


def login_of(mint: MintWitness) -> str:
    """The user and the password of a mint, from its body or its head."""
    scheme, _, text = (mint.header("authorization") or "").partition(" ")
    if scheme == "Basic":
        return base64.b64decode(text).decode()
    return f"{mint.body.get('username')}:{mint.body.get('password')}"


def test_a_password_beyond_ascii_is_good(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A user name and a password with any characters reach the peer unchanged."""
    peer = cluster.peer(username="größe", password='pass "wörd" ☃\\')
    relay.deploy(to=[relay.node(peer, mint=OperationsMint(peer.username, peer.password))])
    with check("MINT-11", "the credentials of the mint"):
        assert peer.mint.token, "expected the user and password of this node, got others"


def test_every_deploy_mints_one_token_for_each_peer(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Two deploys mint two tokens, one each, and use them."""
    peer = cluster.peer()
    for _ in range(2):
        relay.deploy(to=[relay.minting(peer)])
    with check("MINT-08", "the mints of two deploys"):
        check.need(len(peer.uploads) == 2, f"{peer.name} saw {len(peer.uploads)} uploads, not two")
        assert len(peer.mints) <= 2
    with check("SEQ-08", "the different tokens of two deploys"):
        check.need(len(peer.uploads) == 2, f"{peer.name} saw {len(peer.uploads)} uploads, not two")
        assert len(set(tokens_of(peer))) == 2
    with check("SEQ-08", "the authorization of the mints"):
        check.need(peer.mints, f"{peer.name} saw no mint")
        bearing = [it for it in peer.mints if "Bearer" in (it.header("authorization") or "")]
        assert len(bearing) == 0


def test_the_mint_asks_for_a_short_lifetime(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The mint asks for a lifetime of an hour at most.

    The token is judged when the upload begins, so an hour is enough.
    """
    peer = cluster.peer()
    relay.deploy(to=[relay.minting(peer)])
    with check("MINT-07", "expires_in of the mint"):
        given = peer.mint.body.get("expires_in")
        seconds = lifetime(given)
        assert seconds is not None, f"expected a lifetime, got {given or 'nothing'}"
        assert 0 < seconds <= AN_HOUR, f"expected at most {AN_HOUR} s, got {seconds:g} s"


def test_a_real_peer_takes_the_mint(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A real peer reads the mint: by its Content-Type, and with every header judged before."""
    peer = cluster.peer(profile="harper-5.1")
    relay.deploy(to=[relay.minting(peer)])
    with check("MINT-01", "the mints that a real peer can read"):
        check.need(peer.requests, "no request reached the peer")
        assert len([mint for mint in peer.mints if mint.answer_status != BAD_REQUEST]) >= 1
    with check("MINT-11", "the answer of a real peer to the mint"):
        check.need(peer.mint.answer_status != BAD_REQUEST, "the peer cannot read the mint")
        assert peer.mint.token, f"expected a token, got {peer.mint.answer_status}"


def test_a_token_inside_of_results_is_found(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A token inside `results` is used like one beside it."""
    peer = cluster.peer(fault=MintNested())
    relay.deploy(to=[peer])
    with check("MINT-02", "the token of the upload"):
        assert tokens_of(peer)[:1] == [peer.mint.token]


def test_nodes_at_one_host_and_port_have_tokens_of_their_own(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Two nodes at one host and port have a token each.

    A proxy tells such nodes apart by path or query; a token of one is unknown to the other.
    """
    peer = cluster.peer()
    nodes = [relay.minting(peer), relay.minting(peer, name="node-2", url=f"{peer.url}?site=2")]
    relay.deploy(to=nodes)
    with check("SEQ-08", "the different tokens of two nodes"):
        check.need(len(peer.uploads) == 2, f"{peer.name} saw {len(peer.uploads)} uploads, not two")
        assert len(set(tokens_of(peer))) == 2
    with check("MINT-08", "the mints of two nodes"):
        check.need(len(peer.uploads) == 2, f"{peer.name} saw {len(peer.uploads)} uploads, not two")
        assert len(peer.mints) <= 2


def test_an_expired_token_is_a_failed_record_in_the_words_of_the_peer(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A token that has expired is a failed record with 401 and the peer's words."""
    peer = cluster.peer(fault=TokensExpire(first=1))
    record = relay.deploy(to=[peer])[peer]
    look_for_refused_token(check, cluster, relay, record, "token expired", peer=peer)


def test_a_token_that_may_not_deploy_is_a_failed_record_with_403(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A token of a user who may not deploy is a failed record with 403."""
    peer = cluster.peer(fault=MintForAnotherUser())
    record = relay.deploy(to=[peer])[peer]
    with check("RES-05", "the status of the record"):
        assert record.status == "failed"
    with check("RES-05", "the status code of the record"):
        assert record.status_code == 403


def test_a_given_token_is_used_as_it_is_and_nothing_is_minted(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A given token is sent as it is, and nothing is minted."""
    peer, other = cluster.peer(), cluster.peer()
    good = peer.tokens.issue(peer.username)
    nodes = [
        relay.node(peer, mint=GivenToken(good)),
        relay.node(other, mint=GivenToken("made-elsewhere")),
    ]
    outcome = relay.deploy(to=nodes)
    with check("HTTP-01", "the token of the upload"):
        assert peer.upload.token == good
    with check("HTTP-01", "the token of the upload to the other peer"):
        assert other.upload.token == "made-elsewhere"
    with check("MINT-08", "the mints beside given tokens"):
        assert len([*peer.mints, *other.mints]) == 0
    look_for_refused_token(check, cluster, relay, outcome[other], "invalid token", peer=other)

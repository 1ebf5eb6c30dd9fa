"""The trust of a node is the same in each attempt, beside any other node, with any authority."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_relay_kit.harness import (
    Answer,
    Authority,
    CertificateFlaw,
    ClientCertificateRequired,
    CloseInHandshake,
    CloseWithoutAnswer,
    FakeCluster,
    FakePeer,
    Fault,
    Matching,
    MintAnswer,
    MintDropped,
    ResetAfter,
    ResetAtAccept,
    in_turn,
)
from deploy_relay_kit.harness.faults.kinds import MintFault, OneFault
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import handshakes
from deploy_relay_kit.harness.peer.triggers import CertificateChange
from deploy_relay_kit.harness.targets import DeployNode, GivenToken, Limits, ReplicationMint

FLAWS = [
    CertificateFlaw.WRONG_AUTHORITY,
    CertificateFlaw.WRONG_ADDRESS,
    CertificateFlaw.EXPIRED,
    CertificateFlaw.SELF_SIGNED,
]
of_some_flaws = pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.value)


@of_some_flaws
def test_a_certificate_is_verified_in_the_second_attempt(
    cluster: FakeCluster, relay: Relay, check: Checks, flaw: CertificateFlaw
) -> None:
    """A flawed certificate is refused also after a first attempt that failed for another reason."""
    peer = cluster.peer(fault=(in_turn(ResetAtAccept(), None), flaw))
    relay.deploy(to=[peer], limits=THRICE)
    with check("TLS-01", f"the requests of a second attempt; the certificate is {flaw.value}"):
        check.need(handshakes(peer), "the relay made no second attempt with a TLS handshake")
        assert len(peer.requests) == 0


@of_some_flaws
def test_a_certificate_is_verified_after_a_handshake_that_failed(
    cluster: FakeCluster, relay: Relay, check: Checks, flaw: CertificateFlaw
) -> None:
    """After a handshake that failed, a relay that tries again verifies as strictly as before."""
    peer = cluster.peer(fault=(in_turn(CloseInHandshake(), None), flaw))
    relay.deploy(to=[peer], limits=THRICE)
    check.need(len(peer.connections) > 1, "the relay makes no other attempt")
    with check("TLS-01", f"the requests after a failed handshake; the certificate is {flaw.value}"):
        assert len(peer.requests) == 0


SECOND_MINT, EXPIRED = "a second mint", "a token that expired"
OPTIONAL = SECOND_MINT, EXPIRED  # after these a relay may open no other connection
CHANGES: dict[str, tuple[OneFault | None, int]] = {
    "an upload answered 503": (Answer(503), 1),
    "an upload answered 502": (Answer(502), 1),
    "an upload answered 504": (Answer(504), 1),
    "an upload answered 503 with Retry-After": (Answer(503, headers={"Retry-After": "0"}), 1),
    "two uploads answered 503": (Answer(503), 2),
    "three uploads answered 503": (Answer(503), 3),
    EXPIRED: (Answer.error(401, "token expired"), 1),
    "a reset": (ResetAfter(70_000), 1),
    "an upload without an answer": (CloseWithoutAnswer(), 1),
    "a mint answered 503": (MintAnswer(Answer(503)), 1),
    "a mint without an answer": (MintDropped(), 1),
    SECOND_MINT: (None, 2),
}
"""What happens, and how often, before the certificate changes; None is a good answer to a mint."""


@pytest.mark.parametrize(
    "flaw", [*FLAWS[:3], CertificateFlaw.WRONG_HOST], ids=lambda flaw: flaw.value
)
def test_a_certificate_that_changes_is_verified_in_each_later_attempt(
    cluster: FakeCluster, relay: Relay, check: Checks, flaw: CertificateFlaw
) -> None:
    """A certificate that is flawed after an attempt is refused in the next, whatever had failed."""
    mints = "mint.operations" in relay.target.capabilities
    changes: dict[str, CertificateChange] = {}
    for when, (fault, number) in CHANGES.items():
        if mints or not isinstance(fault, MintFault | None):
            peer = cluster.peer(host="127.0.0.1")
            context = cluster.authority.server_context("127.0.0.1", flaw=flaw)
            changes[when] = CertificateChange(peer, context, number)
            minted = MintAnswer(Answer(json=peer.node.issue_tokens(None)))
            peer.fault = Matching(changes[when], fault or minted)
            if fault is None:
                peer.fault = (peer.fault, in_turn(Answer(503), None))
    made = at_localhost if flaw is CertificateFlaw.WRONG_HOST else Relay.node
    relay.deploy(
        to=[made(relay, it) for it in cluster.peers], limits=Limits(attempts=4, retry_delay=0.01)
    )
    for when, change in changes.items():
        if when in OPTIONAL and not change.connections:
            continue
        with check("TLS-01", f"the requests after {when}; the certificate is {flaw.value} now"):
            check.need(change.connections, "the relay opened no connection after that")
            assert len(change.requests) == 0


def test_a_certificate_that_changes_after_the_mint_is_verified_for_the_upload(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """An upload on a connection of its own is verified, although the mint was verified, too.

    Also one that requests events.
    """
    events = "events" in relay.target.capabilities
    changes = {}
    for number, flaw in enumerate([*FLAWS, *FLAWS[: 2 * events]]):
        peer = cluster.peer()
        context = cluster.authority.server_context(peer.http.host, flaw=flaw)
        changes[number, flaw] = CertificateChange(peer, context)
        minted = MintAnswer(Answer(json=peer.node.issue_tokens(None)))
        peer.fault = Matching(changes[number, flaw], minted)
    nodes = [*map(relay.minting, cluster.peers)]
    relay.deploy(to=nodes[: len(FLAWS)])
    if nodes[len(FLAWS) :]:
        relay.deploy(to=nodes[len(FLAWS) :], events=True)
    if not any(change.connections for change in changes.values()):
        pytest.skip("the relay opens no second connection")
    for (_, flaw), change in changes.items():
        with check("TLS-01", f"the uploads after the mint; the certificate is {flaw.value} now"):
            assert len(change.requests) == 0


def test_an_authority_of_its_own_is_trusted_in_every_attempt(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """A node's own authority is trusted in the second attempt, too."""
    authority = Authority()
    peer = cluster.peer(authority=authority, fault=in_turn(Answer(503), None))
    ca_file = authority.write(tmp_path / "ca-of-node-1.pem")
    relay.deploy(to=[relay.node(peer, ca_file=ca_file)], limits=THRICE)
    check.need(peer.uploads, "no upload reached the node with an authority of its own")
    connections = len(peer.connections)
    with check("TLS-02", "the uploads to a node with its own authority that fails the first"):
        check.need(len(peer.uploads) > 1 or connections > len(peer.requests), "no second attempt")
        assert len(peer.uploads) >= 2


def test_the_authority_of_a_node_is_read_again_for_each_deploy(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """A node's CA file that was replaced, at the same path, is read again for the next deploy."""
    ca_file = tmp_path / "ca-of-node-1.pem"
    old, new = Authority(), Authority()
    places = {"old": cluster.peer(authority=old), "new": cluster.peer(authority=new)}
    nodes = {place: relay.node(peer, ca_file=ca_file) for place, peer in places.items()}
    for place, authority in (("old", old), ("new", new)):
        authority.write(ca_file)
        before = {what: len(peer.requests) for what, peer in places.items()}
        relay.deploy(to=nodes.values())
        is_reached = len(places[place].requests) > before[place]
        for what, peer in places.items():
            is_trusted = what == place
            more = len(peer.requests) - before[what]
            seen = f"the requests to the node of the {what} authority, in a deploy with the {place}"
            with check("TLS-02" if is_trusted else "TLS-01", seen):
                check.need(is_trusted or is_reached, "the relay trusts neither authority (TLS-02)")
                expected = "some" if is_trusted else "none"
                assert (more > 0) == is_trusted, f"expected {expected}, got {more}"


# -- what the relay shows --------------------------------------------------------------------------


def at_localhost(relay: Relay, peer: FakePeer, **how: object) -> DeployNode:
    """The node of a peer on 127.0.0.1, by the name of that address."""
    return relay.node(peer, url=peer.url.replace("127.0.0.1", "localhost"), **how)


def nodes_of_each_posture(
    cluster: FakeCluster, relay: Relay, tmp_path: Path, *asked: Fault
) -> dict[str, DeployNode]:
    """A node on localhost for each way to trust it that the relay has; each fails twice.

    Their certificates are valid, so that verification is not what differs.
    """
    declared = relay.target.capabilities
    again = [in_turn(Answer(503), CloseWithoutAnswer(), None)] if "retry" in declared else []
    hows: dict[str, dict[str, object]] = {"a usual node": {}}
    if "insecure_node" in declared:
        hows["a node without verification"] = {"verify": False}
    if "node_ca" in declared:
        ca_file = Authority().write(tmp_path / "ca-of-a-node.pem")
        hows["a node with its own authority"] = {"ca_file": ca_file}
    if "mint.given" in declared:
        hows["a node with a given token"] = {}
    if "mint.replication" in declared:
        hows["a node with a socket"] = {}
    peers = [cluster.peer(host="127.0.0.1", fault=(*asked, *again)) for _ in hows]
    of = dict(zip(hows, peers, strict=True))
    if peer := of.get("a node with a given token"):
        hows["a node with a given token"] = {"mint": GivenToken(peer.tokens.issue(peer.username))}
    if peer := of.get("a node with a socket"):
        url = cluster.replication(peer).url
        hows["a node with a socket"] = {"mint": ReplicationMint(), "replication_url": url}
    return {
        what: at_localhost(relay, peer, **how)
        for peer, (what, how) in zip(peers, hows.items(), strict=True)
    }


def test_the_relays_certificate_is_shown_to_every_node_on_every_connection(
    cluster: FakeCluster, relay: Relay, check: Checks, client_certificate: Path, tmp_path: Path
) -> None:
    """The relay shows its certificate in each attempt, however the node is verified."""
    nodes = nodes_of_each_posture(cluster, relay, tmp_path, ClientCertificateRequired())
    limits = THRICE if "retry" in relay.target.capabilities else Limits()
    expired = in_turn(Answer.error(401, "token expired"), None)
    late = cluster.peer(fault=(ClientCertificateRequired(), expired))
    relay.deploy(
        to=[*nodes.values(), relay.node(late)],
        limits=limits,
        certificate_file=client_certificate,
        key_file=client_certificate,
    )
    for peer, what in zip(cluster.peers, [*nodes, "a node whose token expires"], strict=True):
        with check("KIT-03", f"the connections to {what} without a certificate of the relay"):
            check.need(handshakes(peer), f"{peer.name} saw no TLS handshake")
            assert sum(seen.client_certificate is None for seen in peer.connections) == 0
        if peer is late:
            continue  # a relay need not try again
        with check("TLS-03", f"the server names of the handshakes with {what} at localhost"):
            assert {seen.server_name for seen in peer.connections} == {"localhost"}
        with check("KIT-03", f"the uploads to {what} that requires a certificate"):
            unused = len(peer.connections) > len(peer.requests)
            made = len(peer.uploads) >= limits.attempts or unused
            check.need(made, f"not every attempt reached {peer.name}")
            assert len(peer.uploads) >= limits.attempts


def test_the_handshake_names_the_host_of_every_node_on_every_connection(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """The TLS handshake names the host in each attempt, however the node is verified."""
    nodes = nodes_of_each_posture(cluster, relay, tmp_path)
    limits = THRICE if "retry" in relay.target.capabilities else Limits()
    relay.deploy(to=nodes.values(), limits=limits)
    for peer, what in zip(cluster.peers, nodes, strict=True):
        with check("TLS-03", f"the server names of the handshakes with {what} at localhost"):
            check.need(handshakes(peer), f"{peer.name} saw no TLS handshake")
            assert {seen.server_name for seen in peer.connections} == {"localhost"}


def test_each_deploy_shows_the_certificate_that_it_was_given(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """A certificate that was replaced, at the same path, or taken away is not shown any more."""
    file, peer = tmp_path / "own.pem", cluster.peer(fault=ClientCertificateRequired())
    shown: list[set[bytes | None]] = []
    for own in (file, file, None):
        file.write_bytes(cluster.authority.client_certificate("origin.example"))
        before = len(peer.connections)
        relay.deploy(to=[peer], certificate_file=own, key_file=own)
        shown.append({seen.client_certificate for seen in peer.connections[before:]})
    check.need(all(shown) and None not in shown[0], "the first deploy showed no certificate")
    with check("KIT-03", "the certificate of a deploy after one with another certificate"):
        assert not shown[0] & shown[1], "expected the new one, got the old one"
    with check("KIT-03", "the certificate of a deploy that was given none"):
        assert shown[2] == {None}, "expected none, got one of the deploys before"


# -- whom it logs in as ----------------------------------------------------------------------------


def test_each_attempt_logs_in_as_the_user_of_its_node(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The second attempt mints as the user of the same node, although another node retries, too."""
    peers = [cluster.peer(fault=in_turn(Answer(503), None)) for _ in range(2)]
    relay.deploy(to=map(relay.minting, peers), limits=THRICE)
    for peer in peers:
        with check("MINT-11", f"the mints on {peer.name} without the login of its user"):
            check.need(len(peer.mints) > 1, f"{peer.name} saw no second mint")
            assert sum(mint.token is None for mint in peer.mints) == 0
        with check("SEQ-08", f"the tokens of the uploads to {peer.name}"):
            check.need(len(peer.uploads) > 1, f"{peer.name} saw no second upload")
            check.need(len(peer.mints) == len(peer.uploads), "mints and uploads are not as many")
            tokens = [mint.token for mint in peer.mints]
            same = [upload.token for upload in peer.uploads] == tokens
            assert same, "expected the token of the mint before each upload, got another one"

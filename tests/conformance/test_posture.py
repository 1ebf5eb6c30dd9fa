"""The trust of a node is the same in each attempt, beside any other node, with any authority."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_relay_kit.harness import (
    Answer,
    Authority,
    CertificateFlaw,
    ClientCertificateRequired,
    FakeCluster,
    FakePeer,
    ResetAtAccept,
    in_turn,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay

FLAWS = [
    CertificateFlaw.WRONG_AUTHORITY,
    CertificateFlaw.WRONG_ADDRESS,
    CertificateFlaw.EXPIRED,
    CertificateFlaw.SELF_SIGNED,
]
of_some_flaws = pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.value)


def handshakes(peer: FakePeer) -> int:
    """The connections on which the relay began a TLS handshake."""
    return sum(seen.has_spoken for seen in peer.connections)


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


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_verification_is_disabled_by_node_and_not_by_host(
    cluster: FakeCluster, relay: Relay, check: Checks, *, first: bool
) -> None:
    """A node on the host of another, on another port, has a verification of its own."""
    without, with_it = (
        cluster.peer(host="127.0.0.1", fault=CertificateFlaw.EXPIRED) for _ in range(2)
    )
    nodes = [relay.node(without, verify=False), relay.node(with_it)]
    relay.deploy(to=nodes if first else nodes[::-1])
    with check("TLS-01", "the uploads to the node whose verification is disabled"):
        assert len(without.uploads) >= 1
    with check("TLS-01", "the requests to a node with verification on the same host"):
        check.need(with_it.connections, f"no connection reached {with_it.name}")
        assert len(with_it.requests) == 0


@of_some_flaws
def test_a_node_with_its_own_authority_is_verified_like_any_other(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path, flaw: CertificateFlaw
) -> None:
    """An authority of its own does not replace the other checks of a node's certificate."""
    authority = Authority()
    peer = cluster.peer(authority=authority, fault=flaw)
    ca_file = authority.write(tmp_path / "ca-of-node-1.pem")
    relay.deploy(to=[relay.node(peer, ca_file=ca_file)])
    with check("TLS-01", f"the requests to a node with its own authority; {flaw.value}"):
        check.need(peer.connections, f"no connection reached {peer.name}")
        assert len(peer.requests) == 0


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
        assert len(peer.uploads) == 2


def test_the_relays_certificate_is_shown_to_a_node_with_its_own_authority(
    cluster: FakeCluster, relay: Relay, check: Checks, client_certificate: Path, tmp_path: Path
) -> None:
    """The relay shows its certificate also to a node with an authority of its own."""
    peer = cluster.peer(fault=ClientCertificateRequired())
    ca_file = Authority().write(tmp_path / "ca-of-node-1.pem")
    node = relay.node(peer, ca_file=ca_file)
    relay.deploy(to=[node], certificate_file=client_certificate, key_file=client_certificate)
    check_shown(check, peer, uploads=1)


def test_the_relays_certificate_is_shown_in_every_attempt(
    cluster: FakeCluster, relay: Relay, check: Checks, client_certificate: Path
) -> None:
    """The relay shows its certificate also in the second attempt."""
    peer = cluster.peer(fault=(ClientCertificateRequired(), in_turn(Answer(503), None)))
    relay.deploy(
        to=[peer],
        limits=THRICE,
        certificate_file=client_certificate,
        key_file=client_certificate,
    )
    check_shown(check, peer, uploads=2)


def check_shown(check: Checks, peer: FakePeer, uploads: int) -> None:
    """Look at the certificates that a peer was shown on all its connections."""
    with check("KIT-03", "the connections on which the relay shows no certificate"):
        check.need(handshakes(peer) >= uploads, f"{peer.name} saw {handshakes(peer)} handshakes")
        assert sum(seen.client_certificate is None for seen in peer.connections) == 0
    with check("KIT-03", "the uploads to a peer that requires a certificate"):
        assert len(peer.uploads) == uploads


def test_each_attempt_logs_in_as_the_user_of_its_node(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The second attempt mints as the user of the same node, although another node retries, too."""
    peers = [cluster.peer(fault=in_turn(Answer(503), None)) for _ in range(2)]
    relay.deploy(to=map(relay.minting, peers), limits=THRICE)
    for peer in peers:
        with check("MINT-08", f"the users of the mints on {peer.name}"):
            check.need(len(peer.mints) > 1, f"{peer.name} saw no second mint")
            assert {mint.body.get("username") for mint in peer.mints} == {peer.username}
        with check("SEQ-08", f"the tokens of the uploads to {peer.name}"):
            check.need(len(peer.uploads) > 1, f"{peer.name} saw no second upload")
            tokens = [mint.token for mint in peer.mints]
            same = [upload.token for upload in peer.uploads] == tokens
            assert same, "expected the token of the mint before each upload, got another one"

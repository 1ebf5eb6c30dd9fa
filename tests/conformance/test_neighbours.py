"""A node is verified as it says itself, whatever the nodes beside it say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness import Authority, CertificateFlaw, FakeCluster, TlsOnly
from deploy_relay_kit.harness.faults.kinds import TlsVersion
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import requests_for


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_verification_is_disabled_by_node_and_not_by_host(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path, *, first: bool
) -> None:
    """A node has a verification of its own beside any node whose verification is disabled.

    Such nodes are on one host, next to each other, and their names begin alike.
    """
    own = Authority()
    ca_file = own.write(tmp_path / "ca-of-some-nodes.pem")
    hows: dict[str, dict[str, Any]] = {"eu": {"verify": False}, "eu-1": {}, "e": {}, "EU": {}}
    if "node_ca" in relay.target.capabilities:
        with_authority = {"ca_file": ca_file}
        hows |= {
            "us": {"verify": False, **with_authority},
            "us-1": with_authority,
            "ap": {"verify": False},
            "ap-1": with_authority,
        }
    hows |= {"sa": {"verify": False}, "sa-1": {}}
    peers = {
        name: cluster.peer(
            name,
            host="127.0.0.1",
            fault=CertificateFlaw.EXPIRED,
            authority=own if "ca_file" in how else None,
        )
        for name, how in hows.items()
    }
    shared = cluster.peer(host="127.0.0.1", fault=CertificateFlaw.EXPIRED)
    urls = {path: f"{shared.url}{path}" for path in ("without", "with")}
    at_one_port = [
        relay.node(shared, name="one", url=urls["without"], verify=False),
        relay.node(shared, name="other", url=urls["with"]),
    ]
    unusable = relay.node(cluster.peer(), url="https://")
    nodes = [
        *at_one_port,
        unusable,
        *(relay.node(peers[name], **how) for name, how in hows.items()),
    ]
    relay.deploy(to=nodes if first else nodes[::-1])
    with check("TLS-01", "the requests to a verified node at the host and port of another"):
        check.need(requests_for(shared, "/without"), "no request reached the other node")
        assert len(requests_for(shared, "/with")) == 0
    for name, how in hows.items():
        peer = peers[name]
        if "verify" in how:
            with check("TLS-01", f"the uploads to {peer.name}, whose verification is disabled"):
                assert len(peer.uploads) >= 1
        else:
            with check("TLS-01", f"the requests to {peer.name}, which is verified, on this host"):
                check.need(peer.connections, f"no connection reached {peer.name}")
                assert len(peer.requests) == 0


@pytest.mark.parametrize(
    "flaw",
    [
        CertificateFlaw.WRONG_AUTHORITY,
        CertificateFlaw.WRONG_ADDRESS,
        CertificateFlaw.EXPIRED,
        CertificateFlaw.SELF_SIGNED,
    ],
    ids=lambda flaw: flaw.value,
)
def test_a_node_with_its_own_authority_is_verified_like_any_other(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path, flaw: CertificateFlaw
) -> None:
    """An authority of its own does not replace the other checks of a node's certificate."""
    authority = Authority()
    peer, usual = (cluster.peer(authority=authority, fault=fault) for fault in (flaw, None))
    ca_file = authority.write(tmp_path / "ca-of-node-1.pem")
    relay.deploy(to=[relay.node(it, ca_file=ca_file) for it in (peer, usual)])
    with check("TLS-01", f"the requests to a node with its own authority; {flaw.value}"):
        check.need(peer.connections and usual.requests, "its authority is not trusted (TLS-02)")
        assert len(peer.requests) == 0


def test_each_node_has_an_authority_of_its_own(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """Of several nodes with authorities of their own, each trusts its own and no other."""
    authorities = [Authority() for _ in range(3)]
    files = [it.write(tmp_path / f"ca-{at}.pem") for at, it in enumerate(authorities)]
    own, crossed = (
        [cluster.peer(authority=it, host="127.0.0.1") for it in authorities] for _ in range(2)
    )
    nodes = [relay.node(it, ca_file=file) for it, file in zip(own, files, strict=True)]
    others = [*files[1:], files[0]]
    nodes += [relay.node(it, ca_file=file) for it, file in zip(crossed, others, strict=True)]
    relay.deploy(to=nodes)
    for peer in own:
        with check("TLS-02", f"the requests to {peer.name}, whose own authority signs for it"):
            assert len(peer.requests) > 0
    for peer in crossed:
        with check("TLS-02", f"the requests to {peer.name}, signed by the authority of another"):
            check.need(peer.connections, f"no connection reached {peer.name}")
            assert len(peer.requests) == 0


def test_each_version_of_tls_is_spoken_to_a_node_however_it_is_verified(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """A node that speaks one version of TLS is reached, with an authority of its own or unverified.

    A relay makes the settings of such nodes in another place than those of a usual node.
    """
    declared, own = relay.target.capabilities, Authority()
    hows: dict[str, dict[str, Any]] = {}
    if "node_ca" in declared:
        hows["a node with its own authority"] = {"ca_file": own.write(tmp_path / "own.pem")}
    if "insecure_node" in declared:
        hows["a node without verification"] = {"verify": False}
    if not hows:
        relay.need("node_ca")
    versions: tuple[TlsVersion, ...] = ("1.2", "1.3")
    peers = {
        (what, version): cluster.peer(authority=own, fault=TlsOnly(version))
        for what in hows
        for version in versions
    }
    relay.deploy(to=[relay.node(it, **hows[what]) for (what, _), it in peers.items()])
    for what in hows:
        reached = [bool(peers[what, version].requests) for version in versions]
        for version, is_reached in zip(versions, reached, strict=True):
            with check("KIT-11", f"the requests to {what} that speaks TLS {version} alone"):
                check.need(any(reached), f"no request reached {what} with any version")
                assert is_reached, "expected some, got none"

"""When the relay connects without TLS: to this machine, or if the deploy allows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy_relay_kit.harness import (
    CertificateFlaw,
    CloseInHandshake,
    FakeCluster,
    FakePeer,
    FakeReplicationSocket,
    in_turn,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import (
    hosts,
    need_port,
    need_served,
    plain_connections,
)
from deploy_relay_kit.harness.targets import (
    DeployNode,
    GivenToken,
    Limits,
    LocalSettings,
    Outcome,
)

NO_LOOPBACK = "http://0.0.0.0:{port}/"
"""Not a loopback address, and yet this machine: no service has to listen on a network for it."""


def test_plain_http_to_another_machine_is_refused(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """Plain http to another machine is refused, also to a node that is trusted in another way."""
    need_served(relay, cluster.peer(tls=False))
    declared, hows = relay.target.capabilities, list[tuple[str, dict[str, Any]]]()
    hows += [("a URL", {})]
    hows += [("a URL with a scheme in capitals", {"url": NO_LOOPBACK.replace("http", "HTTP")})]
    if "insecure_node" in declared:
        hows += [("a URL of a node without verification", {"verify": False})]
    if "mint.given" in declared:
        hows += [("a URL of a node with a given token", {"mint": GivenToken("made-elsewhere")})]
    hows += [("a URL with a path", {"url": f"{NO_LOOPBACK}ops/?a=1"})]
    if "node_ca" in declared:
        own = cluster.authority.write(tmp_path / "ca-of-a-node.pem")
        hows += [("a URL of a node with its own authority", {"ca_file": own})]
    if "mint.replication" in declared:
        hows += [("a URL of a node with a replication socket", {})]
    for name in ("localhost", "127.0.0.1", "0.0.0.0"):
        hows += [(f"a URL of a node with the name {name}", {"name": name})]
    for what, how in hows:
        peer = cluster.peer(how.get("name"), tls=False, host="127.0.0.1")
        url = how.pop("url", NO_LOOPBACK).format(port=peer.http.port)
        node = relay.node(peer, url=url, **how)
        if "socket" in what:
            node = relay.minting_over(cluster.replication(peer, tls=True), peer, url=url)
        check_refused(check, relay, peer, node, what)
        if what == "a URL":  # the second of two nodes, too: a relay may look at one of them
            near = relay.node(cluster.peer(tls=False, host="127.0.0.1"))
            check_refused(check, relay, peer, node, "a URL beside one of this machine", before=near)


def check_refused(
    check: Checks,
    relay: Relay,
    peer: FakePeer,
    node: DeployNode,
    what: str,
    *,
    before: DeployNode | None = None,
    **how: Any,
) -> None:
    """Look at a deploy over plain http to another machine, maybe after another node."""
    outcome = relay.deploy(to=[node] if before is None else [before, node], **how)
    with check("TLS-06", f"the deploy over plain http to another machine, by {what}"):
        assert outcome.fails(peer), "expected a refusal or a failed record, got a success"
    with check("TLS-06", f"the connections to the peer, by {what}"):
        assert len(peer.connections) == 0


def test_plain_http_to_another_machine_is_refused_for_a_node_without_a_url(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Plain http to another machine is refused, also if the URL was built from parts."""
    peer = cluster.peer(tls=False, host="127.0.0.1")
    node = relay.minting(peer, url=None, host="0.0.0.0")
    local = LocalSettings(insecure_port=peer.http.port)
    check_refused(check, relay, peer, node, "a host", local=local)
    need_port(cluster, relay)


def test_plain_http_to_a_name_that_looks_like_this_machine_is_refused(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Plain http to what looks like this machine, or is near it, is refused.

    No such host exists, and nothing listens at such an address. A relay that takes it for this
    machine looks the name up or connects, and tries again.
    """
    peer = cluster.peer(tls=False)
    nodes = [
        relay.node(peer, name=f"node at {place}", url=url_at(place, "http"))
        for place in OTHER_MACHINES
    ]
    outcome = relay.deploy(to=nodes, limits=QUICKLY)
    need_served(relay, *(cluster.peer(tls=False) for _ in range(2)))
    check_attempts(check, outcome, nodes, "http")


def test_plain_ws_to_what_looks_like_this_machine_is_refused(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Plain ws to what looks like this machine, or is near it, is refused."""
    peer = cluster.peer()
    socket = cluster.replication(peer)
    nodes = [
        relay.minting_over(
            socket, peer, name=f"node at {place}", replication_url=url_at(place, "ws")
        )
        for place in OTHER_MACHINES
    ]
    outcome = relay.deploy(to=nodes, limits=QUICKLY)
    relay.deploy(to=[relay.minting_over(socket, peer)])
    check.need(socket.sockets, "the relay opened no socket with TLS either")
    check_attempts(check, outcome, nodes, "ws")


def check_attempts(
    check: Checks, outcome: Outcome, nodes: Sequence[DeployNode], scheme: str
) -> None:
    """Look at the attempts to reach each place, of which the first is surely another machine."""
    if outcome.refused is not None:
        with check("TLS-06", f"a deploy over plain {scheme} to other machines"):
            assert outcome.refused
        return
    records = {at: outcome[node] for at, node in zip(OTHER_MACHINES, nodes, strict=True)}
    attempts = {at: it.members.get("attempts", 1) for at, it in records.items()}
    for place in OTHER_MACHINES[1:]:
        with check("TLS-06", f"the attempts to reach {url_at(place, scheme)}"):
            other = attempts[OTHER_MACHINES[0]]
            check.need(other == 1, "the relay looks up every name before it refuses")
            assert attempts[place] == 1
            # Some networks answer for every address.
            answered = records[place].status_code
            assert answered is None, f"expected no answer, got one with the status {answered}"


def url_at(place: str, scheme: str) -> str:
    """A URL without TLS; a place that begins with a star has a scheme that begins in capitals."""
    if place.startswith("*"):
        return f"{scheme.capitalize()}://{place[1:]}/"
    return f"{scheme}://{place}/"


QUICKLY = Limits(connect=0.5, attempts=2, retry_delay=0.01)
DISCARD = 9
"""A port at which no machine has a service."""
OTHER_MACHINES = (
    f"node.invalid:{DISCARD}",
    f"*node.invalid:{DISCARD}",
    # Ports at which nodes, or services of this machine, often are.
    "node.invalid",
    *(f"node.invalid:{port}" for port in (80, 443, 3000, 8000, 8080, 9925, 9926, 9933)),
    *(
        f"{host}:{DISCARD}"
        for host in (
            # Names that resemble this machine's, or those of a local network.
            *("127.invalid", "127.0.0.1.invalid", "localhost.invalid"),
            *("no-host-named-localhost", "no-host-without-a-dot"),
            *("no-host.local", "no-host.internal", "no-host.lan"),
            # Addresses in networks that others share.
            *("10.255.255.254", "172.31.255.254", "192.168.255.254", "169.254.255.254"),
            *("100.127.255.254", "[fdff:ffff::fffe]", "[fe80::1]", "[::ffff:10.255.255.254]"),
        )
    ),
)


def test_plain_http_to_this_machine_is_used(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Plain http to an address of the loopback is no connection to another machine."""
    for host, address in hosts():
        peer = cluster.peer(tls=False, host=address)
        relay.deploy(to=[relay.node(peer, url=f"http://{host}:{peer.http.port}/")])
        with check("TLS-06", f"the uploads over plain http to {host}"):
            if not peer.connections:
                control = cluster.peer(host=address)
                relay.deploy(to=[relay.node(control, url=f"https://{host}:{control.http.port}/")])
                check.need(control.connections, f"the relay does not reach {host} either with TLS")
            assert len(peer.uploads) == 1


def test_plain_ws_to_this_machine_is_used(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Plain ws to an address of the loopback is no connection to another machine."""
    for host, address in hosts():
        peer = cluster.peer(host=address)
        socket, with_tls = (cluster.replication(peer, tls=tls) for tls in (False, True))
        url = f"ws://{host}:{socket.http.port}/"
        relay.deploy(to=[relay.minting_over(socket, peer, replication_url=url)])
        with check("TLS-06", f"the sockets over plain ws to {host}"):
            if not socket.connections:
                url = f"wss://{host}:{with_tls.http.port}/"
                relay.deploy(to=[relay.minting_over(with_tls, peer, replication_url=url)])
                check.need(with_tls.connections, f"the relay does not reach {host} with TLS either")
            assert len(socket.sockets) == 1


def test_plain_http_to_another_machine_is_used_if_the_deploy_allows_it(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Plain http to another machine is used if the deploy allows it, and not in the next one."""
    peer, later = (cluster.peer(tls=False, host="127.0.0.1") for _ in range(2))
    nodes = [relay.node(it, url=NO_LOOPBACK.format(port=it.http.port)) for it in (peer, later)]
    secure = cluster.peer(tls=False)
    https = relay.node(secure, url=secure.url.replace("http:", "https:"))
    relay.deploy(to=[nodes[0], https], allow_http=True)
    with check("TLS-06", "the uploads over plain http"):
        assert len(peer.uploads) >= 1
    with check("TLS-01", "the requests over plain http to a node whose URL has https"):
        check.need(peer.uploads, "plain http is not used (TLS-06)")
        assert len([*secure.mints, *secure.uploads]) == 0
    check_refused(check, relay, later, nodes[1], "a URL in the deploy after it")


def test_certificates_are_verified_where_plain_http_is_allowed(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A deploy that allows plain http does not allow a flawed certificate."""
    flaws = (CertificateFlaw.EXPIRED, CertificateFlaw.WRONG_ADDRESS)
    served: list[FakePeer | FakeReplicationSocket] = [cluster.peer(fault=flaw) for flaw in flaws]
    nodes = [relay.node(peer) for peer in cluster.peers]
    if "mint.replication" in relay.target.capabilities:
        for flaw in flaws:
            peer = cluster.peer()
            served.append(cluster.replication(peer, fault=flaw))
            nodes.append(relay.minting_over(cluster.sockets[-1], peer))
    relay.deploy(to=nodes, allow_http=True)
    for at, flaw in zip(served, flaws * 2, strict=False):
        with check("TLS-01", f"the requests to {at.url} whose certificate is {flaw.value}"):
            check.need(at.connections, f"no connection reached {at.url}")
            assert len(at.requests) == 0


def test_a_handshake_that_failed_is_not_followed_by_a_connection_without_tls(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """After a handshake that failed the relay does not try the port without TLS."""
    peer, plain = cluster.peer(fault=in_turn(CloseInHandshake(), None)), cluster.peer(tls=False)
    https = relay.node(plain, url=plain.url.replace("http:", "https:"))
    relay.deploy(to=[relay.node(peer), https])
    check.need(peer.connections, f"no connection reached {peer.name}")
    with check("TLS-01", "the connections without TLS to a port with TLS"):
        assert plain_connections(peer) == 0
    with check("TLS-01", "the requests over plain http to a node whose URL has https"):
        assert len([*plain.mints, *plain.uploads]) == 0

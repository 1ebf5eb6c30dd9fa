"""Where the upload goes when a node has no URL: its parts, and the origin's own settings."""

from __future__ import annotations

import contextlib

import pytest
from msgspec.structs import replace

from deploy_relay_kit.harness import FakeCluster, FakePeer, ResetAtAccept
from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_port
from deploy_relay_kit.harness.targets import LocalSettings


def test_the_url_of_a_node_wins_over_its_parts(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A node's own URL wins over its host, its port and the origin's settings."""
    peer, other = cluster.peer(), cluster.peer(fault=ResetAtAccept())
    node = relay.node(peer, host=other.http.host, port=other.http.port)
    relay.deploy(to=[node], local=LocalSettings(secure_port=other.http.port))
    with check("URL-01", "the uploads to the node's URL"):
        assert len(peer.uploads) >= 1
    with check("URL-01", "the connections to the node's parts"):
        check.need(peer.uploads or other.connections, "no upload reached the node")
        assert len(other.connections) == 0


@pytest.mark.parametrize("form", ["{port}", "0.0.0.0:{port}", "[::]:{port}"])
def test_a_node_of_no_port_is_at_the_secure_port_of_the_origin(
    cluster: FakeCluster, relay: Relay, check: Checks, form: str
) -> None:
    """A node without a port is at the origin's secure port, which may be written host:port."""
    peer = cluster.peer()
    node = relay.node(peer, url=None, host=peer.http.host)
    settings = LocalSettings(secure_port=form.format(port=peer.http.port), insecure_port=9)
    relay.deploy(to=[node], local=settings)
    with check("URL-03" if form == "{port}" else "URL-10", "the uploads to the secure port"):
        assert len(peer.uploads) >= 1


def test_without_a_secure_port_plain_http_is_used_at_the_insecure_port(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Without a secure port of the origin, the scheme is http and the port the insecure one."""
    peers = {"any insecure port": cluster.peer(tls=False)}
    peers["an insecure port that ends in 443"] = at_a_secure_looking_port(cluster.peer(tls=False))
    for what, peer in peers.items():
        node = relay.node(peer, url=None, host=peer.http.host)
        # The secure port of replication is not that of the operations API.
        settings = LocalSettings(insecure_port=peer.http.port, secure_replication_port=9)
        relay.deploy(to=[node], local=settings)
        with check("URL-02", f"the uploads by plain http to {what}"):
            check.need(peer.connections, "no connection reached the insecure port (URL-03)")
            assert len(peer.uploads) >= 1
        with check("URL-03", f"the connections to {what}"):
            if not (reached := len(peer.connections)):
                relay.deploy(to=[peer])
                check.need(peer.connections, "plain http is not used at the URL of a node either")
            assert reached > 0


def at_a_secure_looking_port(peer: FakePeer) -> FakePeer:
    """Move a peer to a free port whose number ends in 443."""
    peer.stop()
    for port in range(8443, 65_000, 1000):
        peer.http.port = port
        with contextlib.suppress(OSError):
            return peer.start()
    raise Unseen("no port that ends in 443 is free")


def test_the_scheme_follows_the_ports_of_the_origin_and_not_that_of_the_node(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """An origin with a secure port uses https, also at a port that is its own insecure one."""
    peer = cluster.peer()
    port = peer.http.port
    node = relay.node(peer, url=None, host=peer.http.host, port=port)
    relay.deploy(to=[node], local=LocalSettings(secure_port=9, insecure_port=9))
    check.need(peer.uploads, "no upload reached the port of the node (URL-03)")
    before = len(peer.uploads)
    relay.deploy(to=[node], local=LocalSettings(secure_port=9, insecure_port=port))
    with check("URL-02", "the uploads by https to a node at the insecure port of the origin"):
        assert len(peer.uploads) > before, "expected one more, got none"


@pytest.mark.parametrize("form", ["{port}", "0.0.0.0:{port}", "node-1:{port}", "[::]:{port}"])
def test_the_port_of_a_node_wins_over_those_of_the_origin(
    cluster: FakeCluster, relay: Relay, check: Checks, form: str
) -> None:
    """A node's own port wins over the origin's, and may be written host:port."""
    peer = cluster.peer()
    port = form.format(port=peer.http.port)
    node = relay.node(peer, url=None, host=peer.http.host, port=port)
    relay.deploy(to=[node], local=LocalSettings(secure_port=9, insecure_port=9))
    with check("URL-03" if form == "{port}" else "URL-10", "the uploads to the node's port"):
        if not peer.uploads and form != "{port}":
            need_port(cluster, relay)
        assert len(peer.uploads) >= 1


def test_the_host_of_a_replication_url_is_used_and_its_port_is_not(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The host of the replication URL is used for the operations API, its port is not."""
    peer = cluster.peer()
    other = cluster.peer(host=peer.http.host, fault=ResetAtAccept())
    node = relay.node(
        peer,
        url=None,
        port=peer.http.port,
        mint=relay.minting(peer).mint,
        replication_url=f"wss://{peer.http.host}:{other.http.port}",
    )
    relay.deploy(to=[node])
    with check("URL-05", "the connections to the port of the replication URL"):
        check.need(peer.uploads or other.connections, "no upload reached the node")
        assert len(other.connections) == 0
    with check("URL-04", "the uploads to the host of the replication URL"):
        check.need(not other.connections, "the port of the replication URL was used (URL-05)")
        if not peer.uploads:
            need_port(cluster, relay)
        assert len(peer.uploads) >= 1
    local, uploads = LocalSettings(secure_port=peer.http.port), len(peer.uploads)
    relay.deploy(to=[replace(node, port=None)], local=local)
    with check("URL-05", "the connections to that port, if the node names no other"):
        check.need(len(peer.uploads) > uploads or other.connections, "no upload reached the node")
        assert len(other.connections) == 0


def test_the_host_of_a_node_wins_over_its_replication_url_and_its_name(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A node's own host wins over the host of its replication URL and over its name."""
    peer = cluster.peer("127.9.9.9")
    node = relay.node(
        peer,
        url=None,
        host=peer.http.host,
        port=peer.http.port,
        mint=relay.minting(peer).mint,
        replication_url=f"wss://127.9.9.9:{peer.http.port}",
    )
    relay.deploy(to=[node], local=LocalSettings(secure_port=peer.http.port))
    with check("URL-04", "the uploads to the node's host"):
        if not peer.uploads:
            need_port(cluster, relay)
        assert len(peer.uploads) >= 1


@pytest.mark.parametrize("form", ["{host}", "{host}:9933"])
@pytest.mark.parametrize("replication_url", [None, "not a url"])
def test_the_name_of_a_node_without_its_port_is_its_host(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    form: str,
    replication_url: str | None,
) -> None:
    """A node's name without its port is the host when nothing else names one."""
    host = cluster.peer().http.host
    peer = cluster.peer(form.format(host=host), host=host)
    node = relay.node(
        peer,
        url=None,
        port=peer.http.port,
        mint=relay.minting(peer).mint,
        replication_url=replication_url,
    )
    relay.deploy(to=[node])
    with check("URL-04", f"the uploads to the node {peer.name}"):
        if not peer.uploads:
            need_port(cluster, relay)
        assert len(peer.uploads) >= 1


def test_the_port_in_the_name_of_a_node_is_not_that_of_its_operations_api(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A port in a name is that of replication; the operations API is at the origin's own port."""
    host = cluster.peer().http.host
    peer = cluster.peer(f"{host}:9", host=host)
    node = relay.node(peer, url=None, mint=relay.minting(peer).mint)
    relay.deploy(to=[node], local=LocalSettings(secure_port=peer.http.port))
    with check("URL-03", f"the uploads to the node {peer.name}, at the secure port of the origin"):
        assert len(peer.uploads) >= 1

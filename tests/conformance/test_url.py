"""Where the upload goes: a node's URL, or one put together; proxies in front of nodes."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from harness.cluster import FakeCluster
from harness.faults.kinds import Refuse
from harness.fronts.nginx import NginxFront, nginx_available
from harness.judge.relay import Relay
from harness.peer.payloads import Payload
from harness.targets import LocalSettings

requirement = pytest.mark.requirement


@requirement("URL-08")
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/ops/", "/ops", "/a/b/ops/?site=eu&x=1", "/?x=%2F%20y", "/a%2Fb%20c/"),
        *("/a/../b/./c//d/", "/~a/%7Eb/", "/?x=&y&x=2&z=%20+"),
    ],
)
def test_the_path_and_query_of_the_operations_api_url_are_kept(
    cluster: FakeCluster, relay: Relay, path: str
) -> None:
    peer = cluster.peer(path=path)
    outcome = relay.deploy(to=[peer])
    assert outcome[peer].status == "success"
    assert peer.upload.target == path


@requirement("URL-08")
@pytest.mark.parametrize("query", ["", "?site=eu"])
def test_a_url_without_a_path_means_the_root(
    cluster: FakeCluster, relay: Relay, query: str
) -> None:
    """RFC 9112 section 3.2.1: an empty path is sent as a slash."""
    peer = cluster.peer()
    node = relay.node(peer, url=f"{peer.url.rstrip('/')}{query}")
    assert relay.deploy(to=[node])[peer].status == "success"
    assert peer.upload.target == f"/{query}"


@requirement("URL-08")
def test_the_scheme_of_a_url_may_be_in_capitals(cluster: FakeCluster, relay: Relay) -> None:
    """RFC 3986 section 3.1."""
    peer = cluster.peer()
    node = relay.node(peer, url=peer.url.replace("https", "HTTPS"))
    assert relay.deploy(to=[node])[peer].status == "success"


@requirement("HTTP-01", "URL-08")
def test_the_fragment_of_a_url_is_sent_to_nobody(cluster: FakeCluster, relay: Relay) -> None:
    """RFC 9110 section 4.2.5; to refuse the URL is as good."""
    peer = cluster.peer(path="/?site=eu")
    outcome = relay.deploy(to=[relay.node(peer, url=f"{peer.url}#part")])
    assert {request.target for request in peer.requests} <= {peer.path}
    assert peer.uploads or outcome[peer].status == "failed"


@requirement("URL-08")
def test_the_mint_goes_to_the_same_path_and_query(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer(path="/a/b/ops/?site=eu&x=1")
    relay.deploy(to=[relay.minting(peer)])
    assert [mint.target for mint in peer.mints] == [peer.path]


@requirement("URL-08", "FLD-08")
@pytest.mark.parametrize("path", ["/", "/?site=eu"])
def test_a_node_behind_a_path_prefix_proxy_is_reached(
    cluster: FakeCluster, relay: Relay, payload: Payload, path: str
) -> None:
    peer = cluster.peer(path=path)
    proxy = cluster.proxy(peer, prefix="/node-1/ops")
    outcome = relay.deploy(to=[proxy])
    assert outcome[proxy].status == "success"
    assert set(proxy.paths) == {f"/node-1/ops{path}"}
    assert peer.upload.file is not None
    assert peer.upload.file.sha256 == payload.sha256


@requirement("URL-08", "FLD-08", "WIRE-13")
@pytest.mark.skipif(not nginx_available(), reason="there is no nginx on this machine")
def test_a_node_behind_nginx_is_reached(
    cluster: FakeCluster, relay: Relay, payload: Payload
) -> None:
    peer = cluster.peer(path="/?site=eu")
    with NginxFront(cluster.authority, peer, "/node-1/ops") as front:
        outcome = relay.deploy(to=[front])
    assert outcome[front].status == "success"
    assert peer.upload.target == "/?site=eu"
    assert peer.upload.complete
    assert peer.upload.file is not None
    assert peer.upload.file.sha256 == payload.sha256


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@requirement("URL-09", "TLS-03")
@pytest.mark.skipif(not _has_ipv6(), reason="there is no ::1 on this machine")
@pytest.mark.parametrize("put_together", [False, True])
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_a_node_at_an_ipv6_address_is_reached(
    cluster: FakeCluster, relay: Relay, host: str, *, put_together: bool
) -> None:
    peer = cluster.peer(host="::1")
    port = peer.http.port
    where: dict[str, Any] = {"url": f"https://[::1]:{port}/"}
    if put_together:
        where = {"url": None, "host": host, "port": port}
    outcome = relay.deploy(to=[relay.node(peer, **where)])
    assert outcome[peer].status == "success"
    assert peer.upload.header("host") in {f"[::1]:{port}", "[::1]"}  # the port: HTTP-02
    assert {seen.server_name for seen in peer.connections} == {None}


@requirement("URL-04", "URL-09")
@pytest.mark.skipif(not _has_ipv6(), reason="there is no ::1 on this machine")
@pytest.mark.parametrize(
    ("name", "replication_url"),
    [("::1", None), ("[::1]", None), ("[::1]:9933", None), ("node-1", "wss://[::1]:9933")],
)
def test_an_ipv6_address_may_stand_in_a_name_or_a_replication_url(
    cluster: FakeCluster, relay: Relay, name: str, replication_url: str | None
) -> None:
    peer = cluster.peer(name, host="::1")
    node = relay.node(peer, url=None, port=peer.http.port, replication_url=replication_url)
    assert relay.deploy(to=[node])[peer].status == "success"


@requirement("URL-01")
def test_the_url_of_a_node_wins_over_its_parts(cluster: FakeCluster, relay: Relay) -> None:
    peer, other = cluster.peer(), cluster.peer()
    node = relay.node(peer, host=other.http.host, port=other.http.port)
    settings = LocalSettings(secure_port=other.http.port)
    assert relay.deploy(to=[node], local=settings)[peer].status == "success"
    assert other.connections == []


@requirement("URL-02", "URL-03")
@pytest.mark.parametrize("form", ["{port}", "0.0.0.0:{port}", "[::]:{port}"])
def test_a_node_of_no_port_is_at_the_secure_port_of_the_origin(
    cluster: FakeCluster, relay: Relay, form: str
) -> None:
    peer = cluster.peer()
    node = relay.node(peer, url=None, host=peer.http.host)
    settings = LocalSettings(secure_port=form.format(port=peer.http.port), insecure_port=9)
    assert relay.deploy(to=[node], local=settings)[peer].status == "success"
    assert peer.upload.target == "/"


@requirement("URL-02", "URL-03")
def test_without_a_secure_port_plain_http_at_the_insecure_port_is_meant(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer(tls=False)
    node = relay.node(peer, url=None, host=peer.http.host)
    settings = LocalSettings(secure_port=None, insecure_port=peer.http.port)
    assert relay.deploy(to=[node], local=settings)[peer].status == "success"
    assert {seen.tls_version for seen in peer.connections if seen.requests} == {None}


@requirement("URL-03", "URL-10")
@pytest.mark.parametrize("form", ["{port}", "0.0.0.0:{port}", "node-1:{port}", "[::]:{port}"])
def test_the_port_of_a_node_wins_over_those_of_the_origin(
    cluster: FakeCluster, relay: Relay, form: str
) -> None:
    peer = cluster.peer()
    port = form.format(port=peer.http.port)
    node = relay.node(peer, url=None, host=peer.http.host, port=port)
    settings = LocalSettings(secure_port=9, insecure_port=9)
    assert relay.deploy(to=[node], local=settings)[peer].status == "success"


@requirement("URL-04", "URL-05")
def test_the_host_of_a_replication_url_is_used_and_its_port_is_not(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer, other = cluster.peer(), cluster.peer()
    replication_url = f"wss://{peer.http.host}:{other.http.port}"
    node = relay.node(peer, url=None, port=peer.http.port, replication_url=replication_url)
    assert relay.deploy(to=[node])[peer].status == "success"
    assert other.connections == []


@requirement("URL-04")
def test_the_host_of_a_node_wins_over_its_replication_url_and_its_name(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer("127.9.9.9")
    node = relay.node(
        peer,
        url=None,
        host=peer.http.host,
        port=peer.http.port,
        replication_url="wss://127.9.9.9:9933",
    )
    assert relay.deploy(to=[node])[peer].status == "success"


@requirement("URL-04")
@pytest.mark.parametrize("form", ["{host}", "{host}:9933"])
@pytest.mark.parametrize("replication_url", [None, "not a url"])
def test_the_name_of_a_node_without_its_port_is_its_host(
    cluster: FakeCluster, relay: Relay, form: str, replication_url: str | None
) -> None:
    host = cluster.peer().http.host
    peer = cluster.peer(form.format(host=host), host=host)
    node = relay.node(peer, url=None, port=peer.http.port, replication_url=replication_url)
    assert relay.deploy(to=[node])[peer].status == "success"


@requirement("SEQ-07", "AGG-02", "AGG-04")
@pytest.mark.parametrize(
    "url",
    ["no url at all", "https://", "ftp://127.0.0.1/", "https://127.0.0.1:port/", "https://[::1/"],
)
def test_an_unusable_url_costs_its_own_node_and_mints_nothing(
    cluster: FakeCluster, relay: Relay, url: str
) -> None:
    healthy, lost = cluster.peer(), cluster.peer()
    outcome = relay.deploy(to=[relay.node(lost, url=url), healthy])
    assert outcome[lost].status == "failed"
    assert outcome[lost].reason
    assert lost.connections == []
    assert outcome[healthy].status == "success"


WITH_CREDENTIALS = "https://alice:open-sesame@"


@requirement("KIT-05")
def test_credentials_in_a_url_are_sent_to_nobody(cluster: FakeCluster, relay: Relay) -> None:
    """Whether the URL is refused or used without them is up to the relay."""
    peer = cluster.peer()
    url = peer.url.replace("https://", WITH_CREDENTIALS)
    relay.deploy(to=[relay.node(peer, url=url)])
    heads = b"".join(request.raw_head for request in peer.requests)
    assert b"open-sesame" not in heads
    assert b"YWxpY2U6b3Blbi1zZXNhbWU" not in heads  # the same, as Basic sends it


@requirement("BUG-41", "KIT-05")
def test_a_password_in_a_url_stands_in_no_record(
    cluster: FakeCluster, relay: Relay, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where nobody listens, the reason may well name the URL."""
    peer = cluster.peer(fault=Refuse())
    url = peer.url.replace("https://", WITH_CREDENTIALS)
    outcome = relay.deploy(to=[relay.node(peer, url=url)])
    assert "open-sesame" not in f"{outcome}{relay.target.output}{''.join(capfd.readouterr())}"

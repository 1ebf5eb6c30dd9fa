"""Where the upload goes when a node has a URL; proxies before nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploy_relay_kit.harness import FakeCluster, Payload, Refuse
from deploy_relay_kit.harness.fronts.nginx import NginxFront
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import (
    look_at_neighbour,
    need_port,
    need_records_of_failures,
    need_served,
    need_upload,
)
from deploy_relay_kit.harness.peer.addresses import has_ipv6


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/ops/", "/ops", "/a/b/ops/?site=eu&x=1", "/?x=%2F%20y", "/a%2Fb%20c/"),
        *("/a/../b/./c//d/", "/~a/%7Eb/", "/?x=&y&x=2&z=%20+"),
    ],
)
def test_the_path_and_query_of_the_operations_api_url_are_kept(
    cluster: FakeCluster, relay: Relay, check: Checks, path: str
) -> None:
    """The path and the query of the operations API's URL reach the peer unchanged."""
    peer = cluster.peer(path=path)
    relay.deploy(to=[peer])
    with check("URL-08", "the target of every request"):
        assert {request.target for request in peer.requests} == {path}


@pytest.mark.parametrize("query", ["", "?site=eu"])
def test_a_url_without_a_path_means_the_root(
    cluster: FakeCluster, relay: Relay, check: Checks, query: str
) -> None:
    """A URL without a path is requested as a slash (RFC 9112 section 3.2.1)."""
    peer = cluster.peer()
    relay.deploy(to=[relay.node(peer, url=f"{peer.url.rstrip('/')}{query}")])
    with check("URL-08", "the target of every request"):
        assert {request.target for request in peer.requests} == {f"/{query}"}


def test_the_scheme_of_a_url_may_be_in_capitals(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The scheme of a URL may be in capitals (RFC 3986 section 3.1)."""
    peer = cluster.peer()
    relay.deploy(to=[relay.node(peer, url=peer.url.replace("https", "HTTPS"))])
    with check("URL-08", "the uploads to HTTPS://"):
        assert len(peer.uploads) >= 1


def test_the_fragment_of_a_url_is_sent_to_nobody(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The fragment of a URL is not sent (RFC 9110 section 4.2.5); refusing the URL is as good."""
    fragments = {"#part": "/?site=eu", "#a?part=1": "/ops/", "#/../part?#part": "/ops"}
    peers = {fragment: cluster.peer(path=path) for fragment, path in fragments.items()}
    outcome = relay.deploy(to=[relay.node(it, url=it.url + end) for end, it in peers.items()])
    need_served(relay, *(cluster.peer(path=path) for path in fragments.values()))
    for fragment, peer in peers.items():
        with check("HTTP-01", f"the targets of the requests that have the fragment {fragment}"):
            assert [it.target for it in peer.requests if "part" in it.target] == []
        with check("URL-08", f"a node whose URL has the fragment {fragment}"):
            refused = outcome[peer].status == "failed"
            assert peer.uploads or refused, "expected an upload or a failed record, got neither"


def test_the_mint_goes_to_the_same_path_and_query(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The mint goes to the path and query of the operations API's URL."""
    peer = cluster.peer(path="/a/b/ops/?site=eu&x=1")
    relay.deploy(to=[relay.minting(peer)])
    with check("URL-08", "the target of the mint"):
        assert {request.target for request in peer.requests} == {peer.path}


@pytest.mark.parametrize("path", ["/", "/?site=eu"])
def test_a_node_behind_a_path_prefix_proxy_is_reached(
    cluster: FakeCluster, relay: Relay, check: Checks, path: str
) -> None:
    """A node behind a path-prefix proxy is reached under the prefix."""
    peer = cluster.peer(path=path)
    proxy = cluster.proxy(peer, prefix="/node-1/ops")
    relay.deploy(to=[proxy])
    with check("URL-08", "the target of every request to the proxy"):
        assert set(proxy.paths) == {f"/node-1/ops{path}"}


@pytest.mark.skipif(not NginxFront.is_available(), reason="there is no nginx on this machine")
def test_a_node_behind_nginx_is_reached(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload
) -> None:
    """A node behind nginx is reached under the prefix, with the whole payload."""
    peer = cluster.peer(path="/?site=eu")
    with NginxFront(cluster.authority, peer, "/node-1/ops") as front:
        relay.deploy(to=[front])
    with check("URL-08", "the target of the upload behind nginx"):
        assert peer.upload.target == "/?site=eu"
    with check("FLD-08", "the SHA-256 of the payload behind nginx"):
        check.need(peer.upload.file, "no file came through nginx")
        assert getattr(peer.upload.file, "sha256", None) == payload.sha256


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="there is no ::1 on this machine")


@needs_ipv6
@pytest.mark.parametrize("from_parts", [False, True])
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_a_node_at_an_ipv6_address_is_reached(
    cluster: FakeCluster, relay: Relay, check: Checks, host: str, *, from_parts: bool
) -> None:
    """A node at an IPv6 address is reached, and the handshake names no host."""
    peer = cluster.peer(host="::1")
    port = peer.http.port
    where: dict[str, Any] = {"url": f"https://[::1]:{port}/"}
    if from_parts:
        where = {"url": None, "host": host, "port": port}
    relay.deploy(to=[relay.node(peer, **where)])
    with check("URL-09", "the uploads to [::1]"):
        if from_parts and not peer.uploads:
            need_port(cluster, relay)
        assert len(peer.uploads) >= 1
    with check("URL-09", "the Host of the upload"):
        assert peer.upload.header("host") in (f"[::1]:{port}", "[::1]")  # the port: HTTP-02
    with check("TLS-03", "the server name of the handshake"):
        assert peer.upload.connection.server_name is None


@needs_ipv6
@pytest.mark.parametrize(
    ("name", "replication_url"),
    [("::1", None), ("[::1]", None), ("[::1]:9933", None), ("node-1", "wss://[::1]:9933")],
)
def test_an_ipv6_address_may_stand_in_a_name_or_a_replication_url(
    cluster: FakeCluster, relay: Relay, check: Checks, name: str, replication_url: str | None
) -> None:
    """An IPv6 address is read from a node's name and from its replication URL."""
    peer = cluster.peer(name, host="::1")
    node = relay.node(
        peer,
        url=None,
        port=peer.http.port,
        mint=relay.minting(peer).mint,
        replication_url=replication_url,
    )
    relay.deploy(to=[node])
    with check("URL-09", f"the uploads to the node {name}"):
        if not peer.uploads:
            need_port(cluster, relay)
        assert len(peer.uploads) >= 1


@pytest.mark.parametrize(
    "url",
    ["no url at all", "https://", "ftp://127.0.0.1/", "https://127.0.0.1:port/", "https://[::1/"],
)
def test_an_unusable_url_costs_its_own_node_and_mints_nothing(
    cluster: FakeCluster, relay: Relay, check: Checks, url: str
) -> None:
    """An unusable URL is a failed record of its node, and nothing is minted for it."""
    healthy, lost = cluster.peer(), cluster.peer()
    outcome = relay.deploy(to=[relay.node(lost, url=url), healthy])
    with check("SEQ-07", "the outcome of the deploy"):
        if outcome.refused is not None:
            need_records_of_failures(cluster, relay)
        assert outcome.refused is None, f"expected records, got a refusal: {outcome.refused}"
    connections = len(lost.connections)
    if not connections:  # else no control is needed
        need_served(relay, lost, healthy)
    with check("SEQ-07", "the status of the record"):
        assert outcome[lost].status == "failed"
    with check("SEQ-07", "the connections to the node"):
        assert connections == 0
    look_at_neighbour(check, relay, outcome, healthy)


WITH_CREDENTIALS = "https://alice:open-sesame@"
IN_PASSWORDS = ("", " ", "\x01", "é", "[", ":", "@", "\\", '"')
BEGINNINGS = [
    *(f"https://alice:of-ali-baba{it}open-sesame{it}@" for it in IN_PASSWORDS),
    *("ftp://alice:open-sesame@", "alice:open-sesame@", "//alice:open-sesame@"),
    *("https:alice:open-sesame@", "https:///alice:open-sesame@", "HTTPS://alice:open-sesame@["),
    "https://alice:%6Fpen%2Dsesame@",
]
"""Beginnings of URLs with a password, most of which are no URLs."""
SHOWN_PASSWORDS = ("open-sesame", "pen%2Dsesame", "YWxpY2U6b3Blbi1zZXNhbWU")
"""As it is, as in the URL, and as Basic sends it."""

IN_PART = {
    "https://alice@": "Basic YWxpY2U6",
    "https://alice:@": "Basic YWxpY2U6",
    "https://:open-sesame@": "Basic Om9wZW4tc2VzYW1l",
}
"""Beginnings of URLs with a user name or a password alone, each with what Basic sends of it."""


def test_credentials_in_a_url_are_sent_to_nobody(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A user name and password in a URL are not sent; refusing the URL is as good."""
    need_upload(cluster, relay, {})
    for begin in (WITH_CREDENTIALS, *IN_PART):
        peer = cluster.peer()
        relay.deploy(to=[relay.node(peer, url=peer.url.replace("https://", begin))])
        seen = [*peer.http.connections]
        if "mint.replication" in relay.target.capabilities:
            socket = cluster.replication(peer)
            url = socket.url.replace("wss://", begin.replace("https", "wss"))
            relay.deploy(to=[relay.minting_over(socket, peer, replication_url=url)])
            seen += socket.http.connections
        heads = b"".join(request.raw_head for it in seen for request in it.requests)
        for form in (*SHOWN_PASSWORDS, IN_PART.get(begin, "alice")):
            with check("KIT-05", f"the heads of the requests to {begin}"):
                is_sent = form.encode() in heads
                assert not is_sent, f"expected nothing of the credentials, got {form} in a head"


def test_a_password_in_a_url_stands_in_no_record(
    cluster: FakeCluster, relay: Relay, check: Checks, capfd: pytest.CaptureFixture[str]
) -> None:
    """A password in a URL stands in no record and no output, although the reason names the URL."""
    peer = cluster.peer(fault=Refuse())
    need_upload(cluster, relay, {})
    texts = {}
    for begin in (WITH_CREDENTIALS, *BEGINNINGS):
        url = peer.url.replace("https://", begin)
        place = f"the record of a node with a URL that begins {json.dumps(begin)}"
        texts[place] = str(relay.deploy(to=[relay.node(peer, url=url)]))
    if "mint.replication" in relay.target.capabilities:
        socket = cluster.replication(peer)
        for begin in (WITH_CREDENTIALS, *BEGINNINGS[::5]):
            url = socket.url.replace("wss://", begin.lower().replace("https", "wss"))
            node = relay.minting_over(socket, peer, replication_url=url)
            place = f"the record of a node with a socket that begins {json.dumps(begin)}"
            texts[place] = str(relay.deploy(to=[node]))
    texts["the output of the relay"] = f"{relay.output}{''.join(capfd.readouterr())}"
    for place, text in texts.items():
        with check("BUG-41", place):
            found = any(form in text for form in SHOWN_PASSWORDS)
            assert not found, "expected no password of the URL, got it in this text"

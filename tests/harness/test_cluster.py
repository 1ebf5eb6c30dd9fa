"""A fake cluster as a whole."""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.kinds import ResetAfter
from deploy_relay_kit.harness.peer.addresses import loopback_address
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.witness.clock import now
from tests.harness.uploading import answer_to_upload
from tests.rawclient import RawClient, chunked, mint, mint_request, upload_body, upload_head
from tests.websocketclient import BINARY, REQUEST, masked, opened


def test_nodes_have_addresses_of_their_own_where_the_system_has_them(cluster: FakeCluster) -> None:
    hosts = {cluster.peer().http.host for _ in range(3)}
    assert len(hosts) == (3 if sys.platform == "linux" else 1)


def test_a_number_of_nodes_is_none_below_zero() -> None:
    with pytest.raises(ValueError, match="peers must be an integer of 0 or more, not -1"):
        FakeCluster(-1)


def test_a_node_without_tls_serves_plain_http(cluster: FakeCluster) -> None:
    peer = cluster.peer(tls=False)
    with RawClient(peer.url) as client:
        client.send(mint_request(peer))
        assert client.read_answer().status == 200
    assert peer.url.startswith("http://")
    assert [seen.tls_version for seen in peer.connections] == [None]


def test_addresses_stay_on_the_loopback_and_differ() -> None:
    addresses = [loopback_address(number) for number in range(1, 1001)]
    assert all(address.startswith("127.") for address in addresses)
    if sys.platform == "linux":
        assert len(set(addresses)) == 1000


def test_the_description_is_json_and_enough_to_deploy(cluster: FakeCluster) -> None:
    peer = cluster.peer("node-b", path="/ops/")
    described = json.loads(json.dumps(cluster.describe()))
    [node] = described["nodes"]
    assert (node["name"], node["url"]) == ("node-b", peer.url)
    assert Path(described["ca_file"]).read_bytes() == cluster.authority.pem


def test_sockets_and_fronts_are_described_and_their_sight_is_told(cluster: FakeCluster) -> None:
    peer, plain = cluster.peer(), cluster.peer()
    front = cluster.proxy(peer, "/ops")
    at = cluster.replication(peer)
    described, alone = cluster.describe()["nodes"]
    assert described["replication_url"] == at.url
    assert described["front_urls"] == [front.url]
    assert set(alone) == {"name", "url", "username", "password"}
    with opened(at, cluster) as client:
        client.send(masked(BINARY, REQUEST))
        assert client.read_frame()[0] == BINARY
        at.wait_until(lambda at: "message sent: 137" in at.timeline())
        told = cluster.timelines()
        [seen] = cluster.connection_timelines()
    assert f"{peer.name} behind {front.url}" in told
    assert f"{peer.name} (replication) {at.url}\n  connection 1" in told
    assert f"{plain.name} {plain.url}\n  nobody connected" in told
    assert seen["node"] == f"{peer.name} (replication)"
    assert any("message received: 136" in moment["text"] for moment in seen["moments"])
    assert at.socket.token is not None
    assert at.socket.token not in told


def test_all_times_are_on_one_clock(cluster: FakeCluster) -> None:
    """The second peer's connection came after the first one's, and the text shows it."""
    first, second = cluster.peer(), cluster.peer()
    mint(first, cluster.ca_file)
    mint(second, cluster.ca_file)
    for peer in (first, second):
        peer.settle()
    texts = re.findall(r"^ *([\d.]+) ms  (.*)$", cluster.timelines(), re.MULTILINE)
    drawn = [it for seen in cluster.connection_timelines() for it in seen["moments"]]
    assert texts == [(f"{it['ms']:.1f}", it["text"]) for it in drawn]
    begun = [it["ms"] for it in drawn if it["kind"] == "accepted"]
    assert begun[0] < begun[1]
    alone = second.timeline()
    assert re.search(r"^ *0\.0 ms  accepted", alone, re.MULTILINE)


def test_earlier_connections_can_be_left_out(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    mint(peer, cluster.ca_file)
    peer.settle()
    peer.wait_until(lambda peer: peer.live_connections[0].closed_at is not None)
    assert "nobody connected in this time, 1 before" in cluster.timelines(since=now())


def test_a_timeline_holds_nothing_that_acts_on_a_terminal(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    parts = urlsplit(peer.url)
    context = ssl.create_default_context(cafile=cluster.ca_file)
    context.check_hostname = False
    with socket.create_connection((parts.hostname, parts.port), 10) as plain:
        context.wrap_socket(plain, server_hostname="x\x1b[31m").close()
    peer.wait_until(lambda _: r"done, SNI x\x1b[31m" in cluster.timelines())
    [seen] = cluster.connection_timelines()
    assert all(moment["text"].isprintable() for moment in seen["moments"])


def test_a_cluster_shows_its_nodes() -> None:
    with FakeCluster() as cluster:
        assert repr(cluster) == "<FakeCluster of no peers>"
        peer = cluster.peer("eu", fault=ResetAfter(7))
        assert repr(cluster) == f"<FakeCluster of eu {peer.url}>"
        assert repr(peer) == f"<FakePeer eu {peer.url} ResetAfter(received=7)>"
        for _ in range(6):
            cluster.peer()
        assert repr(cluster).endswith(", and 2 more>")


def test_a_node_is_killed_and_restarted_by_name(cluster: FakeCluster) -> None:
    healthy, peer = cluster.peer(), cluster.peer("node-x")
    token = mint(peer, cluster.ca_file)
    cluster.kill("node-x")
    with pytest.raises(ConnectionRefusedError):
        RawClient(peer.url, ca_file=cluster.ca_file)
    assert mint(healthy, cluster.ca_file)
    cluster.restart("node-x")
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, token) + chunked(upload_body()))
        assert client.read_answer().status == 200
    with pytest.raises(KeyError):
        cluster.kill("node-y")


@pytest.mark.parametrize(
    "states", [["silence"], ["silence", "kill"], ["kill", "kill"], ["kill", "silence"], ["restart"]]
)
def test_a_node_comes_back_from_any_state(cluster: FakeCluster, states: list[str]) -> None:
    peer = cluster.peer("node-x")
    token = mint(peer, cluster.ca_file)
    for state in states:
        getattr(cluster, state)("node-x")
    cluster.restart("node-x")
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, token) + chunked(upload_body()))
        assert client.read_answer().status == 200


@pytest.mark.parametrize("state", ["idle", "silent", "in a request"])
def test_a_node_dies_at_once_and_with_resets(cluster: FakeCluster, state: str) -> None:
    peer = cluster.peer("node-x")
    head = upload_head(peer, mint(peer, cluster.ca_file))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        if state == "in a request":
            client.send(head)
            peer.wait_until(lambda peer: bool(peer.live_uploads))
        peer.wait_until(lambda peer: len(peer.live_connections) == 2)
        if state == "silent":
            cluster.silence("node-x")
            said = "from now on, reads and sends nothing"
            peer.wait_until(lambda peer: said in str(peer.live_connections[1]))
        cluster.kill("node-x")
        client.read_until_reset()
    [_, seen] = peer.connections
    assert (seen.closed_by, seen.closed_with) == ("peer", "RST")


def test_what_the_peers_saw_is_read_while_a_request_is_live(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = cluster.peer()
    head = upload_head(peer, mint(peer, cluster.ca_file))
    monkeypatch.setattr(peer.http, "settle", lambda: pytest.fail("waits for the request"))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(head + chunked(upload_body())[:100])
        peer.wait_until(lambda peer: any(u.reader.received for u in peer.live_uploads))
        seen = cluster.connection_timelines()
        assert [it["node"] for it in seen] == [peer.name] * 2  # the mint, the upload
        assert seen[1]["moments"][-1]["kind"] == "body"
        assert "first bytes of the body" in cluster.timelines()


def deploy(peer: FakePeer, cluster: FakeCluster, together: threading.Barrier) -> int:
    """One relay: a mint and an upload on a connection, while all the others are open as well."""
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        token = client.read_answer().json["operation_token"]
        client.send(upload_head(peer, token) + chunked(upload_body())[:100])
        together.wait(30)
        client.send(chunked(upload_body())[100:])
        return client.read_answer().status


def test_two_hundred_peers_in_one_process_take_an_upload_each_at_once() -> None:
    together = threading.Barrier(200)
    with FakeCluster(peers=200) as cluster, ThreadPoolExecutor(200) as pool:
        statuses = pool.map(lambda peer: deploy(peer, cluster, together), cluster.peers)
        assert list(statuses) == [200] * 200
        assert [upload.findings for peer in cluster.peers for upload in peer.uploads] == [[]] * 200


def test_a_peer_is_shown_in_one_line(cluster: FakeCluster) -> None:
    peer = cluster.peer("a\nb\x1b[31m")
    assert repr(peer) == f"<FakePeer a\\nb\\x1b[31m {peer.url}>"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"name": "node-1"}, "a peer is named 'node-1' already"),
        ({"path": "ops"}, "path 'ops': begin it with /"),
        ({"path": "/\r\nX: y"}, r"path '/\\r\\nX: y': .* printable characters"),
        ({"path": "/\ud800"}, r"path '/\\ud800': .* printable characters"),
        ({"timeout": 0}, "timeout must be a number above 0, at most 1e9, not 0"),
        ({"timeout": "3"}, "timeout must be a number above 0, at most 1e9, not '3'"),
        ({"profile": "harper"}, "profile 'harper': give one of strict"),
    ],
)
def test_a_peer_that_makes_no_sense_is_refused(
    cluster: FakeCluster, how: dict[str, Any], words: str
) -> None:
    cluster.peer()
    with pytest.raises(ValueError, match=words):
        cluster.peer(**how)


def test_counting_passes_over_names_that_are_taken(cluster: FakeCluster) -> None:
    cluster.peer("node-2")
    assert [cluster.peer().name for _ in range(2)] == ["node-1", "node-3"]


def test_a_cluster_holds_its_peers_by_name(cluster: FakeCluster) -> None:
    peers = [cluster.peer("a"), cluster.peer("b")]
    assert list(cluster) == peers
    assert len(cluster) == 2
    assert ("a" in cluster, "c" in cluster) == (True, False)
    assert cluster["b"] is peers[1]
    with pytest.raises(KeyError):
        cluster["c"]


def test_an_answer_is_quoted_with_the_escapes_that_it_has(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=Answer.error(500, 'a "word" \\ \x1b'))
    answer = answer_to_upload(peer, cluster)
    assert b'a \\"word\\" \\\\ \\u001b' in answer.body
    peer.wait_until(lambda peer: answer.body.decode() in peer.timeline())

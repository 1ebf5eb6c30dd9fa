"""URLs with every character that a path and a query may have, and URLs that are none."""

from __future__ import annotations

from deploy_relay_kit.harness import FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import (
    look_at_neighbour,
    need_records_of_failures,
    need_served,
)

TARGETS = {
    "escapes in lower case": "/a%2fb/%c3%a9?x=%e2%82%ac",
    "escapes in mixed case": "/a%2Fb/%c3%A9/?x=%E2%82%aC",
    "escaped escapes": "/a%252Fb%2525?x=%25",
    "escapes of characters that need none": "/%61%2D%7e?%78=%79",
    "escaped dots": "/%2e%2e/%2E/a",
    "dots": "/a/./b/../c/...",
    "a dot at the end": "/a/.",
    "two dots at the end": "/a/b/..",
    "escaped dots after a segment": "/a/%2e%2E/b",
    "a page at the end": "/a/index.html",
    "an escaped number sign and question mark": "/%23/%3F?%23",
    "an escaped backslash and NUL": "/a%5Cb%00/",
    "escaped delimiters": "/a%26b%3Dc%3B%2C?d=%26e%3Df%2B&%5Bg%5D=%3a%40%2F%3F",
    "an at sign": "/a@b:c/d?e=f@g:9",
    "parameters": "/a;v=1;w/b;x",
    "every other character": "/-._~!$&'()*+,;=:@/?-._~!$&'()*+,;=:@/?",
    "two question marks": "/?a=b?c/d",
    "a plus": "/a+b?q=a+b%20c%2B",
    "names and values that are empty": "/?=&&a&=b&c=",
    "an ampersand at the end": "/?a=1&",
    "one name twice": "/?b=1&a=2&b=3",
    "one parameter twice, and an equals sign in a value": "/?a=1&_a=b=c&a=1",
    "slashes at the beginning": "//a/b",
    "slashes at the end": "/a//",
    "capitals": "/A/b/C?D=E&d=e",
    "a URL": "/?http://127.0.0.1:1/",
    "5,000 characters": "/" + "long/" * 500 + "?" + "q" * 2_500,
}


def test_every_character_of_a_path_and_a_query_is_kept(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The path and the query of the operations API's URL reach the peer byte for byte."""
    peers = [cluster.peer(path=target) for target in TARGETS.values()]
    relay.deploy(to=peers)
    for (name, target), peer in zip(TARGETS.items(), peers, strict=True):
        with check("URL-08", f"the targets of the requests to a URL with {name}"):
            assert {request.target for request in peer.requests} == {target}


INVALID_TARGETS = {
    "backslashes": "/a\\b?c\\d",
    "brackets and braces": "/a/{b}?c[]=1&d={e}",
    "quotes and signs": '/a^b`c|d?<e>"f',
    "broken escapes": "/100%/%zz?%",
}
"""RFC 3986 has no such character there: a relay may refuse the URL, but changes no byte of it."""


def test_a_character_that_no_path_has_is_kept_or_refused(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A path and a query with invalid characters reach the peer byte for byte, or not at all."""
    peers = [cluster.peer() for _ in INVALID_TARGETS]
    for peer, target in zip(peers, INVALID_TARGETS.values(), strict=True):
        relay.deploy(to=[relay.node(peer, url=f"{peer.url.rstrip('/')}{target}")])
    need_served(relay, *(cluster.peer() for _ in range(2)))
    for (name, target), peer in zip(INVALID_TARGETS.items(), peers, strict=True):
        with check("URL-08", f"the targets of the requests to a URL with {name}, if there are any"):
            assert {request.target for request in peer.requests} <= {target}


NO_URLS = {
    "a port above 65535": "https://{host}:{above}/",
    "a port below 0": "https://{host}:-{port}/",
    "a port with a letter": "https://{host}:{port}x/",
    "a port after a blank": "https://{host}: {port}/",
    "two ports": "https://{host}:{port}:{port}/",
    "a port in words": "https://{host}:https/",
    "no host": "https://:{port}/",
    "no host and no port": "https:///ops/",
    "a host with a blank": "https://{host} b:{port}/",
    "an address without its end": "https://[::1:{port}/",
    "an address of nine groups": "https://[1:2:3:4:5:6:7:8:9]:{port}/",
    "the scheme ftp": "ftp://{host}:{port}/",
    "the scheme wss": "wss://{host}:{port}/",
    "the scheme httpss": "httpss://{host}:{port}/",
    "the scheme file": "file://{host}/etc/hosts",
}


def test_what_is_no_url_of_an_operations_api_costs_its_own_node(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A node without a usable URL has a failed record, and no connection is opened for it."""
    healthy = cluster.peer()
    peers = [cluster.peer(host="127.0.0.1") for _ in NO_URLS]
    nodes = [
        relay.node(
            peer,
            url=form.format(
                host=peer.http.host, port=peer.http.port, above=peer.http.port + (1 << 16)
            ),
        )
        for form, peer in zip(NO_URLS.values(), peers, strict=True)
    ]
    outcome = relay.deploy(to=[*nodes, healthy])
    with check("SEQ-07", "the outcome of the deploy"):
        if outcome.refused is not None:
            need_records_of_failures(cluster, relay)
        assert outcome.refused is None, f"expected records, got a refusal: {outcome.refused}"
    connections = [len(peer.connections) for peer in peers]
    if not any(connections):  # else no control is needed
        need_served(relay, *peers, healthy)
    for name, peer, count in zip(NO_URLS, peers, connections, strict=True):
        with check("SEQ-07", f"the status of the record of a URL with {name}"):
            assert outcome[peer].status == "failed"
        with check("SEQ-07", f"the connections to the node of a URL with {name}"):
            assert count == 0
    look_at_neighbour(check, relay, outcome, healthy)


def test_the_path_and_the_query_of_a_replication_url_are_kept(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The socket is at the path and the query of the replication URL, byte for byte."""
    targets = {**TARGETS, "all of this": "/cluster/%2fa/../ws?x=%c3&y"}
    sockets = [cluster.replication(cluster.peer()) for _ in targets]
    used = zip(sockets, cluster.peers, targets.values(), strict=True)
    relay.deploy(
        to=[
            relay.minting_over(at, peer, replication_url=f"{at.url.rstrip('/')}{target}")
            for at, peer, target in used
        ]
    )
    for socket, (name, target) in zip(sockets, targets.items(), strict=True):
        with check("WS-01", f"the targets of the requests at a replication URL with {name}"):
            check.need(socket.connections, "no connection reached the socket")
            assert {request.target for request in socket.requests} == {target}

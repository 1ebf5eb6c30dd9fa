"""Nodes with similar, odd or equal names, and several nodes at one URL."""

from __future__ import annotations

import contextlib

from deploy_relay_kit.harness import Answer, FakeCluster, FakePeer, Held, in_turn
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import SOON
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_served
from deploy_relay_kit.harness.targets import DeployNode, ReplicationMint

NAMES = (
    *("a", "A", " a", "a ", "a.b", "a/b", "a%2Fb", "a:1", "a:2", "node", "node-1", "node-10"),
    *("10", "9", "2", "007", "7", "1e3", "1000", "-0", "0", "true", "null", "NaN", '"a"'),
    *("__proto__", "constructor", "toString", "é", "e\u0301", "ﬁ", "fi", "İ", "i", "ß", "ss"),
    *(
        "%s",
        "{0}",
        "$a",
        "x\ny",
        "x",
        "☃🚀",
        "☃",
        "<b>&",
        "&lt;b&gt;&amp;",
        f"{'x' * 300}1",
        f"{'x' * 300}2",
    ),
    *(
        "ö",
        "o\u0308",
        "a.",
        "a\u200b",
        "a\u00a0",
        "a\0",
        "a\\b",
        "a\\\\b",
        "a\tb",
        "a b",
        "a+b",
        "a\n",
    ),
    *("[a]", "x@a", "a#b", "#a", "a*", "~", "$HOME", "-a", "--help", " ", "\t", "x\r\ny", "x\ry"),
    *("%%", "%", "{{0}}", "a%20b", "☃🛳", "false", "undefined", "None", "1.0", "0x7", "+7"),
)
"""Each differs from all others, and from some of them only in what a relay may take for the same:
case, blanks, a port, zeros, the form of a character, an escape, what comes after many others."""


def test_every_node_has_its_own_upload_and_record_whatever_its_name(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Nodes whose names are alike, or look like something else, are not taken for one another.

    Tables of some languages sort numbers before other names, or give a meaning to some names.
    """
    peers, told = [], list[str]()
    for number, name in enumerate(NAMES):
        fails = number % 2 == 1
        told.append(f"no, said {number:02}" if fails else f"this is {number:02}")
        said = {"error": told[-1]} if fails else {"message": told[-1]}
        peer = cluster.peer(
            name,
            fault=Answer(500 if fails else 200, json=said),
            username=f"user-{number}",
            password=f"password-of-{number:02}-of-the-names",
        )
        peers.append(peer)
    outcome = relay.deploy(to=map(relay.minting, peers))
    with check("AGG-01", "the nodes of the records"):
        check.need(outcome.refused is None, f"the relay refused the deploy: {outcome.refused}")
        assert outcome.nodes == list(NAMES)
    for peer in peers:
        with check("SEQ-03", f"the uploads to {peer.name!r}"):
            assert len(peer.uploads) == 1
    with check("AGG-04", "what the records say, each in the words of its own peer"):
        check.need(outcome.nodes == list(NAMES), "the records are not those of the nodes (AGG-01)")
        of_status = {"failed": "reason"}
        says = [
            it.members.get(of_status.get(str(it.members.get("status")), "message"))
            for it in outcome.records
        ]
        heard = [{it for it in told if it in str(text)} for text in says]
        check.need(all(heard), "a record has the words of no peer (RES-01, RES-06)")
        mixed = sum(found != {own} for own, found in zip(told, heard, strict=True))
        assert mixed == 0, f"expected none with the words of another peer, got {mixed}"


def named(relay: Relay, peer: FakePeer, name: str) -> DeployNode:
    """A peer under another name, which the certificate of its replication socket does not have."""
    node = relay.node(peer, name=name)
    if isinstance(node.mint, ReplicationMint):
        relay.need("mint.operations")
    return node


def test_two_nodes_of_one_name_are_refused_or_have_a_record_each(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A deploy to two nodes of one name is refused, or each of them has its upload and record."""
    peers = [cluster.peer(fault=Answer(json={"message": f"this is {it}"})) for it in range(2)]
    outcome = relay.deploy(to=[named(relay, peer, "twin") for peer in peers])
    uploads = [len(peer.uploads) for peer in peers]
    has_failed = {record.status for record in outcome.records} == {"failed"}
    if outcome.refused is not None or (has_failed and not any(uploads)):
        with check("AGG-01", "the uploads of a deploy that was refused"):
            assert uploads == [0, 0]
        if has_failed:  # failed records are a refusal, too
            with check("AGG-01", "the nodes of the records of a deploy that was refused"):
                assert outcome.nodes == ["twin", "twin"]
        need_served(relay, *(cluster.peer() for _ in range(2)))
        return
    check.need(any(uploads), "no upload reached either of them")
    with check("AGG-01", "the nodes of the records"):
        assert outcome.nodes == ["twin", "twin"]
    with check("AGG-01", "the messages of the records, of two nodes that were not refused"):
        told = [it.members.get("message") for it in outcome.records if it.status == "success"]
        assert told == [f"this is {it}" for it, count in enumerate(uploads) if count]


def test_every_node_at_one_url_has_its_own_mint_upload_and_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Three nodes with one URL are three mints, three uploads at once, and three records."""
    together = list[int]()

    def wait_for_all() -> None:
        with contextlib.suppress(TimeoutError):
            peer.wait_until(lambda it: len(it.live_uploads) == 3, SOON)
        together.append(len(peer.live_uploads))

    first = Held(Answer.error(500, "the first fails"), until=wait_for_all)
    peer = cluster.peer(fault=in_turn(first, None))
    names = ["first", "second", "third"]
    outcome = relay.deploy(to=[named(relay, peer, name) for name in names])
    with check("AGG-01", "the nodes of the records"):
        check.need(outcome.refused is None, f"the relay refused the deploy: {outcome.refused}")
        assert outcome.nodes == names
    with check("SEQ-03", "the uploads to one URL for three nodes"):
        assert len(peer.uploads) == 3
    with check("SEQ-03", "the uploads to one URL that began before one was answered"):
        check.need(len(peer.uploads) == 3, f"{peer.name} saw {len(peer.uploads)} uploads")
        assert together == [3]
    with check("AGG-04", "the statuses of the records, where one upload of three failed"):
        check.need(len(peer.uploads) == 3, f"{peer.name} saw {len(peer.uploads)} uploads")
        assert sorted(outcome.statuses) == ["failed", "success", "success"]
    if peer.mints:
        with check("SEQ-08", "the different tokens of three nodes at one URL"):
            check.need(len(peer.uploads) == 3, f"{peer.name} saw {len(peer.uploads)} uploads")
            assert len({upload.token for upload in peer.uploads}) == 3

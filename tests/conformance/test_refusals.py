"""The record that the relay makes of a refusal, of a redirect and of a lost connection."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from deploy_relay_kit.harness import (
    Answer,
    CloseWithoutAnswer,
    FakeCluster,
    FakePeer,
    Fault,
    MintAnswer,
    ResetAfter,
    in_turn,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import requests_for
from deploy_relay_kit.harness.peer.addresses import has_ipv6
from deploy_relay_kit.harness.targets import Record

RecordsOf = Callable[..., list[Record]]
NO_REASON = "the error text of a simple refusal is not the reason either (RES-06)"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(500, json={"error": "boom"}), "boom"),
        (Answer(500, json={"message": "mm"}), "mm"),
        (Answer(500, json={"error": None, "message": "mm"}), "mm"),
        (Answer(500, json={"error": "", "message": "mm"}), "HTTP 500"),
        (Answer(500, json={"message": ""}), "HTTP 500"),
        (Answer(500, json={"error": None, "message": None}), '{"error":null,"message":null}'),
        (Answer(500, json={"other": 1}), '{"other":1}'),
        (Answer(500), "HTTP 500"),
        (
            Answer(502, body="<h1>Bad\nGateway</h1>\n", content_type="text/html"),
            "<h1>Bad\nGateway</h1>\n",
        ),
        (Answer(500, json={"error": " npm ERR!\n code 1\n"}), " npm ERR!\n code 1\n"),
        (Answer(403, json={"error": "no"}), "no"),
    ],
    ids=[
        *("error", "message", "error-null-and-message", "error-empty-and-message"),
        *("message-empty", "both-null", "neither", "empty", "html"),
        *("error-of-lines", "error-of-403"),
    ],
)
def test_a_refusal_is_a_failed_record_with_reason_and_status(
    cluster: FakeCluster, relay: Relay, check: Checks, answer: Answer, reason: str
) -> None:
    """The record of a refusal is failed, with the peer's words and the status code."""
    peer = cluster.peer(fault=answer)
    record = relay.deploy(to=[peer])[peer]
    with check("RES-05", "the status of the record"):
        assert record.status == "failed"
    with check("RES-05", "the status code of the record"):
        assert record.status_code == answer.status
    with check("RES-06", "the reason of the record"):
        assert record.reason == reason


@pytest.mark.parametrize("character", ["x", "é"], ids=["ascii", "beyond-ascii"])
def test_a_raw_body_in_a_reason_is_cut_to_200_characters(
    cluster: FakeCluster, relay: Relay, check: Checks, character: str
) -> None:
    """A raw body of 500 characters is cut to 200 in the reason."""
    answer = Answer(503, body=character * 500, content_type="text/plain")
    peer = cluster.peer(fault=answer)
    record = relay.deploy(to=[peer])[peer]
    with check("RES-05", "the status of the record"):
        assert record.status == "failed"
    with check("RES-05", "the status code of the record"):
        assert record.status_code == 503
    with check("RES-07", "the characters of the reason"):
        check.need(set(record.reason) == {character}, "the reason is not the body (RES-06)")
        assert len(record.reason) == 200


def test_an_error_text_is_not_cut(records_of: RecordsOf, check: Checks) -> None:
    """An error text of 40,003 characters is the whole reason."""
    text = "long " * 8_000 + "end"
    record, control = records_of(Answer(500, json={"error": text}), Answer.error(500, "boom"))
    with check("RES-05", "the status of the record"):
        assert record.status == "failed"
    with check("RES-05", "the status code of the record"):
        assert record.status_code == 500
    with check("RES-07", "the reason of the record"):
        check.need(control.reason == "boom", NO_REASON)
        assert record.reason == text


def test_a_reason_that_is_cut_holds_whole_characters(records_of: RecordsOf, check: Checks) -> None:
    """A reason that is cut holds whole characters only.

    A character beyond the first plane is one for some languages, and two for others.
    """
    body = "x" + "🚀" * 300
    raw = Answer(503, body=body, content_type="text/plain")
    record, control = records_of(raw, Answer.error(500, "boom"))
    with check("RES-07", "the reason of the record"):
        check.need(control.reason == "boom", NO_REASON)
        check.need(record.reason[:50] == body[:50], "the reason is not the body (RES-06)")
        assert record.reason in (body[:100], body[:200])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_not_followed(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int
) -> None:
    """A redirect of the upload is a failed record, and nothing is sent to its target."""
    other = cluster.peer("other")
    peer = cluster.peer(fault=Answer(status, headers=(("Location", f"{other.url}moved"),)))
    record = relay.deploy(to=[peer])[peer]
    followed = requests_for(other, "/moved")
    with check("HTTP-04", "the status of the record"):
        assert record.status == "failed"
    with check("HTTP-04", "the requests to the target of the redirect"):
        assert len(followed) == 0
    with check("RES-05", "the status code of the record"):
        check.need(not followed, "the redirect was followed (HTTP-04)")
        assert record.status_code == status


TARGETS = {
    "another path": ("{url}moved", 302),
    "another path, with the same method": ("{url}moved", 307),
    "another path, for ever": ("{url}moved", 308),
    "a path without a host": ("/moved", 307),
    "a path without a scheme": ("//{place}/moved", 308),
    "a relative path": ("moved", 303),
    "another path, moved permanently": ("{url}moved", 301),
    "one of several paths": ("{url}moved", 300),
    "a path through a proxy": ("{url}moved", 305),
    "its own URL": ("{url}", 307),
    "its own URL, of a node with a path": ("{url}", 301),
    "another path of a node with a path": ("{url}moved", 307),
    "a path of a node at an IPv6 address": ("/moved", 307),
}
"""Targets of redirects within a node, each with a status."""


def redirecting(cluster: FakeCluster, target: str) -> FakePeer:
    """A peer of the kind that the target is of."""
    if "IPv6" in target and has_ipv6():
        return cluster.peer(host="::1")
    return cluster.peer(path="/ops/" if "with a path" in target else "/")


@pytest.mark.parametrize("at", ["upload", "mint"])
def test_a_redirect_within_its_node_is_not_followed_either(
    cluster: FakeCluster, relay: Relay, check: Checks, at: str
) -> None:
    """A redirect to a place at the same node is not followed either, nor in the next deploy."""
    peers = {target: redirecting(cluster, target) for target in TARGETS}
    for target, peer in peers.items():
        form, status = TARGETS[target]
        to = form.format(url=peer.url, place=urlsplit(peer.url).netloc)
        redirect = Answer(status, headers=(("Location", to),))
        peer.fault = MintAnswer(redirect) if at == "mint" else redirect
    for deploys in (1, 2):
        outcome = relay.deploy(to=peers.values())
        for target, peer in peers.items():
            with check("HTTP-04", f"the status of the record after a redirect to {target}"):
                assert outcome[peer].status == "failed"
            with check("HTTP-04", f"the requests to the target of the redirect to {target}"):
                requests = peer.mints if at == "mint" else peer.uploads
                moved = requests_for(peer, f"{peer.path}moved")
                assert len(moved) + len(requests[deploys:]) == 0


def test_no_redirect_is_followed_in_a_second_attempt(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A redirect is not followed either after an attempt that failed in another way.

    A 503 with a place is no redirect, and the next attempt goes to the URL of the node.
    """
    other = cluster.peer("other")
    to = {status: Answer.redirect(f"{other.url}moved", status) for status in (302, 307, 503)}
    peers = {"upload": cluster.peer(fault=in_turn(to[503], to[302]))}
    if "mint.operations" in relay.target.capabilities:
        mints = in_turn(MintAnswer(to[503]), MintAnswer(to[307]))
        peers["mint"] = cluster.peer(fault=mints)
    relay.deploy(to=peers.values(), limits=THRICE)
    for what, peer in peers.items():
        requests = peer.uploads if what == "upload" else peer.mints
        with check("HTTP-04", f"the requests to the target of a redirect of the second {what}"):
            followed = requests_for(other, "/moved")
            check.need(followed or len(requests) > 1, f"{peer.name} saw no second {what}")
            assert len(followed) == 0


@pytest.mark.parametrize(
    "fault", [CloseWithoutAnswer(), ResetAfter(70_000)], ids=lambda fault: type(fault).__name__
)
def test_a_connection_lost_is_a_failed_record_without_a_status_code(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: Fault
) -> None:
    """A connection that is lost before an answer is a failed record without a status code."""
    peer = cluster.peer(fault=fault)
    record = relay.deploy(to=[peer])[peer]
    with check("RES-10", "the status of the record"):
        assert record.status == "failed"
    with check("RES-10", "the members of the record"):
        assert "statusCode" not in record.members


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"message": "disk full", "code": 28}, "disk full"),
        ({"code": 28}, '{"code":28}'),
        (["a", "b"], '["a","b"]'),
    ],
    ids=str,
)
def test_an_error_that_is_an_object_is_readable(
    records_of: RecordsOf, check: Checks, error: object, reason: str
) -> None:
    """An error that is an object gives its message as the reason, or else its JSON text."""
    record, control = records_of(Answer(500, json={"error": error}), Answer.error(500, "boom"))
    with check("RES-08", "the reason of the record"):
        check.need(control.reason == "boom", NO_REASON)
        assert record.reason == reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(500, body="null", content_type="application/json"), "null"),
        (Answer(500, json="in quotes"), '"in quotes"'),
        (Answer(500, json=["a"]), '["a"]'),
        (Answer(500, json={"error": 404}), "404"),
        (Answer(500, json={"error": 0, "message": "mm"}), "0"),
    ],
    ids=["null", "text", "list", "number", "zero"],
)
def test_a_refusal_that_is_no_object_is_its_own_reason(
    records_of: RecordsOf, check: Checks, answer: Answer, reason: str
) -> None:
    """A refusal that is not an object has its body as the reason, and a number its digits."""
    record, control = records_of(answer, Answer.error(500, "boom"))
    with check("RES-09", "the reason of the record"):
        check.need(control.reason == "boom", NO_REASON)
        assert record.reason == reason

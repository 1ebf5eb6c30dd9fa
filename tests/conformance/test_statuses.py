"""What each status of an answer means, by its class and not by a list of known ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from deploy_relay_kit.harness import Answer, FakeCluster, FakePeer
from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_retry, requests_for, temporary

SUCCESSES = (*range(200, 209), 218, 226, 250, 298, 299)
REDIRECTS = (*range(300, 309), 310, 350, 399)
OF_THE_CLIENT = (*range(400, 419), *range(420, 427), 428, 429, 430, 431, 444, 451, 460, 498, 499)
OF_THE_PEER = (*range(500, 512), 520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599)
WITHOUT_BODY = {204, 205, 304}
RETRIED = {502, 503, 504}


def answer_of(status: int) -> Answer:
    """An answer that says the same as its status, in the members of both classes."""
    if status in WITHOUT_BODY:
        return Answer(status)
    return Answer(status, json={"message": "done"} if status < 300 else {"error": f"no {status}"})


@pytest.mark.parametrize(
    "statuses", [REDIRECTS, OF_THE_CLIENT, OF_THE_PEER], ids=["3xx", "4xx", "5xx"]
)
def test_every_other_status_is_a_failure(
    cluster: FakeCluster, relay: Relay, check: Checks, statuses: tuple[int, ...]
) -> None:
    """Every status from 300 to 599 is a failed record with this status, also an unknown one."""
    peers = [cluster.peer(fault=answer_of(status)) for status in statuses]
    elsewhere = cluster.peer()
    redirected = cluster.peer(fault=Answer.redirect(f"{elsewhere.url}moved", 302))
    outcome = relay.deploy(to=[*peers, redirected])
    with check("RES-05", "the statuses whose record is not failed"):
        assert [
            status
            for status, peer in zip(statuses, peers, strict=True)
            if outcome[peer].status != "failed"
        ] == []
    with check("RES-05", "the status codes of the records"):
        followed = requests_for(elsewhere, "/moved")
        check.need(not followed, "the relay follows redirects (HTTP-04)")
        need_answers(peers, statuses)
        codes = [outcome[peer].status_code for peer in peers]
        if codes != list(statuses):
            wrong = next(it for it, code in zip(statuses, codes, strict=True) if it != code)
            alone = cluster.peer(fault=answer_of(wrong))
            is_right = relay.deploy(to=[alone])[alone].status_code == wrong
            check.need(not is_right, f"a peer that is alone and answers {wrong} has this code")
        assert codes == list(statuses)


BODIES = ("json", "text", "nothing")


def test_the_reason_of_a_refusal_does_not_depend_on_its_status(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The reason is the text of the refusal, or `HTTP` and the status, for every status alike."""
    statuses = (300, 302, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 501, 503, 504, 599)
    control = cluster.peer(fault=Answer(500, json={"error": "boom"}))
    peers = {}
    for status in statuses:
        of = BODIES if status in {404, 413, 503} else BODIES[::2] if status % 2 else BODIES[1:]
        for body in of:
            answer = {
                "json": Answer(status, json={"error": f"no {status}"}),
                "text": Answer(status, body=f"no {status}\n", content_type="text/plain"),
                "nothing": Answer(status),
            }[body]
            peers[status, body] = cluster.peer(fault=answer)
    outcome = relay.deploy(to=[control, *peers.values()])
    check.need(outcome[control].reason == "boom", "a simple refusal has another reason")
    for (status, body), peer in peers.items():
        expected = {"json": f"no {status}", "text": f"no {status}\n", "nothing": f"HTTP {status}"}
        with check("RES-06", f"the reason of {status} with {body}"):
            assert outcome[peer].reason == expected[body]


def need_answers(peers: Sequence[FakePeer], statuses: Sequence[int]) -> None:
    """Raise Unseen unless each peer gave its answer to its one upload."""
    for peer, status in zip(peers, statuses, strict=True):
        answered = [upload.answer_status for upload in peer.uploads]
        if answered != [status]:
            raise Unseen(f"{peer.name} answered {answered or 'no upload'}, and not {status}")


def test_every_status_below_300_is_a_success(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Every status from 200 to 299 is a success, also one that HTTP does not define."""
    peers = [cluster.peer(fault=answer_of(status)) for status in SUCCESSES]
    outcome = relay.deploy(to=peers)
    with check("HTTP-05", "the statuses whose record is not that of a success"):
        need_answers(peers, SUCCESSES)
        assert [
            status
            for status, peer in zip(SUCCESSES, peers, strict=True)
            if outcome[peer].status != "success"
        ] == []


@pytest.mark.parametrize(
    "statuses",
    [SUCCESSES, REDIRECTS, OF_THE_CLIENT, OF_THE_PEER],
    ids=["2xx", "3xx", "4xx", "5xx"],
)
def test_no_other_status_is_retried(
    cluster: FakeCluster, relay: Relay, check: Checks, statuses: tuple[int, ...]
) -> None:
    """Only 502, 503 and 504 are tried again."""
    final = [status for status in statuses if status not in RETRIED]
    peers = [cluster.peer(fault=answer_of(status)) for status in final]
    again = temporary(cluster)
    relay.deploy(to=[*peers, again], limits=THRICE)
    with check("RTY-04", "the statuses after which the relay tries again"):
        need_retry(again)
        check.need(all(peer.uploads for peer in peers), "not every peer saw an upload")
        assert [
            status for status, peer in zip(final, peers, strict=True) if len(peer.uploads) > 1
        ] == []

"""What each status of an answer means, by its class and not by a list of known ones."""

from __future__ import annotations

import pytest

from deploy_relay_kit.harness import Answer, FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay

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
    outcome = relay.deploy(to=peers)
    with check("RES-05", "the statuses whose record is not failed"):
        assert [
            status
            for status, peer in zip(statuses, peers, strict=True)
            if outcome[peer].status != "failed"
        ] == []
    with check("RES-05", "the status codes of the records"):
        assert [outcome[peer].status_code for peer in peers] == list(statuses)


def test_every_status_below_300_is_a_success(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Every status from 200 to 299 is a success, also one that HTTP does not define."""
    peers = [cluster.peer(fault=answer_of(status)) for status in SUCCESSES]
    outcome = relay.deploy(to=peers)
    with check("HTTP-05", "the statuses whose record is not that of a success"):
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
    relay.deploy(to=peers, limits=THRICE)
    with check("RTY-04", "the statuses after which the relay tries again"):
        check.need(all(peer.uploads for peer in peers), "not every peer saw an upload")
        assert [
            status for status, peer in zip(final, peers, strict=True) if len(peer.uploads) > 1
        ] == []

"""What the profiles share, and what sets `pre-5.1` and `strict` apart."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from harness.profiles import PROFILES
from tests.profileclient import (
    DEPLOY,
    EVENTS,
    TAR,
    Came,
    ask,
    assert_fastify,
    connect,
    form,
    head,
    operation,
    read_came,
    read_head,
)
from tests.rawclient import chunked

if TYPE_CHECKING:
    from harness.cluster import FakeCluster
    from harness.peer import FakePeer

INFO = {"operation": "registration_info"}
DEPLOY_BODY = {**dict(DEPLOY), "payload": b64encode(TAR).decode()}


# -- jobs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("outcome", ["COMPLETE", "ERROR"])
def test_a_restart_is_followed_as_a_job(cluster: FakeCluster, profile: str, outcome: str) -> None:
    peer = cluster.peer(profile=profile)
    peer.profile.jobs.polls = 1
    peer.profile.jobs.outcome = "ERROR" if outcome == "ERROR" else "COMPLETE"
    came = send(peer, cluster, {"operation": "restart_service", "service": "http"})
    assert came.json == {"message": "Restarting http", "job_id": "<uuid>"}
    assert {name.lower(): value for name, value in came.headers}["connection"] == "close"
    [job] = peer.profile.jobs.begun
    told = [send(peer, cluster, {"operation": "get_job", "id": job}).json[0] for _ in range(2)]
    assert [one["status"] for one in told] == ["IN_PROGRESS", outcome]


def send(peer: FakePeer, cluster: FakeCluster, body: object) -> Came:
    with connect(peer, cluster) as client:
        client.send(operation(peer, body))
        return read_came(client)


@pytest.mark.parametrize("profile", PROFILES)
def test_jobs_need_a_login(cluster: FakeCluster, profile: str) -> None:
    peer = cluster.peer(profile=profile)
    with connect(peer, cluster) as client:
        client.send(operation(peer, {"operation": "restart_service"}, None))
        assert read_head(client)[0] == 401
    assert peer.profile.jobs.begun == []


def test_the_job_of_a_rolling_restart_can_be_followed(cluster: FakeCluster) -> None:
    peer = cluster.peer(profile="harper-5.1")
    ask(peer, cluster, head(peer) + chunked(form([*DEPLOY, ("restart", "rolling")])))
    [job] = peer.profile.jobs.begun
    told = send(peer, cluster, {"operation": "get_job", "id": job})
    assert told.json[0]["status"] == "IN_PROGRESS"


# -- pre-5.1 -------------------------------------------------------------------------------------


def test_a_peer_before_5_1_refuses_multipart_and_reads_on(cluster: FakeCluster) -> None:
    peer = cluster.peer(profile="pre-5.1")
    came = ask(peer, cluster, head(peer) + chunked(form()))
    assert_fastify(came, 415, {"error": "Unsupported Media Type"})
    assert peer.upload.complete


def test_a_peer_before_5_1_tells_its_version(cluster: FakeCluster) -> None:
    came = send(cluster.peer(profile="pre-5.1"), cluster, INFO)
    major, minor, _ = came.json["version"].split(".")
    assert (int(major), int(minor)) < (5, 1)


def test_a_peer_before_5_1_has_events_in_one_bare_frame(cluster: FakeCluster) -> None:
    peer = cluster.peer(profile="pre-5.1")
    came = ask(peer, cluster, operation(peer, DEPLOY_BODY, Accept=EVENTS))
    assert came.body == b'data: {"message":"Successfully deployed: demo"}\n\n'
    failed = ask(peer, cluster, operation(peer, dict(DEPLOY)))
    assert (failed.status, list(failed.json)) == (500, ["error"])


# -- strict --------------------------------------------------------------------------------------


def test_a_strict_peer_wants_a_bearer_token_and_a_form(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    with connect(peer, cluster) as client:
        client.send(head(peer) + chunked(form()))
        came = client.read_answer()
    assert (came.status, came.json) == (401, {"error": "Must login"})
    refused = send(peer, cluster, DEPLOY_BODY)
    assert refused.json == {"error": "deploy_component is taken as multipart only"}
    assert send(peer, cluster, INFO).json == {"version": "5.1.14", "deprecated": True}

"""What the profiles share, and what sets `pre-5.1` and `strict` apart."""

from __future__ import annotations

from base64 import b64encode

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.profiles import PROFILES, ProfileName
from tests.profileclient import (
    DEPLOY,
    EVENTS,
    TAR,
    Came,
    ask,
    connect,
    form,
    head,
    operation,
    read_came,
    read_head,
)
from tests.rawclient import chunked

INFO = {"operation": "registration_info"}
DEPLOY_BODY = {**dict(DEPLOY), "payload": b64encode(TAR).decode()}


# -- jobs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("outcome", ["COMPLETE", "ERROR"])
def test_a_restart_is_followed_as_a_job(
    cluster: FakeCluster, profile: ProfileName, outcome: str
) -> None:
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
def test_jobs_need_a_login(cluster: FakeCluster, profile: ProfileName) -> None:
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


@pytest.mark.parametrize("accept", [{}, {"Accept": EVENTS}], ids=["json", "events"])
def test_a_peer_before_5_1_refuses_multipart_and_reads_on(
    cluster: FakeCluster, accept: dict[str, str]
) -> None:
    peer = cluster.peer(profile="pre-5.1")
    came = ask(peer, cluster, head(peer, **accept) + chunked(form()))
    refusal = b'{"error":"Unsupported Media Type: multipart/form-data; boundary=b"}'
    assert (came.status, came.body) == (415, framed(refusal, accept))
    assert peer.upload.complete


def test_a_peer_before_5_1_tells_its_version(cluster: FakeCluster) -> None:
    came = send(cluster.peer(profile="pre-5.1"), cluster, INFO)
    assert came.json == {"version": "4.7.29", "deprecated": True}


RESTARTING = (
    b'{"message":"Successfully deployed: demo, restarting HarperDB","restartJobId":"<uuid>"}'
)
BAD_NAME = b"Project name can only contain alphanumeric, dash and underscores characters"


@pytest.mark.parametrize("accept", [{}, {"Accept": EVENTS}], ids=["json", "events"])
@pytest.mark.parametrize(
    ("fields", "status", "body"),
    [
        ({}, 200, b'{"message":"Successfully deployed: demo"}'),
        ({"restart": "rolling"}, 200, RESTARTING),
        ({"project": "a b"}, 400, b'{"error":"%b"}' % BAD_NAME),
        ({"payload": "YWJj"}, 500, b'{"error":"Unexpected end of data"}'),
        ({"payload": None}, 500, b'{"error":"Either payload or package must be provided"}'),
        ({"operation": "nope"}, 400, b'{"error":"Operation \'nope\' not found"}'),
    ],
)
def test_a_peer_before_5_1_takes_json_and_tells_the_status_also_to_who_asks_for_events(
    cluster: FakeCluster,
    fields: dict[str, object],
    status: int,
    body: bytes,
    accept: dict[str, str],
) -> None:
    peer = cluster.peer(profile="pre-5.1")
    came = ask(peer, cluster, operation(peer, {**DEPLOY_BODY, **fields}, **accept))
    assert (came.status, came.body) == (status, framed(body, accept))
    told = {name: value for name, value in came.headers if name.startswith("content-")}
    assert told["content-type"] == (EVENTS if accept else "application/json")
    assert "content-length" in told


def framed(body: bytes, accept: dict[str, str]) -> bytes:
    return b"data: %b\n\n" % body if accept else body


# -- strict --------------------------------------------------------------------------------------


def test_a_strict_peer_wants_a_bearer_token_and_a_form(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    with connect(peer, cluster) as client:
        client.send(head(peer) + chunked(form()))
        came = client.read_answer()
    assert (came.status, came.json) == (401, {"error": "Must login"})
    refused = send(peer, cluster, DEPLOY_BODY)
    assert refused.json == {"error": "deploy_component is accepted as multipart only"}
    assert send(peer, cluster, INFO).json == {"version": "5.1.14", "deprecated": True}

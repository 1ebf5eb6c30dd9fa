"""The record that the relay makes of a success, and what no answer changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploy_relay_kit.harness import (
    Answer,
    EndlessHead,
    FakeCluster,
    Fault,
    HeadThenSilence,
)
from deploy_relay_kit.harness.faults.answers import (
    Pause,
    Script,
)
from deploy_relay_kit.harness.faults.broken_answers import ALMOST_JSON
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME, LIMIT
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.targets import Limits, Record

RecordsOf = Callable[..., list[Record]]
DONE = Answer(json={"message": "done"})
NO_MEMBERS = "the record of a JSON object has none of its members either (RES-01)"


def test_a_success_holds_the_members_of_the_answer(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The record of a success holds every member of the peer's JSON object, unchanged."""
    answer: dict[str, object]
    answer = {"message": "Successfully deployed: demo", "deployment_id": "5f0c", "extra": [1, {}]}
    answer |= {"none": None, "no": False, "zero": 0, "text": "", "when": "2026-01-02T03:04:05Z"}
    answer |= {"Deep": {"Key": [None, {"At": "2026-01-02T03:04:05.600Z"}]}, "list": [], "map": {}}
    answer |= {"empty": {"none": None, "no": False, "zero": 0, "text": "", "list": [], "map": {}}}
    peer = cluster.peer(fault=Answer(json=answer))
    record = relay.deploy(to=[peer])[peer]
    with check("RES-01", "the status of the record"):
        assert record.status == "success"
    for name, value in answer.items():
        with check("RES-01", f'the member "{name}" of the record'):
            assert record[name] == value


@pytest.mark.parametrize("body", ["", "deployed\n", "<p>fine</p>", *ALMOST_JSON])
def test_a_success_that_is_not_json_has_the_body_as_its_message(
    records_of: RecordsOf, check: Checks, body: str
) -> None:
    """A success that is not JSON has the body as its message."""
    record, control = records_of(Answer(body=body, content_type="text/plain"), DONE)
    with check("RES-03", "the status of the record"):
        assert record.status == "success"
    with check("RES-03", "the message of the record"):
        check.need("message" in control, NO_MEMBERS)
        assert record["message"] == body


@pytest.mark.parametrize(
    ("status", "content_type"),
    [(200, "application/json; charset=utf-8"), (200, None), (500, "text/plain")],
)
def test_json_is_recognised_by_its_form(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int, content_type: str | None
) -> None:
    """A body that is JSON is read as JSON, whatever its Content-Type is."""
    answer = Answer(status, body='{"message":"in JSON"}', content_type=content_type)
    peer = cluster.peer(fault=answer)
    record = relay.deploy(to=[peer])[peer]
    with check("RES-01" if status == 200 else "RES-06", "the text of the answer in the record"):
        assert (record["message"] if status == 200 else record.reason) == "in JSON"


@pytest.mark.parametrize(
    "members",
    [
        {"node": "somebody-else"},
        {"status": "failed", "reason": "of the peer"},
        {"node": None, "status": None},
    ],
    ids=["another-node", "another-status", "both-null"],
)
def test_no_answer_changes_node_and_status(
    cluster: FakeCluster, relay: Relay, check: Checks, members: dict[str, object]
) -> None:
    """The relay sets node and status itself, whatever the answer of a success says."""
    peer = cluster.peer(fault=Answer(json={"message": "done", **members}))
    outcome = relay.deploy(to=[peer])
    check.need(len(outcome.records) == 1, f"there are {len(outcome.records)} records, not one")
    record = outcome.records[0]
    with check("RES-02", "the status of the record"):
        assert record.status == "success"
    with check("RES-02", "the members that the record takes from the answer"):
        own = {"node": peer.name, "status": "success", "reason": None}
        taken = [name for name in members if record.members.get(name, own[name]) == members[name]]
        assert taken == []
    with check("AGG-03", "the node of the record"):
        assert record.node == peer.name
    with check("RES-01", "the message of the record"):
        check.need(record.status == "success", "the record is not a success")
        assert record["message"] == "done"


def test_a_success_with_an_error_member_is_a_success_that_keeps_it(
    records_of: RecordsOf, check: Checks
) -> None:
    """A success with an error member is a success, and its record keeps that member."""
    answer = Answer(json={"message": "done", "error": "of an old deploy"})
    record, control = records_of(answer, DONE)
    with check("RES-14", "the status of the record"):
        assert record.status == "success"
    with check("RES-14", 'the member "error" of the record'):
        check.need("message" in control, NO_MEMBERS)
        assert record["error"] == "of an old deploy"


@pytest.mark.parametrize("status", [200, 201, 202, 203, 204, 206, 299])
def test_every_status_of_the_two_hundreds_is_a_success(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int
) -> None:
    """Every status from 200 to 299 is a success."""
    answer = Answer(204) if status == 204 else Answer(status, json={"message": "done"})
    peer = cluster.peer(fault=answer)
    record = relay.deploy(to=[peer])[peer]
    # Without a body, the answer is not JSON.
    with check(
        "RES-03" if status == 204 else "HTTP-05", f"the status of the record of an answer {status}"
    ):
        assert record.status == "success"


@pytest.mark.parametrize("status", [200, 500])
def test_a_character_split_between_chunks_is_whole(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int
) -> None:
    """A character whose bytes arrive in several chunks is whole in the record."""
    text = "☃ naïve 🚀 deploy"
    peer = cluster.peer(fault=Answer(status, json={"message": text}, chunk_size=1))
    record = relay.deploy(to=[peer])[peer]
    with check("HTTP-05", "the text of the answer in the record"):
        check.need(status == 500 or "message" in record, "the record has no message")
        assert text in (str(record["message"]) if status == 200 else record.reason)


@pytest.mark.parametrize("status", [200, 500])
def test_a_body_that_is_not_utf_8_does_not_change_the_status(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int
) -> None:
    """The status of an answer decides the record, even if its body is not UTF-8."""
    body = '{"message": "größe"}'.encode("latin-1")
    peer = cluster.peer(fault=Answer(status, body=body, content_type="application/json"))
    record = relay.deploy(to=[peer])[peer]
    if status == 200:
        with check("HTTP-05", "the status of the record"):
            assert record.status == "success"
    else:
        with check("RES-05", "the status of the record"):
            assert record.status == "failed"
        with check("RES-05", "the status code of the record"):
            assert record.status_code == status


class Endless(Answer):
    """An answer without an end: a byte every 20 ms."""

    def script(self, *, keep_alive: bool) -> Script:
        yield self.head(keep_alive=keep_alive)
        while True:
            yield b"1\r\nx\r\n"
            yield Pause(0.02)


@pytest.mark.parametrize(
    "fault",
    [HeadThenSilence(Answer(json={"message": "done"})), EndlessHead(), Endless(chunk_size=1)],
    ids=lambda fault: type(fault).__name__,
)
def test_an_answer_without_an_end_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: Fault
) -> None:
    """An answer without an end is given up at the limit of an answer, also that of a refusal."""
    peer, refusing = cluster.peer(fault=fault), cluster.peer(fault=Endless(500, chunk_size=1))
    other = cluster.peer()
    with check("HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s for an answer"):
        outcome = relay.deploy(
            to=[peer, refusing, other], limits=Limits(answer=LIMIT), deadline=IN_TIME
        )
    with check("HTTP-03", "the statuses of the records"):
        check.need(outcome[other].status == "success", "an answer with an end is no success")
        assert [outcome[it].status for it in (peer, refusing)] == ["failed", "failed"]


CODINGS = ("br", "deflate", "x-gzip", "zstd", "GZIP", "gzip, br", "identity", "unknown")


def test_the_status_of_an_answer_with_any_coding_decides(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """An answer with any content coding, which its body need not have, has the usual status."""
    peers = {}
    for coding in CODINGS:
        header = (("Content-Encoding", coding),)
        peers[coding, 200] = cluster.peer(fault=Answer(body=b"\x1f\x8b\x08\0?", headers=header))
        peers[coding, 403] = cluster.peer(fault=Answer(403, body=b"\x8b\x02\x80", headers=header))
    outcome = relay.deploy(to=peers.values())
    for (coding, status), peer in peers.items():
        record = outcome[peer]
        with check("HTTP-05" if status == 200 else "RES-05", f"{status} with the coding {coding}"):
            assert record.status == ("success" if status == 200 else "failed")
        if status != 200:
            with check("RES-05", f"the status code, with the coding {coding}"):
                check.need(record.status == "failed", "the record is a success")
                assert record.status_code == status


def test_an_encoded_answer_is_never_taken_for_text(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """An answer with Content-Encoding gzip is a success, and is decoded if the relay allows gzip.

    A relay that does not ask for an encoding may decode it or not; the status counts either way.
    """
    peer = cluster.peer(fault=Answer(json={"message": "done"}).gzipped())
    record = relay.deploy(to=[peer])[peer]
    with check("HTTP-05", "the status of the record"):
        assert record.status == "success"
    if "gzip" in (peer.upload.header("accept-encoding") or ""):
        with check("RES-01", "the message of the record"):
            check.need(record.status == "success", "the record is not a success")
            assert record["message"] == "done"

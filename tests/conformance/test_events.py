"""Event streams: how they are requested, how they are read, and which event makes the record."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    Event,
    EventStream,
    FakeCluster,
    Held,
    failure_events,
    success_events,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_good_upload, need_message
from deploy_relay_kit.harness.targets import GivenToken, Limits, Record

RecordsOf = Callable[..., list[Record]]
MESSAGE = "Successfully deployed: demo"
DONE = Event("done", {"result": {"message": MESSAGE}})
PLAIN = EventStream((DONE,))
"""The control of most cases: what a relay that reads streams makes a success of."""
NOT_READ = "the control, the same stream without what the case is about, is not a success either"
NO_REASON = "the text of the same refusal without a request for events is not the reason (RES-06)"


def test_a_stream_is_requested_by_its_media_type(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A request for events has Accept: text/event-stream."""
    peer = cluster.peer()
    relay.deploy(to=[peer], events=True)
    with check("SSE-01", "the Accept of the upload"):
        assert "text/event-stream" in (peer.upload.header("accept") or "")  # in lower case


def test_the_result_of_done_makes_the_success(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The event done is a success with the members of its result."""
    done = success_events(deployment_id="5f0c")[-1]
    peers = [cluster.peer(fault=EventStream((done,), prime=prime)) for prime in (True, False)]
    outcome = relay.deploy(to=peers, events=True)
    need_good_upload(peers[0])
    check.need(all(it.upload.complete for it in peers), "not every upload is whole")
    # A relay that needs the first comment, or stumbles over it, breaks SSE-03.
    read = [outcome[it] for it in peers if outcome[it].status == "success"]
    record = (read or [outcome[peers[0]]])[0]
    with check("SSE-09", "the status of the record"):
        assert record.status == "success"
    with check("SSE-09", "message and deployment_id of the record"):
        if "message" not in record:
            need_message(cluster, relay)
        assert [record.members.get(it) for it in ("message", "deployment_id")] == [MESSAGE, "5f0c"]


def test_an_error_event_is_a_failure_with_its_message(records_of: RecordsOf, check: Checks) -> None:
    """The event error is a failure with its message; only a code of HTTP is its status code."""
    codes: list[int | str] = [500, 7, "ERR_INVALID_ARG_TYPE"]
    streams = [EventStream(failure_events("disk full", code)) for code in codes]
    plain, *records = records_of(PLAIN, *streams, events=True)
    check.need(plain.status == "success", NOT_READ)
    for code, record in zip(codes, records, strict=True):
        with check("RES-13", f"the status of the record, of an error with the code {code!r}"):
            assert record.status == "failed"
        with check("SSE-09", f"the reason of the record, of an error with the code {code!r}"):
            assert record.reason == "disk full"
        with check("RES-02", f"the status code of the record, of an error with the code {code!r}"):
            assert record.status_code in ((code, None) if code == 500 else (None,))


@pytest.mark.parametrize(
    "events", [failure_events("disk full"), (*failure_events("disk full"), DONE)]
)
def test_an_error_event_without_a_request_for_events_is_a_failure(
    records_of: RecordsOf, relay: Relay, check: Checks, events: tuple[Event, ...]
) -> None:
    """The event error is a failure also in a stream that the relay did not request."""
    relay.need("events")  # a relay that cannot read streams takes it for a text
    record, plain = records_of(EventStream(events), PLAIN)
    check.need(plain.status == "success", NOT_READ)
    with check("RES-13", "the status of the record"):
        assert record.status == "failed"
    with check("SSE-09", "the reason of the record"):
        assert record.reason == "disk full"


def has_changed_nothing(
    check: Checks, id_: str, record: Record, plain: Record, where: str = ""
) -> None:
    """Look whether a stream makes the same success as the control."""
    check.need(plain.status == "success", NOT_READ)
    message = plain.members.get("message")
    check.need(message == MESSAGE, "the message of the control is not that of its result (SSE-09)")
    with check(id_, f"the status of the record{where}"):
        assert record.status == "success"
    with check(id_, f"the message of the record{where}"):
        assert record["message"] == MESSAGE


@pytest.mark.parametrize("comment", [": a comment\n\n", ": a comment\n"])
def test_a_comment_in_a_stream_changes_nothing(
    records_of: RecordsOf, check: Checks, comment: str
) -> None:
    """A comment in a stream changes nothing."""
    events = success_events()
    commented = EventStream((comment, *events), prime=False)
    record, plain = records_of(commented, EventStream(events, prime=False), events=True)
    has_changed_nothing(check, "SSE-03", record, plain)


def test_a_stream_without_its_first_comment_is_read_the_same_way(
    records_of: RecordsOf, check: Checks
) -> None:
    """A stream is read in the same way without the comment with which peers begin it."""
    events = success_events()
    record, plain = records_of(EventStream(events, prime=False), EventStream(events), events=True)
    has_changed_nothing(check, "SSE-03", record, plain)


EARLIER = (
    'event: heartbeat\ndata: {"at":1}\n\n',
    'event: phase\ndata: {"phase":"upload","status":"progress"}\n\n',
    "event: phase\ndata: not json\n\n",
    'event: peer\ndata: {"node":"node-9","status":"failed","error":"no"}\n\n',
    'event: install\ndata: {"line":"error: \\u2603"}\n\n',
)


def test_an_event_before_the_last_one_changes_nothing(records_of: RecordsOf, check: Checks) -> None:
    """An event other than done and error, known or unknown, changes nothing."""
    streams = [EventStream((event, *success_events())) for event in EARLIER]
    plain, *records = records_of(PLAIN, *streams, events=True)
    for event, record in zip(EARLIER, records, strict=True):
        has_changed_nothing(check, "SSE-06", record, plain, f" after {event!r}")


EMPTY = ["event: a\ndata: ", "event: a\ndata", "event: a", "id: 5", "retry: 9"]


def test_an_event_with_empty_data_changes_nothing(records_of: RecordsOf, check: Checks) -> None:
    """An event with empty data, or without any, changes nothing."""
    with_data = EventStream(('event: heartbeat\ndata: {"at":1}\n\n', DONE))
    streams = [EventStream((f"{event}\n\n", DONE)) for event in EMPTY]
    *records, plain = records_of(*streams, with_data, events=True)
    for event, record in zip(EMPTY, records, strict=True):
        has_changed_nothing(check, "SSE-20", record, plain, f" with {event!r}")


def test_the_end_of_the_recorder_does_not_make_a_failure(
    records_of: RecordsOf, check: Checks
) -> None:
    """The event _recorder_finished with the status failed does not make a failure of a success."""
    finished = 'event: _recorder_finished\ndata: {"status":"failed"}\n\n'
    others = [it for it in success_events() if it.name != "_recorder_finished"]
    both = EventStream((finished, *success_events()))
    record, plain = records_of(both, EventStream(others), events=True)
    has_changed_nothing(check, "SSE-10", record, plain)


def test_the_end_of_the_recorder_does_not_make_a_success(
    records_of: RecordsOf, check: Checks
) -> None:
    """The event _recorder_finished with the status success does not make a success of a failure."""
    finished = Event("_recorder_finished", {"status": "success"})
    error = failure_events("disk full")
    record, plain = records_of(EventStream((*error, finished)), EventStream(error), events=True)
    check.need(plain.status == "failed", "the error event alone is not a failure either (RES-13)")
    with check("SSE-10", "the status of the record"):
        assert record.status == "failed"
    with check("SSE-10", "the reason of the record"):
        assert record.reason == plain.reason


@pytest.mark.parametrize("truncated", [False, True])
@pytest.mark.parametrize("events", [(), success_events()[:-1]], ids=["nothing", "all-but-done"])
def test_a_stream_that_ends_without_done_or_error_is_a_failure(
    records_of: RecordsOf, check: Checks, events: tuple[Event, ...], *, truncated: bool
) -> None:
    """A stream that ends without done or error is a failure."""
    record, plain = records_of(EventStream(events, truncated=truncated), PLAIN, events=True)
    check.need(plain.status == "success", NOT_READ)
    with check("SSE-16", "the status of the record"):
        assert record.status == "failed"


SILENCES = (1.2, 4.8)  # seconds; a loaded machine may need more than the first for a mint


def silent(silence: Callable[[], object]) -> Iterator[Event]:
    """The events of a success after a silence."""
    silence()
    yield from success_events()


def test_a_stream_may_be_silent_for_longer_than_an_upload_may_stall(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A silence of 1.2 s in a stream is no failure, with an upload that may stall for 0.8 s."""
    for seconds in SILENCES:
        a_silence = functools.partial(threading.Event().wait, seconds)
        plain = cluster.peer(fault=EventStream(success_events()))
        peer = cluster.peer(fault=EventStream(silent(a_silence)))
        short = seconds / 1.5
        limits = Limits(connect=short, mint=short, stall=short)
        outcome = relay.deploy(to=[peer, plain], events=True, limits=limits)
        if outcome[plain].status == "success" and peer.uploads:
            break
    check.need(outcome[plain].status == "success", NOT_READ)
    check.need(peer.upload.complete, "the upload is not whole (BUG-34)")
    with check("SSE-14", "the status of the record"):
        if outcome[peer].status != "success":
            late = cluster.peer(fault=Held(Answer(json={"message": "done"}), until=a_silence))
            is_late = relay.deploy(to=[late], limits=limits)[late].status == "success"
            check.need(is_late, "an answer after the same silence is no success either (HTTP-03)")
        assert outcome[peer].status == "success"


@pytest.mark.parametrize(
    "answer",
    [
        Answer.error(401, "token expired"),
        Answer(401, body='data: {"error":"token expired"}\n\n'),
        Answer(401, body='data: {"error":"token expired"}\n\n', content_type="text/event-stream"),
    ],
    ids=["json", "event-without-a-type", "event"],
)
def test_a_refusal_instead_of_a_stream_has_its_reason(
    records_of: RecordsOf, check: Checks, answer: Answer
) -> None:
    """A refusal instead of a stream is a failure with its text, as JSON or as an event."""
    (plain,) = records_of(Answer.error(401, "token expired"))
    (record,) = records_of(answer, events=True)
    with check("RES-05", "the status of the record"):
        assert record.status == "failed"
    with check("RES-05", "the status code of the record"):
        assert record.status_code == 401
    with check("SSE-18", "the reason of the record"):
        check.need(plain.reason == "token expired", NO_REASON)
        assert record.reason == "token expired"


def test_a_plain_answer_instead_of_a_stream_is_a_success(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A success in JSON instead of a stream is a success with the members of its object."""
    peer = cluster.peer(fault=Answer(json={"message": "an older peer"}))
    record = relay.deploy(to=[peer], events=True)[peer]
    with check("HTTP-05", "the status of the record"):
        assert record.status == "success"
    with check("RES-01", "the message of the record"):
        check.need(record.status == "success", "the record is not a success")
        assert record["message"] == "an older peer"


def test_a_real_peer_sends_its_refusal_as_an_event(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A real peer sends its refusal of a token as one event, and its text is the reason."""
    peer = cluster.peer(profile="harper-5.1")
    early = cluster.peer(fault=AnswerEarly(Answer.error(403, "may not deploy here"), "head"))
    node = relay.node(peer, mint=GivenToken("made-up"))
    outcome = relay.deploy(to=[node, early], events=True)
    control = outcome[early].status_code
    check.need(control == 403, "the status of the control, an early refusal, is lost (EARLY-01)")
    with check("MINT-12", "the status code of the record"):
        assert outcome[peer].status_code == 401
    with check("SSE-18", "the reason of the record"):
        accept = peer.uploads[-1].header("accept") if peer.uploads else ""
        check.need(
            "text/event-stream" in (accept or "").lower(), "no stream was requested (SSE-01)"
        )
        if outcome[peer].reason != "invalid token":
            alone = relay.deploy(to=[node])[peer].reason
            check.need(alone == "invalid token", NO_REASON)
        assert outcome[peer].reason == "invalid token"


def test_a_real_peer_fails_inside_its_stream(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A real peer answers 200 and fails inside the stream: the record is failed.

    The payload of the case is not a tar file.
    """
    peer, plain = cluster.peer(profile="harper-5.1"), cluster.peer(fault=PLAIN)
    outcome = relay.deploy(to=[peer, plain], events=True)
    check.need(outcome[plain].status == "success", NOT_READ)
    with check("SSE-02", "the status of the record"):
        status = peer.upload.answer_status
        check.need(status == 200, f"the peer answered {status}, and not 200 with a stream")
        assert outcome[peer].status == "failed"

"""What an origin tells a client that asks for events."""

from __future__ import annotations

import threading

import pytest

from deploy_relay_kit.harness import Answer, FakeCluster, Payload, StopReadingAfter
from deploy_relay_kit.harness.faults.broken_answers import Held
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.forms.origin import Origin

SECONDS = 20.0
SOON = 8.0  # an answer that waits for nothing


def test_the_first_bytes_come_while_the_nodes_work(
    cluster: FakeCluster, origin: Origin, check: Checks
) -> None:
    """The stream has begun while a node has not answered."""
    origin.need("events")
    release = threading.Event()
    peer = cluster.peer(
        fault=Held(Answer(200, json={"message": "ok"}), lambda: release.wait(SECONDS))
    )
    form = origin.form()
    with origin.knowing([peer]) as known, known.client() as client:
        known.begin(client, form, events=True)
        client.send(form.body)
        with check("EVENT-01", "the type in the head of the answer before a node answers"):
            begun = b""
            while b"\r\n\r\n" not in begun:
                begun += client.read(SOON)
            head = begun.partition(b"\r\n\r\n")[0].lower()
            assert b"text/event-stream" in head, f"got {head!r}"
        with check("EVENT-01", "the bytes of the stream before a node answers"):
            stream = begun.partition(b"\r\n\r\n")[2] or client.read(SOON)
            assert stream != b""
        release.set()


@pytest.mark.parametrize("fails", [False, True])
def test_a_stream_ends_once(
    cluster: FakeCluster, origin: Origin, check: Checks, *, fails: bool
) -> None:
    """The last event is `done`, or `error` if a node failed, and each node has one `peer`."""
    origin.need("events")
    fault = Answer.error(500, "full") if fails else None
    peers = [cluster.peer(), cluster.peer(fault=fault)]
    answer = origin.deploy(peers, origin.form(), events=True)
    with check("EVENT-02", "the events that end the stream"):
        ends = [it for it in answer.events if it in {"done", "error"}]
        assert ends == (["error"] if fails else ["done"])
    with check("EVENT-02", "the last event"):
        named = [it for it in answer.events if not it.startswith("_")]
        assert named[-1] in {"done", "error"}, f"expected done or error, got {named[-1]}"
    with check("EVENT-02", "the number of events peer"):
        assert answer.events.count("peer") == 2


@pytest.mark.parametrize("reads", ["leaves", "nothing"])
def test_the_client_of_a_stream_does_not_stop_the_deploy(
    cluster: FakeCluster, origin: Origin, check: Checks, large: Payload, reads: str
) -> None:
    """A client that leaves after the first event, or never reads, does not stop the deploy."""
    origin.need("events")
    taken = threading.Event()
    gone = threading.Event()

    def work() -> None:
        taken.set()
        gone.wait(SECONDS)

    # More than the buffers hold, so a deploy that is stopped is no whole upload.
    peer = cluster.peer(fault=StopReadingAfter(1_000_000, work))
    form = origin.form(large.path.read_bytes())
    with origin.knowing([peer]) as known, known.client() as client:
        known.begin(client, form, events=True)
        client.send(form.body)
        check.need(taken.wait(SECONDS), "no node got the deploy")
        if reads == "leaves":
            client.close()
            # Meanwhile the origin finds out that the client has left.
            known.deploy(origin.form(project="other", replicated=False))
        gone.set()
        # `uploads` waits for the ends of uploads.
        with check("EVENT-03", "the uploads that the node got whole"):
            assert [it.complete for it in peer.uploads] == [True]

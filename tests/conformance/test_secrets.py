"""Credential taint: every token and password is a canary, searched wherever it does not belong."""

from __future__ import annotations

import contextlib
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.answers import Answer, Await
from harness.faults import (
    AnswerEarly,
    CloseWithoutAnswer,
    MintAnswer,
    MintForAnotherUser,
    ResetAfter,
    TokensExpire,
    mint_refused,
)
from harness.targets import GivenToken, OperationsMint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.answers import Script
    from harness.cluster import FakeCluster
    from harness.faults import Fault
    from harness.payloads import Payload
    from harness.peer import FakePeer
    from harness.targets import Outcome, Relay

requirement = pytest.mark.requirement

TROUBLED: list[Fault | None] = [
    None,
    Answer.error(500, "boom"),
    TokensExpire(),
    MintForAnotherUser(),
    mint_refused(),
    ResetAfter(70_000),
    CloseWithoutAnswer(),
    AnswerEarly(Answer.error(403, "no")),
]


def leaked(peer: FakePeer, text: str) -> bool:
    """Whether a text holds any token of a peer, or its password."""
    return peer.password in text or text in peer.tokens


def received(peer: FakePeer) -> str:
    """All that a peer was sent, its payload aside."""
    told = [request.raw_head.decode("latin-1") for request in peer.requests]
    told += [json.dumps(mint.body) for mint in peer.mints]
    for upload in peer.uploads:
        told += [f"{part.name}={part.value!r}" for part in upload.field_parts]
    return "\n".join(told)


def told_by(outcome: Outcome) -> str:
    """All that a relay reported; as it is, since an escape could hide a canary."""
    return str([dict(record.members) for record in outcome.records]) + str(outcome.refused)


@requirement("BUG-41", "SEQ-08", "MINT-11")
def test_no_peer_is_sent_a_credential_of_another(cluster: FakeCluster, relay: Relay) -> None:
    peers = [cluster.peer(fault=fault) for fault in TROUBLED]
    relay.deploy(to=peers)
    sent = {peer.name: received(peer) for peer in peers}
    for owner in peers:
        assert {name for name, text in sent.items() if leaked(owner, text)} <= {owner.name}


@requirement("BUG-41")
@pytest.mark.parametrize("events", [False, True])
def test_no_record_and_no_output_holds_a_credential(
    cluster: FakeCluster, relay: Relay, capfd: pytest.CaptureFixture[str], *, events: bool
) -> None:
    peers = [cluster.peer(fault=fault) for fault in TROUBLED]
    outcome = relay.deploy(to=peers, events=events)
    written = "".join(capfd.readouterr())
    for text in (told_by(outcome), relay.target.output, written):
        assert not any(leaked(peer, text) for peer in peers)


@requirement("BUG-41")
@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize("form", ["json", "plain", "deep"])
def test_a_token_that_a_peer_quotes_stands_in_no_record(
    cluster: FakeCluster, relay: Relay, status: int, form: str
) -> None:
    peer = cluster.peer()
    token = peer.tokens.issue(peer.username)
    text = f"bad header: Bearer {token}"
    peer.fault = {
        "json": Answer(status, json={"message": text, "error": text}),
        "plain": Answer(status, body=text, content_type="text/plain"),
        "deep": Answer(status, json={"error": {"seen": [text]}, "more": {token: 1}}),
    }[form]
    outcome = relay.deploy(to=[relay.node(peer, mint=GivenToken(token))])
    assert not leaked(peer, told_by(outcome))


@requirement("BUG-41", "SEQ-06")
def test_a_password_that_a_peer_quotes_stands_in_no_record(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    peer.fault = MintAnswer(Answer.error(401, f"no user with the password {peer.password}"))
    node = relay.node(peer, mint=OperationsMint(peer.username, peer.password))
    outcome = relay.deploy(to=[node])
    assert outcome[peer].status == "failed"
    assert not leaked(peer, told_by(outcome))


@dataclass(frozen=True)
class LookedAround(Answer):
    """A good answer; before it, while the upload goes on, what processes show is written down."""

    pid: int = 0
    seen: list[str] = field(default_factory=list)

    def script(self, *, keep_alive: bool) -> Script:
        self.seen.extend(shown_by(family(self.pid)))
        yield Await.UPLOAD_ENDS
        yield from super().script(keep_alive=keep_alive)


def family(pid: int) -> set[int]:
    """A process and all its descendants."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def shown_by(pids: Iterable[int]) -> list[str]:
    """The arguments and the environment of processes, as other users of a machine see them."""
    texts = []
    for pid in pids:
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                texts.append(Path(f"/proc/{pid}/{name}").read_text(errors="replace"))
    return texts


@requirement("BUG-41")
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no processes are shown here")
def test_no_process_shows_a_credential_while_it_deploys(cluster: FakeCluster, relay: Relay) -> None:
    around = LookedAround(pid=relay.target.pid)
    peer = cluster.peer(fault=AnswerEarly(around))
    assert relay.deploy(to=[peer])[peer].status == "success"
    assert around.seen
    assert not any(leaked(peer, text) for text in around.seen)


@requirement("BUG-41", "SEQ-09")
def test_no_file_with_a_credential_is_left_behind(
    cluster: FakeCluster, relay: Relay, payload: Payload
) -> None:
    places = [Path(tempfile.gettempdir()), payload.path.parent, Path.cwd()]
    before = {path for place in places for path in place.iterdir()}
    peers = [cluster.peer(fault=fault) for fault in TROUBLED]
    relay.deploy(to=peers)
    for path in {path for place in places for path in place.iterdir()} - before:
        with contextlib.suppress(OSError):  # of somebody else, or gone
            text = path.read_text(errors="replace") if path.is_file() else ""
            assert not any(leaked(peer, text) for peer in peers), path

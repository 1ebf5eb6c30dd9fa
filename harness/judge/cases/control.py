"""How far a relay gets with a healthy peer: a case that expects less than this proves nothing."""

from enum import IntEnum

from msgspec import Struct

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.wording import cut
from deploy_relay_kit.harness.targets.outcome import Outcome, TargetBrokeError, TargetSkippedError
from deploy_relay_kit.harness.witness.moments import MomentKind


class Stage(IntEnum):
    """How far a deploy to a healthy peer got, in order."""

    NOTHING = 0
    REACHED = 1
    TRUSTED = 2
    MINTED = 3
    UPLOADED = 4
    REPORTED = 5


_BLOCKED = {
    Stage.NOTHING: "the relay opened no connection to a healthy peer",
    Stage.REACHED: "the relay did not trust the certificate of a healthy peer, signed by the "
    "authority in ca_file",
    Stage.TRUSTED: "the relay got no token from a healthy peer, or used none",
    Stage.MINTED: "the relay did not send a whole upload to a healthy peer",
    Stage.UPLOADED: "the relay did not report success for a healthy peer that took the whole "
    "upload and answered 200",
}
"""What is missing after each stage."""


class Control(Struct, frozen=True):
    """How far the relay got with a healthy peer.

    Attributes:
        stage: the last stage that a peer witnessed.
        words: what the relay reported of it.
    """

    stage: Stage
    words: str = ""

    @property
    def sends(self) -> bool:
        """Whether the relay sends a whole upload when nothing forbids it."""
        return self.stage >= Stage.UPLOADED

    @property
    def blocked_by(self) -> str:
        """What stands in the way of every case; empty when nothing does."""
        if self.stage is Stage.REPORTED:
            return ""
        return f"{_BLOCKED[self.stage]}; it reported: {self.words or 'nothing'}"


def control(relay: Relay, cluster: FakeCluster) -> Control:
    """Deploy to one healthy peer and see how far it goes."""
    peer = cluster.peer()
    try:
        words, record = _reported(relay.deploy(to=[peer]), peer.name)
    except (TargetBrokeError, TargetSkippedError) as error:
        (words, _, more), record = str(error).partition("\n"), ""
        if "its standard error:" in more:
            words += "; relay-harness lint shows its standard error"
    peer.settle()  # what the relay has sent may still be on its way
    stage = Stage.NOTHING
    seen = peer.live_connections
    if seen:
        stage = Stage.REACHED
    if any(it.kind is MomentKind.HANDSHAKE_DONE for each in seen for it in each.moments) and any(
        each.requests for each in seen
    ):
        stage = Stage.TRUSTED
    if peer.live_uploads:
        stage = Stage.MINTED
    if any(upload.complete for upload in peer.live_uploads):
        stage = Stage.UPLOADED
        if record == "success":
            stage = Stage.REPORTED
    return Control(stage, cut(words))


def _reported(outcome: Outcome, name: str) -> tuple[str, str]:
    """What a record says, in the relay's own words, and its status."""
    record = next((it for it in outcome.records if it.node == name), None)
    if record is None:
        return str(outcome), ""
    reason = record.members.get("reason")
    words = reason if isinstance(reason, str) and reason else str(record)
    return words, str(record.members.get("status"))

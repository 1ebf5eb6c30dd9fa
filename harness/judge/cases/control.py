"""How far a relay gets with a healthy peer, and what a case does not prove without that."""

from collections.abc import Iterable
from enum import IntEnum

from msgspec import Struct

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.text import description
from deploy_relay_kit.harness.judge.cases.leaks.search import sent_elsewhere
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.wording import cut
from deploy_relay_kit.harness.judge.model import Case, Check, Verdict
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


OF_CREDENTIALS = {"AGG-02", "BUG-41", "HTTP-04", "MINT-11", "SEQ-08"}
"""What may fail for itself where a node was sent a password or token of another."""


def block(case: Case, relay: Relay, cluster: FakeCluster) -> None:
    """Make untestable what the case does not prove, because what it is about did not happen.

    Where one of several faults was not shown, a failure is still a failure.
    """
    uploads = [upload for peer in cluster.peers for upload in peer.live_uploads]
    if relay.blocked_by and not any(upload.complete for upload in uploads):
        verdicts = Verdict.PASSED, Verdict.FAILED, Verdict.UNTESTABLE
        _make_untestable(case.checks, relay.blocked_by, *verdicts)
        return
    _block_by_credentials(case, relay, cluster)
    # A deploy that is cancelled may not get so far; its case looks for how far it got.
    whole = (command for command in relay.commands if command.cancel_after is None)
    told = {node.name for command in whole for node in command.nodes}
    endpoints = {it: it.name for it in cluster.peers} | {it: it.name for it in cluster.sockets}
    told -= relay.left_out
    faulty = [it for it, name in endpoints.items() if name in told and it.has_fault]
    hidden = [(it.title, fault) for it in faulty if (fault := it.fault_not_shown) is not None]
    if hidden:
        title, fault = hidden[0]
        reason = f"the relay did not get as far as what {title} was set to do: {description(fault)}"
        went_ahead = all(outcome.refused is None for outcome in relay.outcomes)
        none_was_shown = len(hidden) == len(faulty) and went_ahead
        _make_untestable(case.checks, reason, Verdict.PASSED, *[Verdict.FAILED] * none_was_shown)


def _block_by_credentials(case: Case, relay: Relay, cluster: FakeCluster) -> None:
    """A node that is sent a password or token of another refuses it, and fails for that alone."""
    failed = [it for it in case.checks if it.verdict is Verdict.FAILED]
    if blocked := [it for it in failed if it.requirement not in OF_CREDENTIALS]:
        told = {node.name for command in relay.commands for node in command.nodes}
        for owner, other in sent_elsewhere(cluster.peers):
            if other.name in told:
                what = "was sent a password or token of"
                _make_untestable(
                    blocked, f"{other.name} {what} {owner.name} (BUG-41)", Verdict.FAILED
                )


def _make_untestable(checks: Iterable[Check], reason: str, *verdicts: Verdict) -> None:
    for check in checks:
        if check.verdict in verdicts:
            check.verdict, check.blocked_by = Verdict.UNTESTABLE, reason
            check.expected = check.got = ""

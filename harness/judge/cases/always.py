"""The checks after every case, whatever the case is about; each charges one requirement."""

from collections import Counter
from collections.abc import Iterator

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import CUT
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.wording import shown
from deploy_relay_kit.harness.judge.model import Check, Verdict
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.targets.deploy_command import DeployCommand
from deploy_relay_kit.harness.targets.outcome import STATUSES, Outcome, Record
from deploy_relay_kit.harness.witness.requests import UploadWitness
from deploy_relay_kit.harness.witness.wire.finding import Finding, Rule

_CUT = {Rule.BODY_LENGTH, Rule.CHUNK_CUT, Rule.LAST_CHUNK, Rule.LAST_CHUNK_END}
"""What is missing in an upload whose connection was closed: after a refusal, that is lawful."""


def always(cluster: FakeCluster, relay: Relay) -> Iterator[Check]:
    """The failed checks of this kind; nothing is said where all is well."""
    for endpoint in [*cluster.peers, *cluster.sockets]:
        endpoint.settle()
        if endpoint.unsettled:
            subject = f"the requests at {endpoint.title} after the deploy"
            yield _failed("KIT-08", subject, "none in progress", endpoint.unsettled)
    yield from _findings(cluster)
    for command, outcome in zip(relay.commands, relay.outcomes, strict=False):
        if outcome.refused is None and not outcome.cancelled:
            yield from _records(command, outcome)
    yield from _uploads(cluster, relay)


def _failed(id_: str, subject: str, expected: str, got: str, rule: str = "") -> Check:
    return Check(id_, Verdict.FAILED, subject, expected, got, rule=rule)


def _findings(cluster: FakeCluster) -> Iterator[Check]:
    """Each rule of the wire format that an upload of the case broke, once."""
    found: dict[Rule, Finding] = {}
    for peer in cluster.peers:
        for upload in peer.live_uploads:
            for each in upload.findings:
                finding = _of_the_token(each, peer, upload)
                if finding.rule not in CUT:
                    found.setdefault(finding.rule, finding)
    for rule, finding in found.items():
        subject = f"the upload, {finding.layer} byte {finding.offset}"
        yield _failed(rule.id, subject, finding.expected, finding.got, rule.name)


def _of_the_token(finding: Finding, peer: FakePeer, upload: UploadWitness) -> Finding:
    """BUG-35 instead of HTTP-01 for two spaces before a token that the peer did not issue.

    The relay wrote one of them, and the other is the beginning of the token.
    """
    token = (upload.token or "").rstrip()
    is_blank = finding.rule is Rule.BEARER and token.startswith(" ")
    if not is_blank or token.strip() in peer.tokens.issued:
        return finding
    return Finding(Rule.TOKEN, finding.offset, Rule.TOKEN.expected, "a token with the byte 0x20")


def _records(command: DeployCommand, outcome: Outcome) -> Iterator[Check]:
    names = [node.name for node in command.nodes]
    if strange := [name for name in outcome.nodes if names and name not in names]:
        expected = f"one of {', '.join(map(shown, names))}"
        yield _failed("AGG-03", "the node of a record", expected, shown(strange[0]))
    elif names and outcome.nodes != names:  # of no nodes: AGG-05
        yield _failed("AGG-01", "the nodes of the records", shown(names), shown(outcome.nodes))
    for record in outcome.records:
        yield from _record(record)


def _record(record: Record) -> Iterator[Check]:
    node = shown(record.members["node"]) if record.members.get("node") is not None else "no node"
    status = record.members.get("status")
    if status not in STATUSES:
        expected = '"success" or "failed"'
        yield _failed("KIT-07", f"the status of the record of {node}", expected, shown(status))
    elif status == "failed":
        reason = record.members.get("reason")
        if not isinstance(reason, str) or not reason:
            subject = f"the reason in the failed record of {node}"
            yield _failed("KIT-07", subject, "a text that is not empty", shown(reason))


def _uploads(cluster: FakeCluster, relay: Relay) -> Iterator[Check]:
    allowed, successes, several = Counter[str](), Counter[str](), set[str]()
    names = {peer.http.url_for("/"): peer.name for peer in cluster.peers}
    for command, outcome in zip(relay.commands, relay.outcomes, strict=False):
        for node in command.nodes:
            # Two nodes may be one peer under different paths.
            at = [name for url, name in names.items() if (node.url or "").startswith(url)]
            allowed[(at or [node.name])[0]] += command.limits.attempts
            if command.limits.attempts > 1:
                several.add((at or [node.name])[0])
        for record in outcome.records:
            successes[str(record.members.get("node"))] += record.members.get("status") == "success"
    unanswered = len(relay.commands) - len(relay.outcomes)
    for peer in cluster.peers:
        uploads = peer.live_uploads
        if len(uploads) > allowed[peer.name] > 0 and not unanswered:
            subject = f"the uploads to {peer.name}"
            limit = f"at most {allowed[peer.name]}, as many as the attempts that were allowed"
            id_ = "RTY-04" if peer.name in several else "RTY-01"
            yield _failed(id_, subject, limit, str(len(uploads)))
        # A form without its closing delimiter that ended in good order has its own finding.
        whole = sum(it.reader.body_complete or it.reader.complete for it in uploads)
        if whole < successes[peer.name]:
            subject = f"the successes reported for {peer.name}"
            yield _failed(
                "RES-02", subject, f"at most {whole}, its whole uploads", str(successes[peer.name])
            )

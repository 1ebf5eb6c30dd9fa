"""What peers saw, in the words of the cases; a part that was not sent raises Unseen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.kinds import AnswerEarly, in_turn
from deploy_relay_kit.harness.judge.cases.checks import CUT, Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.wording import shown
from deploy_relay_kit.harness.peer.addresses import has_ipv6, loopback_address
from deploy_relay_kit.harness.peer.payloads import Payload
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.targets.deploy_command import DeployNode
from deploy_relay_kit.harness.targets.outcome import Outcome, Record
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.requests import UploadWitness
from deploy_relay_kit.harness.witness.wire import FilePart

STAGES: tuple[Literal["head", "file"] | int, ...] = ("head", "file", 70_000)
"""Where in an upload a peer refuses it."""
BAD_REQUEST = int(HTTPStatus.BAD_REQUEST)
UNAUTHORIZED, FORBIDDEN = int(HTTPStatus.UNAUTHORIZED), int(HTTPStatus.FORBIDDEN)


def file_of(upload: UploadWitness) -> FilePart:
    """The file part of an upload; Unseen when there is none, or when it does not end."""
    if not upload.file:
        raise Unseen("the upload has no file part")
    if not upload.file.complete:
        raise Unseen(f"the file part does not end after its {upload.file.length:,} bytes")
    return upload.file


def whole_uploads(peer: FakePeer) -> list[UploadWitness]:
    """The uploads to a peer with a complete body."""
    return [upload for upload in peer.uploads if upload.complete]


def need_mints(peer: FakePeer) -> None:
    """Raise Unseen if a peer refused the credentials of a mint: no upload follows that."""
    for mint in peer.mints:
        if mint.answer_status in {UNAUTHORIZED, FORBIDDEN}:
            raise Unseen(f"{peer.name} refused the credentials of a mint ({mint.answer_status})")


def requests_for(peer: FakePeer, target: str) -> list[RequestWitness]:
    """The requests for this target, also those that a relay sends without its credentials."""
    peer.settle()
    every = (request for seen in list(peer.http.connections) for request in seen.requests)
    return [request for request in every if request.target == target]


def names_of(peer: FakePeer) -> list[str]:
    """The names of the fields in every upload to a peer, in order."""
    return [part.name for upload in peer.uploads for part in upload.field_parts]


def text_of(peer: FakePeer, name: str, given: str) -> bytes | None:
    """The value of a text field in the upload to a peer; None without the field or the upload.

    JSON quotes around the given text are taken off, because they break WIRE-06 alone.
    """
    value = peer.upload.fields.get(name) if peer.uploads else None
    try:
        quoted = json.loads(value or b"")
    except ValueError:
        return value
    return as_utf_8(given) if quoted == given else value


def as_utf_8(text: str) -> bytes:
    """A text as WIRE-12 has it: U+FFFD instead of a lone surrogate."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.encode()


def need_field(peer: FakePeer, name: str) -> None:
    """Raise Unseen unless the upload to a peer has this field, which nothing forbids."""
    if name not in peer.upload.fields:
        raise Unseen(f"the member {name} is not forwarded either (FLD-04)")


def need_upload(cluster: FakeCluster, relay: Relay, request: Mapping[str, Any], **how: Any) -> None:
    """Raise Unseen unless the relay forwards these members to a healthy peer.

    The control of a case in which the relay may refuse members that are much like them.
    """
    peer = cluster.peer()
    relay.deploy(to=[peer], request=request, **how)
    nearest = "the nearest request that is allowed"
    if request:
        nearest += f", with the members {shown(request)}"
    if not peer.uploads:
        raise Unseen(f"the relay sends no upload for {nearest}")
    names = names_of(peer)
    if not peer.uploads[-1].complete:
        raise Unseen(f"the relay completes no upload for {nearest}")
    if missing := [name for name in request if name not in names]:
        raise Unseen(f"the relay does not forward {', '.join(missing[:3])} of {nearest}")


def need_value(cluster: FakeCluster, relay: Relay, value: object, form: str) -> None:
    """Raise Unseen unless the value of a member has this form on the wire."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request={"note": value})
    sent = peer.upload.fields.get("note") if peer.uploads else None
    if sent != form.encode():
        written = "nothing" if sent is None else sent.decode(errors="replace")
        raise Unseen(f"the value {form} is sent as {written}, too (WIRE-06, WIRE-12)")


def need_good_upload(peer: FakePeer) -> None:
    """Raise Unseen if a healthy peer refused an upload, or got one without an end.

    Then its record says nothing of its neighbours.
    """
    for upload in peer.uploads:
        if upload.answer_status not in (None, 200):
            raise Unseen(f"{peer.name} answered {upload.answer_status} to its upload")
        if upload.reader.complete and not upload.reader.body_complete:
            raise Unseen(f"the upload to {peer.name} has no closing delimiter")


def temporary(cluster: FakeCluster) -> FakePeer:
    """A peer whose first upload fails for the moment: the control of what is not retried."""
    return cluster.peer(fault=in_turn(Answer(HTTPStatus.SERVICE_UNAVAILABLE), None))


def need_retry(peer: FakePeer) -> None:
    """Raise Unseen unless the relay made another attempt to a temporary peer."""
    if len(peer.uploads) < 2:  # noqa: PLR2004 - two attempts
        raise Unseen(f"the relay makes no other attempt after a 503 either ({peer.name}, RTY-02)")


def need_served(relay: Relay, *peers: FakePeer, **how: Any) -> None:
    """Raise Unseen unless each of these peers gets an upload in one deploy, with its right URL."""
    before = [len(peer.uploads) for peer in peers]
    relay.deploy(to=peers, **how)
    for peer, count in zip(peers, before, strict=True):
        if len(peer.uploads) == count:
            raise Unseen(f"{peer.name} gets no upload either when nothing forbids it")


def need_message(cluster: FakeCluster, relay: Relay) -> None:
    """Raise Unseen unless the record of a simple success has the message of the answer."""
    peer = cluster.peer()
    if "message" not in relay.deploy(to=[peer])[peer]:
        raise Unseen("the record of a simple success has no message either (RES-01)")


def look_at_neighbour(
    check: Checks,
    relay: Relay,
    outcome: Outcome,
    peer: FakePeer,
    *,
    node: DeployNode | None = None,
    subject: str = "the record of the healthy peer",
) -> None:
    """Look for the success of a healthy peer beside one that fails (AGG-04).

    A relay with another record deploys to this peer alone: what fails then, too, fails for
    another reason.
    """
    with check("AGG-04", subject):
        need_good_upload(peer)
        if (status := outcome[peer].status) != "success":
            alone = relay.deploy(to=[node or peer])[peer]
            words = str(alone.members.get("reason"))
            check.need(alone.status == "success", f"{peer.name} fails alone, too: {words}")
        assert status == "success"


def tokens_of(peer: FakePeer) -> list[str]:
    """The tokens of the uploads to a peer; Unseen when one carries no bearer token (HTTP-01)."""
    tokens = [upload.token for upload in peer.uploads]
    if not all(tokens):
        raise Unseen(f"an upload to {peer.name} carries no bearer token (HTTP-01)")
    return [token.strip(" ") for token in tokens if token]  # more than one space: HTTP-01


def need_port(cluster: FakeCluster, relay: Relay) -> None:
    """Raise Unseen unless a node of a host and a port alone is reached."""
    peer = cluster.peer()
    relay.deploy(to=[relay.node(peer, url=None, host=peer.http.host, port=peer.http.port)])
    if not peer.uploads:
        raise Unseen("a node of a host and a port alone is not reached either (URL-03)")


def need_records_of_failures(cluster: FakeCluster, relay: Relay) -> None:
    """Raise Unseen if the relay refuses a deploy because of a node that refuses its upload."""
    peer = cluster.peer(fault=Answer.error(FORBIDDEN, "may not deploy"))
    if relay.deploy(to=[peer, cluster.peer()]).refused is not None:
        raise Unseen("a refusal by one node ends the deploy, too (AGG-02)")


def need_good_form(peer: FakePeer) -> None:
    """Raise Unseen if a mint or an upload has a form that a real peer refuses, too."""
    if any(mint.answer_status == BAD_REQUEST for mint in peer.mints):
        raise Unseen(f"{peer.name} refused the form of a mint (MINT-01)")
    for upload in peer.uploads:
        if broken := [finding.rule for finding in upload.findings if finding.rule not in CUT]:
            raise Unseen(f"the upload breaks {broken[0].id}, which the peer refuses")


def need_other_refusal(cluster: FakeCluster, relay: Relay, **how: Any) -> None:
    """Raise Unseen unless the reason of another refusal of a real peer is in its record."""
    peer = cluster.peer(profile="harper-5.1")
    untyped = cluster.peer(fault=Answer(FORBIDDEN, body='{"error":"may not deploy"}'))
    outcome = relay.deploy(to=[peer, untyped], request={"project": "a b"}, **how)
    is_read = "alphanumeric" in outcome[peer].reason
    if not is_read or outcome[untyped].reason != "may not deploy":
        raise Unseen("the reason of another refusal of a real peer is not in its record either")


def need_early_refusals(cluster: FakeCluster, relay: Relay, **how: Any) -> None:
    """Raise Unseen unless each of several refusals during an upload is in its record.

    A relay that sees some of them by chance breaks EARLY-01 or EARLY-04.
    """
    refusal = Answer.error(FORBIDDEN, "may not deploy")
    faults = [AnswerEarly(refusal, at, "stop") for at in STAGES for _ in range(3)]
    peers = [cluster.peer(fault=fault) for fault in faults]
    outcome = relay.deploy(to=peers, **how)
    found = {(outcome[peer].status_code, outcome[peer].reason) for peer in peers}
    if found != {(FORBIDDEN, refusal.json["error"])}:
        raise Unseen("not every refusal during an upload is in its record")


def need_late_reading(peer: FakePeer, payload: Payload) -> None:
    """Raise Unseen when the payload arrived whole: then the relay had read it before."""
    if any(file_of(upload).sha256 == payload.sha256 for upload in whole_uploads(peer)):
        raise Unseen("the relay had read the whole payload before it changed")


def look_for_refused_token(
    check: Checks,
    cluster: FakeCluster,
    relay: Relay,
    record: Record,
    words: str,
    *,
    peer: FakePeer,
) -> None:
    """Look for a refused token in the record of a peer (MINT-12): 401 and the peer's words.

    If one is missing, a control follows: a relay that loses the status or the reason of every
    refusal breaks RES-05, RES-06 or EARLY-01, and not this requirement.
    """
    tokens_of(peer)
    told, blocked_by = (record.status_code, record.reason), ""
    if record.status == "failed" and told != (UNAUTHORIZED, words):
        try:
            need_early_refusals(cluster, relay)
        except Unseen as missing:
            blocked_by = str(missing)
    with check("MINT-12", "the status code of the record"):
        check.need(not blocked_by, blocked_by)
        assert record.status_code == UNAUTHORIZED
    with check("MINT-12", "the reason of the record"):
        check.need(not blocked_by, blocked_by)
        assert record.reason == words


def handshakes(peer: FakePeer) -> int:
    """The connections on which the relay began a TLS handshake."""
    return sum(seen.has_spoken for seen in peer.connections)


def plain_connections(peer: FakePeer) -> int:
    """The connections on which something other than TLS was sent to a port with TLS."""
    peer.settle()
    return sum(it.handshake_error == "HTTP_REQUEST" for it in list(peer.http.connections))


def hosts() -> list[tuple[str, str]]:
    """A host of each form in a URL, with the address of its peer."""
    by_address = [(loopback_address(1), loopback_address(1)), ("localhost", "127.0.0.1")]
    return [*by_address, ("[::1]", "::1")] if has_ipv6() else by_address

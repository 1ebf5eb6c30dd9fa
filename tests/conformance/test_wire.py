"""The bytes of an upload, as the peers read them."""

from __future__ import annotations

from itertools import pairwise, zip_longest
from pathlib import Path

import pytest

from deploy_relay_kit.harness import FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import file_of, need_value


def test_the_upload_keeps_to_the_wire_format(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """An upload keeps every rule of the wire format."""
    peer = cluster.peer()
    relay.deploy(to=[peer])
    check.wire(peer.upload)


@pytest.mark.parametrize("events", [False, True])
@pytest.mark.parametrize("size", [1, 16_000_000])
def test_neither_its_size_nor_events_change_the_form_of_an_upload(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path, size: int, *, events: bool
) -> None:
    """A payload of any size is sent in the same form, with events and without.

    Some senders give small bodies a length, or ask before they send large ones.
    """
    peer = cluster.peer()
    staged = tmp_path / "package.tar.gz"
    staged.write_bytes(bytes(size))
    relay.deploy(to=[peer], payload=staged, events=events)
    check.wire(peer.upload)
    with check("FLD-08", "the bytes of the payload"):
        assert file_of(peer.upload).length == size


def boundaries_of(cluster: FakeCluster, relay: Relay, *, deploys: int) -> list[list[str]]:
    """The boundaries that three peers were sent, deploy by deploy."""
    peers = [cluster.peer() for _ in range(3)]
    for _ in range(deploys):
        relay.deploy(to=peers)
    headers = [[upload.header("content-type") or "" for upload in peer.uploads] for peer in peers]
    return [[boundary_in(header) for header in deploy] for deploy in zip(*headers, strict=False)]


def boundary_in(content_type: str) -> str:
    """The text after `boundary=`, in capitals or not (RFC 9110 section 5.6.6)."""
    at = content_type.lower().find("boundary=")
    return content_type[at + len("boundary=") :] if at >= 0 else ""


def test_no_two_uploads_share_a_boundary(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """No two uploads share a boundary."""
    boundaries = [it for deploy in boundaries_of(cluster, relay, deploys=2) for it in deploy]
    with check("WIRE-02", "the different boundaries of six uploads"):
        check.need(len(boundaries) == 6, f"the peers saw {len(boundaries)} uploads, not six")
        assert len(set(boundaries)) == 6


VARYING = 8  # characters; a counter or a clock changes fewer, twelve random digits all of theirs


def test_no_boundary_can_be_guessed_from_others(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A boundary cannot be computed from those of other deploys or peers, as a counter can."""
    deploys = boundaries_of(cluster, relay, deploys=3)
    of_peers = [list(peer) for peer in zip(*deploys, strict=True)]
    with check("WIRE-02", "the characters that differ between three boundaries"):
        check.need(len(deploys) == 3, f"the peers saw {len(deploys)} uploads each, not three")
        for boundaries in (*deploys, *of_peers):
            varying = [at for at in zip_longest(*boundaries) if len(set(at)) > 1]
            assert len(varying) >= VARYING, (
                f"expected at least {VARYING} characters that differ, got {len(varying)}: "
                f"{', '.join(boundaries)}"
            )


def test_no_boundary_tells_the_time(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A boundary is not made from a clock.

    A clock goes one way; fifteen random boundaries in five steps do so once in eighty million runs.
    """
    deploys = boundaries_of(cluster, relay, deploys=5)
    steps = [sorted((len(it), it) for it in together) for together in deploys]
    rising = all(before[-1] < after[0] for before, after in pairwise(steps))
    falling = all(before[0] > after[-1] for before, after in pairwise(steps))
    with check("WIRE-02", "the order of the boundaries of five deploys"):
        check.need(len(steps) == 5, f"the peers saw {len(steps)} uploads each, not five")
        has_order = rising or falling
        assert not has_order, "expected no order, got boundaries sorted by time"


def test_a_value_with_line_breaks_and_hyphens_arrives_as_it_is(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A value with line breaks, hyphens and quotes arrives as it is."""
    peer = cluster.peer()
    value = 'first\r\n--second\n----HarperMultipart\r\n\r\n"third"\\'
    relay.deploy(to=[peer], request={"note": value})
    with check("WIRE-11", "the value of the field note"):
        if peer.upload.fields["note"] != value.encode():
            need_value(cluster, relay, "plain", "plain")
        assert peer.upload.fields["note"] == value.encode()


def test_a_value_that_looks_like_an_earlier_boundary_arrives_as_it_is(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A value with the delimiter of an earlier upload arrives as it is.

    A boundary that can be computed from an earlier upload would end the value's part.
    """
    peer, other = cluster.peer(), cluster.peer()
    relay.deploy(to=[peer])
    relay.deploy(to=[peer])
    check.need(len(peer.uploads) == 2, "two deploys did not make two uploads")
    older, earlier = (boundary_in(it.header("content-type") or "") for it in peer.uploads)
    check.need(earlier, "the upload has no boundary")
    check.need(older != earlier, "two uploads share a boundary (WIRE-02)")
    value = f"before\r\n--{earlier}--\r\nafter"
    relay.deploy(to=[other], request={"note": value})
    with check("WIRE-11", "the value of the field note"):
        if other.upload.fields["note"] != value.encode():
            need_value(cluster, relay, "plain", "plain")
        assert other.upload.fields["note"] == value.encode()


@pytest.mark.parametrize(
    "name",
    [
        *("", 'a"; filename="x', "a;b", "a\\", "é", "a: b", "a\0b", "a\x01b", "a\x1bb", "a\x7fb"),
        *("a\x0bb", "a\x0cb"),
        *("n" * 10_000, "n" * 16_300, "n" * 16_384, "n" * 17_000, "é" * 9_000),
    ],
    ids=lambda name: ascii(name)[:12] + str(len(name)),
)
def test_no_name_of_a_member_makes_a_part_that_peers_refuse(
    cluster: FakeCluster, relay: Relay, check: Checks, name: str
) -> None:
    """A member whose name no peer can read in a part is refused, or sent in a form that it can.

    Names without any quotes or line breaks in them are the plain neighbours.
    """
    plain, peer = cluster.peer(), cluster.peer()
    outcome = relay.deploy(to=[peer], request={name: "value", "note": "last"})
    relay.deploy(to=[plain], request={"plain": "value", "note": "last"})
    check.need(plain.uploads, "a member with a plain name was not sent either")
    named = f"the name {name!r}" if len(name) < 20 else f"a name of {len(name.encode()):,} bytes"
    if peer.uploads:
        check.wire(peer.upload)
        with check("FLD-04", f"the field after the one with {named}"):
            assert peer.upload.fields.get("note") == b"last"
    else:
        with check("PARSE-20", f"the deploy with {named}, which peers refuse"):
            assert outcome.fails(peer), "expected a refusal or a failed record, got a success"


def test_the_upload_names_its_host_and_carries_one_bearer_token(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The upload is a POST that names its host and carries a token of the peer."""
    peer = cluster.peer()
    relay.deploy(to=[peer])
    with check("HTTP-01", "the method of the upload"):
        assert peer.upload.method == "POST"
    with check("HTTP-01", "the Host of the upload, without its port"):
        host = peer.upload.header("host") or ""
        assert host.removesuffix(f":{peer.http.port}") == peer.http.host
    with check("HTTP-01", "what the Authorization of the upload is worth"):
        assert peer.tokens.worth(peer.upload.header("authorization")) == "good"


def test_host_holds_the_port_when_it_is_not_the_usual_one(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Host holds the port when it is not the scheme's own."""
    peer = cluster.peer()
    relay.deploy(to=[peer])
    with check("HTTP-02", "the Host of the upload"):
        assert peer.upload.header("host") == f"{peer.http.host}:{peer.http.port}"


def test_an_accept_header_admits_json(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """An Accept header, if there is one, admits JSON: nothing has requested an event stream."""
    peer = cluster.peer()
    relay.deploy(to=[peer])
    check.need(peer.uploads, f"{peer.name} saw no upload")
    admitted = ("*/*", "application/*", "application/json")
    for request in peer.requests:
        accept = request.header("accept")
        with check("HTTP-06", "the Accept of a request"):
            fits = accept is None or any(it in accept.lower() for it in admitted)
            assert fits, f"expected one of {', '.join(admitted)}, or none, got {accept}"


def test_no_credential_stands_in_the_body(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """No user name, password or token stands in the body of an upload."""
    peer = cluster.peer()
    relay.deploy(to=[peer])
    for part in peer.upload.field_parts:
        text = f"{part.name} {part.value.decode(errors='replace')}"
        with check("WIRE-16", f"the credentials in the field {part.name}"):
            assert peer.username not in text, "expected no user name, got the peer's"
            assert peer.password not in text, "expected no password, got the peer's"
            assert not peer.tokens.appear_in(text), "expected no token, got the peer's"

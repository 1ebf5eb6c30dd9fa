"""The bytes of an upload, as the peers read them."""

from __future__ import annotations

from itertools import pairwise, zip_longest
from pathlib import Path

import pytest

from harness.cluster import FakeCluster
from harness.judge.cases.relay import Relay
from harness.witness.requests import UploadWitness

requirement = pytest.mark.requirement


def findings(upload: UploadWitness, *ids: str) -> list[str]:
    """What broke these rules, in words."""
    return [str(finding) for finding in upload.findings if finding.id in ids]


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param("WIRE-01", marks=requirement("WIRE-01")),
        pytest.param("WIRE-02", marks=requirement("WIRE-02")),
        pytest.param("WIRE-03", marks=requirement("WIRE-03")),
        pytest.param("WIRE-04", marks=requirement("WIRE-04")),
        pytest.param("WIRE-05", marks=requirement("WIRE-05")),
        pytest.param("WIRE-12", marks=requirement("WIRE-12")),
        pytest.param("WIRE-13", marks=requirement("WIRE-13")),
        pytest.param("HTTP-01", marks=requirement("HTTP-01")),
        pytest.param("PARSE-16", marks=requirement("PARSE-16")),
        pytest.param("PARSE-20", marks=requirement("PARSE-20")),
        pytest.param("PARSE-21", marks=requirement("PARSE-21")),
        pytest.param("PARSE-22", marks=requirement("PARSE-22")),
    ],
)
def test_the_upload_keeps_to_the_wire_format(cluster: FakeCluster, relay: Relay, rule: str) -> None:
    """A case for each rule that can be broken in any upload: one broken rule is one failure."""
    peer = cluster.peer()
    relay.deploy(to=[peer])
    assert findings(peer.upload, rule) == []


@requirement("WIRE-01", "WIRE-05", "WIRE-13")
@pytest.mark.parametrize("events", [False, True])
@pytest.mark.parametrize("size", [1, 16_000_000])
def test_neither_its_size_nor_events_change_the_form_of_an_upload(
    cluster: FakeCluster, relay: Relay, tmp_path: Path, size: int, *, events: bool
) -> None:
    """Some senders give small bodies a length, or ask before they send large ones."""
    peer = cluster.peer()
    staged = tmp_path / "package.tar.gz"
    staged.write_bytes(bytes(size))
    relay.deploy(to=[peer], payload=staged, events=events)
    assert findings(peer.upload, "WIRE-01", "WIRE-05", "WIRE-13") == []


@requirement("WIRE-02")
def test_no_two_uploads_share_a_boundary(cluster: FakeCluster, relay: Relay) -> None:
    peers = [cluster.peer() for _ in range(3)]
    relay.deploy(to=peers)
    relay.deploy(to=peers)
    boundaries = [upload.header("content-type") for peer in peers for upload in peer.uploads]
    assert len(set(boundaries)) == len(boundaries) == 6


def boundary_in(content_type: str) -> str:
    """Behind `boundary=`, in capitals or not (RFC 9110 section 5.6.6)."""
    at = content_type.lower().find("boundary=")
    return content_type[at + len("boundary=") :] if at >= 0 else ""


VARYING = 8  # characters; a counter or a clock changes fewer, twelve random digits all of theirs


@requirement("WIRE-02", "WIRE-11")
def test_no_boundary_can_be_guessed_from_others(cluster: FakeCluster, relay: Relay) -> None:
    """A boundary that counts on from the last one is new, and known to whoever saw that."""
    peers = [cluster.peer() for _ in range(3)]
    relay.deploy(to=peers)
    relay.deploy(to=peers)
    headers = [upload.header("content-type") or "" for peer in peers for upload in peer.uploads]
    boundaries = [boundary_in(header) for header in headers]
    varying = [at for at in zip_longest(*boundaries) if len(set(at)) > 1]
    shown = ", ".join(boundaries)
    assert len(varying) >= VARYING, f"only {len(varying)} characters differ between {shown}"


@requirement("WIRE-02", "WIRE-11")
def test_no_boundary_tells_the_time(cluster: FakeCluster, relay: Relay) -> None:
    """A clock goes one way; fifteen random ones in five steps do once in eighty million times."""
    peers = [cluster.peer() for _ in range(3)]
    for _ in range(5):
        relay.deploy(to=peers)
    headers = [[upload.header("content-type") or "" for upload in peer.uploads] for peer in peers]
    steps = [sorted((len(it), it) for it in together) for together in zip(*headers, strict=True)]
    assert len(steps) == 5
    assert any(before[-1] >= behind[0] for before, behind in pairwise(steps))
    assert any(before[0] <= behind[-1] for before, behind in pairwise(steps))


@requirement("WIRE-11")
def test_a_value_with_line_breaks_and_hyphens_arrives_as_it_is(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    value = 'first\r\n--second\n----HarperMultipart\r\n\r\n"third"\\'
    relay.deploy(to=[peer], request={"note": value})
    assert peer.upload.fields["note"] == value.encode()


@requirement("WIRE-02", "WIRE-11")
def test_a_value_that_looks_like_an_earlier_boundary_arrives_as_it_is(
    cluster: FakeCluster, relay: Relay
) -> None:
    """A boundary that can be foreseen from an earlier upload would end the value's part."""
    peer = cluster.peer()
    relay.deploy(to=[peer])
    earlier = boundary_in(peer.upload.header("content-type") or "")
    assert earlier
    other = cluster.peer()
    value = f"before\r\n--{earlier}--\r\nbehind"
    relay.deploy(to=[other], request={"note": value})
    assert other.upload.fields["note"] == value.encode()


OF_NAMES = ("PARSE-16", "PARSE-20", "PARSE-21", "PARSE-22", "WIRE-04", "WIRE-10")


@requirement("PARSE-16", "PARSE-20", "PARSE-21", "PARSE-22", "WIRE-04", "WIRE-10")
@pytest.mark.parametrize(
    "name",
    [
        *("", 'a"; filename="x', "a;b", "a\\", "é", "a: b", "a\0b", "a\x01b", "a\x7fb"),
        *("n" * 10_000, "n" * 17_000),
    ],
    ids=lambda name: ascii(name)[:12] + str(len(name)),
)
def test_no_name_of_a_member_makes_a_part_that_peers_refuse(
    cluster: FakeCluster, relay: Relay, name: str
) -> None:
    """A name without a form that peers can read is refused before anything is sent."""
    peer = cluster.peer()
    outcome = relay.deploy(to=[peer], request={name: "value", "note": "last"})
    if peer.uploads:
        assert findings(peer.upload, *OF_NAMES) == []
        assert peer.upload.fields["note"] == b"last"
    else:
        assert outcome.refused or outcome[peer].status == "failed"


@requirement("HTTP-01")
def test_the_upload_names_its_host_and_carries_one_bearer_token(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer])
    assert peer.upload.method == "POST"
    assert (peer.upload.header("host") or "").startswith(peer.http.host)
    assert peer.tokens.worth(peer.upload.header("authorization")) == "good"


@requirement("HTTP-02")
def test_host_holds_the_port_when_it_is_not_the_usual_one(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer])
    assert peer.upload.header("host") == f"{peer.http.host}:{peer.http.port}"


@requirement("HTTP-06")
def test_an_accept_header_admits_json(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer])
    assert peer.uploads
    admitted = ("*/*", "application/*", "application/json", "text/event-stream")
    for accept in [request.header("accept") for request in peer.requests]:
        assert accept is None or any(media_type in accept.lower() for media_type in admitted)


@requirement("WIRE-16")
def test_no_credential_stands_in_the_body(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    relay.deploy(to=[peer])
    for part in peer.upload.field_parts:
        text = f"{part.name} {part.value.decode()}"
        assert peer.username not in text
        assert peer.password not in text
        assert not peer.tokens.appear_in(text)

"""Where credentials are looked for that a relay has left behind."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.judge.cases.leaks.search import (
    changed_since,
    contents,
    files_in_reach,
    leaked,
    leaks,
    received_by,
    reported_by,
)
from deploy_relay_kit.harness.judge.cases.leaks.watch import watch_files
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.peer.payloads import stage_payload
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.targets import Outcome
from deploy_relay_kit.harness.targets.reference import ReferenceTarget
from tests.rawclient import RawClient, mint_request


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """An own directory for temporary files, and the one in which a relay is started."""
    places = [tmp_path / "tmp", tmp_path / "here"]
    for place in places:
        place.mkdir()
        (place / "old.log").write_text("old\n")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(places[0]))
    monkeypatch.chdir(places[1])
    return places


@pytest.mark.parametrize("place", [0, 1], ids=["temporary", "its own"])
def test_files_that_are_new_or_have_grown_are_looked_at(places: list[Path], place: int) -> None:
    before = files_in_reach()
    with (places[place] / "old.log").open("a") as log:
        log.write("more\n")
    (places[place] / "new.log").touch()
    assert changed_since(before) == {places[place] / name for name in ("old.log", "new.log")}


def test_what_pytest_leaves_and_directories_that_were_there_are_passed_over(
    places: list[Path],
) -> None:
    (places[1] / "build").mkdir()
    before = files_in_reach()
    (places[0] / "pytest-of-me").mkdir()
    (places[1] / "build" / "log").touch()
    assert changed_since(before) == set()


def test_a_new_directory_beside_the_relay_is_looked_into(places: list[Path]) -> None:
    before = files_in_reach()
    (places[1] / "cache").mkdir()
    (places[1] / "cache" / "token").write_text("made-elsewhere")
    assert contents(changed_since(before)) == "made-elsewhere"


ODD = 'pass "wörd" ☃\\'


@pytest.mark.parametrize(
    "members",
    [
        {"reason": f"no user with {ODD}"},
        {"reason": json.dumps({"password": ODD})},
        {"reason": json.dumps({"password": ODD}, ensure_ascii=False)},
        {"deep": [{"er": [ODD]}]},
        {ODD: None},
    ],
)
def test_no_escape_hides_a_password_from_a_look_at_records(members: dict[str, object]) -> None:
    peer = FakePeer(None, password=ODD)
    assert leaked(peer, reported_by(Outcome.of([members])))
    assert not leaked(peer, reported_by(Outcome.of([{"reason": "no such user"}])))


def test_no_escape_hides_a_password_from_a_look_at_what_a_peer_was_sent(
    cluster: FakeCluster,
) -> None:
    peer, other = cluster.peer(password=ODD), cluster.peer()
    with RawClient(other.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        assert client.read_answer().status == 401
    assert leaked(peer, received_by(other))


@pytest.mark.parametrize(
    ("text", "is_leaked"),
    [("a b", False), ("b c", True), (b64encode(b"a:b c").decode(), True), ("Basic", False)],
)
def test_a_password_is_known_as_it_is_and_as_it_is_sent(text: str, *, is_leaked: bool) -> None:
    peer = FakePeer(None, username="a", password="b c")
    assert bool(leaked(peer, f"Authorization: {text}")) is is_leaked


def test_a_leak_is_named_and_not_shown() -> None:
    peer = FakePeer(None, password=ODD)
    issued = peer.node.issue_tokens(None)
    assert leaked(peer, f"no user with {ODD}") == "the password"
    assert (
        leaked(peer, json.dumps(ODD))
        == r"the password with the escapes of JSON (\" \u00f6 \u2603 \\)"
    )
    assert leaked(peer, f"GET /?{quote_plus(ODD)}") == (
        "the password with the escapes of a URL (%22 %C3 %B6 %E2 %98 %83 %5C)"
    )
    assert leaked(peer, b64encode(ODD.encode()).decode()) == "the password in base64"
    assert leaked(peer, issued["operation_token"]) == "the token"
    assert leaked(peer, issued["refresh_token"]) == "the refresh token"


def test_the_escapes_of_a_leak_are_those_that_the_secret_itself_does_not_have() -> None:
    peer = FakePeer(None, password="100%20sure/\\n " + "ä" * 3 + "<>{}^`[]")
    assert leaked(peer, quote(peer.password)) == (
        "the password with the escapes of a URL (%25 %5C %C3 %A4 %3C %3E %7B %7D …)"
    )


def test_a_leak_in_a_record_is_named_with_its_owner_and_its_form(tmp_path: Path) -> None:
    peer = FakePeer(None, name="eu", password=ODD)
    payload = stage_payload(tmp_path / "package.tar.gz", 1_000)
    relay = Relay(ReferenceTarget(), ca_file=tmp_path, payload=payload)
    relay.outcomes.append(Outcome.of([{"node": "eu", "status": "failed", "reason": quote(ODD)}]))
    (found,) = leaks([peer], relay, [])
    assert found.startswith("the record of eu shows the password of eu, with the escapes of a URL")


def test_what_a_relay_wrote_in_an_earlier_deploy_of_a_case_is_looked_at(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    """A target forgets what it wrote when the next deploy begins."""
    peer, target = cluster.peer(), ReferenceTarget()
    payload = stage_payload(tmp_path / "package.tar.gz", 1_000)
    relay = Relay(target, ca_file=cluster.ca_file, payload=payload)
    for written in (f"sent {peer.password}", "all is well"):
        relay.deploy(to=[peer])
        target.output = written
    assert list(leaks([peer], relay, [])) == [
        f"the output of the relay shows the password of {peer.name}"
    ]


def test_a_file_that_is_removed_again_is_read(places: list[Path]) -> None:
    old = places[0] / "old"
    old.write_text("as before")
    with watch_files() as written:
        file = places[0] / "new" / "token"
        file.parent.mkdir()
        file.write_text("made-elsewhere")
        deadline = time.monotonic() + 10
        while "made-elsewhere" not in written.text and time.monotonic() < deadline:
            time.sleep(0)
        file.unlink()
        file.parent.rmdir()
    assert "made-elsewhere" in written.text
    assert "as before" not in written.text

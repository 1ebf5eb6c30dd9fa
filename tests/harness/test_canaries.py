"""Where credentials are looked for that a relay has left behind."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from harness.canaries import changed_since, files_in_reach, leaked
from harness.peer import FakePeer

if TYPE_CHECKING:
    from pathlib import Path


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


def test_what_pytest_leaves_and_directories_beside_the_relay_are_passed_over(
    places: list[Path],
) -> None:
    before = files_in_reach()
    (places[0] / "pytest-of-me").mkdir()
    (places[1] / "build").mkdir()
    assert changed_since(before) == set()


@pytest.mark.parametrize(
    ("text", "is_leaked"),
    [("a b", False), ("b c", True), (b64encode(b"a:b c").decode(), True), ("Basic", False)],
)
def test_a_password_is_known_as_it_is_and_as_it_is_sent(text: str, *, is_leaked: bool) -> None:
    peer = FakePeer(None, username="a", password="b c")
    assert leaked(peer, f"Authorization: {text}") is is_leaked

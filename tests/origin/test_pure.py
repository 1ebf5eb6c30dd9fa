"""Fields, archives and users, without a server."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy_relay_kit.relay.origin.access.tokens import lifetime_in
from deploy_relay_kit.relay.origin.config import Bounds
from deploy_relay_kit.relay.origin.local import commands
from deploy_relay_kit.relay.origin.local.archive import unpack
from deploy_relay_kit.relay.origin.refusal import RefusalError
from deploy_relay_kit.relay.origin.wire import fields
from tests.origin.archives import archive, bomb, entry
from tests.relay.test_request import V1

VALUES = [*V1, ("9" * 5_000, "9" * 5_000)]


@pytest.mark.parametrize(
    ("text", "value"), VALUES, ids=[text[:12] or "empty" for text, _ in VALUES]
)
def test_a_field_is_decoded_as_table_v1_says(text: str, value: object) -> None:
    actual = fields.decoded(text)
    assert (actual, actual is True) == (value, value is True)


@given(st.text())
def test_every_text_has_a_value(text: str) -> None:
    fields.decoded(text)


@pytest.mark.parametrize("value", [True, "false", "False", 0, None, "", "no", []])
def test_only_false_closes_the_gate(value: object) -> None:
    assert fields.fans_out({"replicated": value})
    assert fields.fans_out({})
    assert not fields.fans_out({"replicated": False})


@pytest.mark.parametrize(
    ("project", "name"),
    [("../evil", "evil"), ("a/b", "b"), ("demo.tar", "demo"), ("x_1-y", "x_1-y")],
)
def test_a_project_is_its_last_segment(project: str, name: str) -> None:
    assert fields.project_of({"project": project}) == name


@pytest.mark.parametrize(
    "project", [None, "", 123, True, {}, "a b", ".hidden", "näme", "..", "/", "x" * 241, "a\n"]
)
def test_a_bad_project_is_refused(project: object) -> None:
    with pytest.raises(RefusalError) as caught:
        fields.project_of({"project": project})
    assert caught.value.status == 400


def pax(**records: str) -> bytes:
    """An archive whose entry has these records in an extended header."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = entry("a")
        info.pax_headers = records
        tar.addfile(info)
    return out.getvalue()


LINK = tarfile.SYMTYPE
GOOD = archive((entry("a"), b"content"))
RAW = gzip.decompress(GOOD)
EVIL: dict[str, bytes] = {
    "empty": b"",
    "text": b"no archive at all",
    "gzip of text": gzip.compress(b"no archive at all"),
    "cut gzip": GOOD[:-12],
    "bytes after the gzip": GOOD + b"more",
    "wrong checksum": GOOD[:-8] + b"\0\0\0\0" + GOOD[-4:],
    "cut in an entry": archive((entry("a"), bytes(5_000)), mode="w")[:2_000],
    "broken second header": RAW[:1024] + b"x" * 512 + RAW[1536:],
    "absolute": archive((entry("/tmp/evil"), b"x")),
    "parent": archive((entry("../evil"), b"x")),
    "parent inside": archive((entry("a/../../evil"), b"x")),
    "long path": archive((entry("a/" * 600 + "b"), b"x")),
    "long name": archive((entry("a/" + "é" * 128), b"x")),
    "link out": archive((entry("l", LINK, "../../x"), b"")),
    "link to root": archive((entry("l", LINK, "/etc"), b"")),
    "write through a link": archive((entry("l", LINK, "d"), b""), (entry("l/x"), b"x")),
    "link behind a link": archive((entry("l", LINK, "d"), b""), (entry("l/m", LINK, "x"), b"")),
    "chain of links": archive(
        (entry("p/q/r", LINK, "../.."), b""), (entry("s", LINK, "p/q/r/../.."), b"")
    ),
    "link out of a single top directory": archive(
        (entry("top/a"), b"x"), (entry("top/l", LINK, "../other"), b"")
    ),
    "link to above a single top directory": archive(
        (entry("top/a"), b"x"), (entry("top/d/l", LINK, "../../top/a"), b"")
    ),
    "link over a file": archive((entry("a"), b"x"), (entry("a", LINK, "b"), b"")),
    "hard link": archive((entry("a"), b"x"), (entry("h", tarfile.LNKTYPE, "a"), b"")),
    "device": archive((entry("d", tarfile.CHRTYPE), b"")),
    "pipe": archive((entry("f", tarfile.FIFOTYPE), b"")),
    "file and directory": archive((entry("a"), b"x"), (entry("a/b"), b"x")),
    "many entries": archive(*((entry(f"f{it}"), b"") for it in range(101))),
    "size in an extended header": pax(size="512"),
    "sparse": pax(**{"GNU.sparse.major": "1"}),
    "long extended header": pax(comment="x" * 70_000),
    "time out of range": pax(mtime="1e300"),
}


@pytest.mark.parametrize("evil", [*EVIL, "bomb"])
def test_an_evil_archive_is_refused(evil: str, tmp_path: Path) -> None:
    (tmp_path / "payload").write_bytes(bomb(30 << 20) if evil == "bomb" else EVIL[evil])
    into = tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    with pytest.raises(RefusalError) as caught:
        unpack(tmp_path / "payload", into, Bounds(entries=100))
    assert caught.value.status in {400, 413}
    assert {it.name for it in tmp_path.iterdir()} == {"payload", "deep"}
    assert [it.name for it in (tmp_path / "deep").iterdir()] == ["into"]


def test_a_good_archive_is_unpacked(tmp_path: Path) -> None:
    name = "d" * 90 + "/" + "f" * 90 + "ü"  # needs an extended header
    payload = archive(
        (entry("bin", tarfile.DIRTYPE), b""),
        (entry("bin/tool", LINK, "../lib/tool.js"), b""),
        (entry("lib/tool.js"), b"code"),
        (entry(name), b"x" * 70_000),
    )
    for number, sent in enumerate([payload, gzip.decompress(payload)]):
        (tmp_path / "payload").write_bytes(sent)
        into = tmp_path / str(number)
        into.mkdir()
        unpack(tmp_path / "payload", into, Bounds())
        assert (into / name).read_bytes() == b"x" * 70_000
        assert (into / "bin/tool").read_bytes() == b"code"


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(RAW) - 1), st.binary(min_size=1, max_size=40))
def test_a_changed_archive_is_refused_or_stays_inside(
    tmp_path_factory: Any, place: int, change: bytes
) -> None:
    home = tmp_path_factory.mktemp("changed")
    (home / "payload").write_bytes(RAW[:place] + change + RAW[place + len(change) :])
    (home / "into").mkdir()
    with contextlib.suppress(RefusalError):  # another exception fails the test
        unpack(home / "payload", home / "into", Bounds())
    assert {it.name for it in home.iterdir()} == {"payload", "into"}


@pytest.mark.parametrize(("given_", "seconds"), [(5, 5), ("5m", 300), ("1d", 86_400), (None, None)])
def test_a_lifetime(given_: object, seconds: int | None) -> None:
    assert lifetime_in(given_) == seconds


@pytest.mark.parametrize("given_", [0, -1, True, "soon", "5", 1e9, "31d", [], "٣m"])
def test_a_bad_lifetime_is_refused(given_: object) -> None:
    with pytest.raises(RefusalError):
        lifetime_in(given_)


@pytest.mark.parametrize("step", [1, 3, 1_000_000])
@pytest.mark.parametrize(
    ("sent", "lines"),
    [
        ("one\r\n\ntwö\nend", ["one", "", "twö", "end"]),
        ("x" * 4_096 + "\nnext\n", ["x" * 4_096, "next"]),
    ],
)
def test_lines_of_a_command_are_whole_however_they_arrive(
    sent: str, lines: list[str], step: int
) -> None:
    seen: list[dict[str, str]] = []
    output = commands._Output("sh", seen.append)
    content = sent.encode()
    for start in range(0, len(content), step):
        output.take(content[start : start + step])
    output.end()
    assert [it["line"] for it in seen] == lines


def test_a_line_without_an_end_is_bounded() -> None:
    seen: list[dict[str, str]] = []
    output = commands._Output("sh", seen.append)
    for _ in range(100):
        output.take(b"x" * 1_000)
    assert len(seen) == 20
    assert {len(it["line"]) for it in seen} == {4_096}

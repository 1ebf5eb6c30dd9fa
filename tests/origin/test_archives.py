"""What an archive may hold, and what is made of it."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy_relay_kit.relay.origin.answers import RefusalError
from deploy_relay_kit.relay.origin.config import Bounds
from deploy_relay_kit.relay.origin.local.archive import _blocks_of, unpack
from tests.origin.archives import archive, bomb, entry


def pax(every: Mapping[str, str] = MappingProxyType({}), /, **records: str) -> bytes:
    """An archive whose entry has these records in an extended header, or in one for every entry."""
    out = io.BytesIO()
    form = tarfile.PAX_FORMAT
    with tarfile.open(fileobj=out, mode="w", format=form, pax_headers=every) as tar:
        info = entry("a")
        info.pax_headers = records
        tar.addfile(info)
    return out.getvalue()


def changed(at: int, *changes: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    """An archive whose first header has other bytes from a place, and the right checksum."""
    header = bytearray(archive((entry("a", kind), b""), mode="w"))
    for change in changes:
        header[at : at + len(change)] = change
        at += len(change)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


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
    "many directories": archive(*((entry(f"{it}/" + "d/" * 40 + "f"), b"") for it in range(3))),
    "size below 0 in an extended header": pax(size="-512"),
    "size below 0": changed(124, b"\xff" * 12),
    "size below 0 of a long name": changed(124, b"\xff" * 12, kind=tarfile.GNUTYPE_LONGNAME),
    "huge size": changed(124, b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7),
    "sparse": changed(386, b"%011o\0" % 512, b"%011o\0" % 0, kind=tarfile.GNUTYPE_SPARSE),
    "sparse in an extended header": pax(**{"GNU.sparse.map": "0,0", "GNU.sparse.size": "9" * 12}),
    "sparse without an end": pax(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
    "long extended header": pax(comment="x" * 140_000),
    "chain of extended headers": pax(comment="x")[:1024] * 200 + RAW,
    "digits that take minutes": pax(comment="1" * 60_000),
    "many records for every entry": pax({f"x{it}": "y" for it in range(101)}),
    "time out of range": pax(mtime="1e300"),
    "time that is no number": pax(mtime="nan"),
    "NUL in a name": pax(path="a\0b"),
    "NUL in a link": archive((entry("l", LINK, "x" * 101), b""), mode="w").replace(b"xx", b"x\0"),
    "no name": changed(0, b"\0"),
    "a file that is the component": archive((entry("."), b"x")),
    "a link that is the component": archive((entry(".", LINK, "x"), b"")),
    "file in place of a directory": archive((entry("a/b"), b"x"), (entry("a"), b"x")),
    "unknown kind": archive((entry("a", b"Z"), b"")),
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


def test_members_of_gzip_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take time and unpack nothing, so no other limit sees them."""
    monkeypatch.setattr("deploy_relay_kit.relay.origin.local.archive._MAX_MEMBERS", 100)
    (tmp_path / "payload").write_bytes(gzip.compress(b"") * 99 + GOOD)
    unpack(tmp_path / "payload", tmp_path, Bounds())
    (tmp_path / "payload").write_bytes(gzip.compress(b"") * 100 + GOOD)
    with pytest.raises(RefusalError, match="more than 100 gzip members"):
        unpack(tmp_path / "payload", tmp_path, Bounds())


def test_a_name_in_a_gzip_is_not_read_byte_by_byte() -> None:
    named = b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 1_000_000 + b"\0" + GOOD[10:]
    reads = 0

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal reads
            reads += 1
            return super().read(size)

    assert b"".join(_blocks_of(Counted(named))) == RAW
    assert reads < 50


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


def test_a_gzip_of_several_members_is_one_archive(tmp_path: Path) -> None:
    named = b"\x1f\x8b\x08\x08" + bytes(6) + b"p.tar\0" + gzip.compress(RAW[:700])[10:]
    members = [named, gzip.compress(b""), *(gzip.compress(it) for it in (RAW[700:900], RAW[900:]))]
    (tmp_path / "payload").write_bytes(b"".join(members))
    (tmp_path / "into").mkdir()
    unpack(tmp_path / "payload", tmp_path / "into", Bounds())
    assert (tmp_path / "into" / "a").read_bytes() == b"content"


def test_an_odd_archive_is_unpacked(tmp_path: Path) -> None:
    """A later entry of a name counts, other encodings keep their bytes, and records are read."""
    latin = "caf\udce9"
    out = io.BytesIO()
    every = {"comment": "1234567890abcdef"}  # as `git archive` writes
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers=every) as tar:
        for name, content in (("a", b"first"), ("A", b"other"), (latin, b"x"), ("a", b"last")):
            info = entry(name)
            info.size = len(content)
            info.pax_headers = {"size": str(len(content))}
            tar.addfile(info, io.BytesIO(content))
    (tmp_path / "payload").write_bytes(out.getvalue())
    (tmp_path / "into").mkdir()
    unpack(tmp_path / "payload", tmp_path / "into", Bounds())
    assert (tmp_path / "into" / "a").read_bytes() == b"last"
    assert (tmp_path / "into" / latin).read_bytes() == b"x"


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

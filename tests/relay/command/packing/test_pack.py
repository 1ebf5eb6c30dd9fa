from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from deploy_relay_kit.relay.command.packing.pack import pack
from deploy_relay_kit.relay.command.packing.packed import Packed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "node_modules" / "demo"  # BUG-23: the way to the root does not count
    (root / "web").mkdir(parents=True)
    (root / "config.yaml").write_text("static: web\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o750)
    (root / "web" / "index.html").write_text("<h1>hello</h1>")
    (root / "empty").mkdir()
    return root


def packed(root: Path, *exclude: str) -> tuple[bytes, Packed]:
    archive = io.BytesIO()
    result = pack(root, archive, exclude=exclude)
    return archive.getvalue(), result


def names(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        return tar.getnames()


def test_the_whole_tree_in_order(root: Path) -> None:
    archive, result = packed(root)
    assert names(archive) == ["config.yaml", "empty", "run.sh", "web", "web/index.html"]
    assert result == Packed(3)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        page = tar.extractfile("web/index.html")
        assert page is not None
        assert page.read() == b"<h1>hello</h1>"
        assert tar.getmember("run.sh").mode == 0o755
        assert tar.getmember("config.yaml").mode == 0o644


def test_the_same_tree_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    """Times, owners, the rights of others, and the order of creation do not count."""
    before, result = packed(root)
    assert hashlib.sha256(before).hexdigest() == result.sha256
    again = tmp_path / "again"
    for path in sorted(root.rglob("*"), reverse=True):
        copy = again / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            copy.mkdir(exist_ok=True)
            continue
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o700 if path.stat().st_mode & 0o100 else 0o600)
    for path in again.rglob("*"):
        if os.geteuid() == 0:
            os.chown(path, 12345, 54321)
        os.utime(path, (1, 1))
    after, _ = packed(again)
    assert before == after
    assert gzip.decompress(after)[-1024:] == bytes(1024)  # the end of a tar


def test_a_dangling_link_is_reported_and_cuts_nothing(root: Path) -> None:
    (root / "broken").symlink_to("nowhere")
    archive, result = packed(root)
    assert names(archive)[-1] == "web/index.html"
    assert list(result.skipped) == ["broken"]
    assert "dangling" in result.skipped["broken"]


def test_a_link_is_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "lib.js").write_text("1")
    (root / "lib").symlink_to(tmp_path / "shared")
    (root / "copy.yaml").symlink_to("config.yaml")
    archive, _ = packed(root)
    assert {"lib/lib.js", "copy.yaml"} <= set(names(archive))
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        assert all(member.isfile() or member.isdir() for member in tar)


def test_a_link_to_a_directory_above_is_skipped(root: Path) -> None:
    (root / "web" / "up").symlink_to("..")
    (root / "web" / "itself").symlink_to("itself")
    _, result = packed(root)
    assert sorted(result.skipped) == ["web/itself", "web/up"]


def test_links_to_each_other_are_skipped(root: Path) -> None:
    for one, other in ("ab", "ba"):
        (root / one).mkdir()
        (root / one / "x").write_text(one)
        (root / one / other).symlink_to(root / other)
    archive, result = packed(root)
    assert {"a/b/x", "b/a/x"} <= set(names(archive))
    assert sorted(result.skipped) == ["a/b/a", "b/a/b"]
    assert result.files == 7


def test_files_with_credentials_are_left_out_under_every_name(root: Path) -> None:
    secret = root / "password"
    secret.write_text("hunter2")
    (root / "web" / "link").symlink_to(secret)
    (root / "web" / "same").hardlink_to(secret)
    archive = io.BytesIO()
    result = pack(root, archive, leave_out=[secret, root / "none"])
    assert names(archive.getvalue()) == names(packed_without(root, secret))
    assert set(result.skipped) == {"password", "web/link", "web/same"}


def packed_without(root: Path, secret: Path) -> bytes:
    for path in (secret, root / "web" / "link", root / "web" / "same"):
        path.unlink()
    return packed(root)[0]


def test_other_kinds_of_files_are_reported(root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert packed(root)[1].skipped == {"pipe": "neither a file nor a directory"}


def test_node_modules_are_left_out_on_request_at_any_depth(root: Path) -> None:
    for place in (root / "node_modules" / "a", root / "web" / "node_modules", root / "node_module"):
        place.mkdir(parents=True)
        (place / "x.js").write_text("x")
    assert "node_modules/a/x.js" in names(packed(root)[0])
    kept = names(packed(root, "node_modules")[0])
    assert not [name for name in kept if "node_modules" in name.split("/")]
    assert {"config.yaml", "node_module/x.js"} <= set(kept)


@pytest.mark.parametrize(
    ("exclude", "gone"),
    [
        ("*.html", {"web/index.html"}),
        ("web/*", {"web/index.html"}),
        ("web", {"web", "web/index.html"}),
        ("web/", {"web", "web/index.html"}),
        ("index.html", {"web/index.html"}),
        ("WEB", set()),
        ("./web/index.html", {"web/index.html"}),
        ("**/*.html", {"web/index.html"}),
        ("**/run.sh", {"run.sh"}),
        ("[er]*", {"empty", "run.sh"}),
    ],
)
def test_matches_by_name_or_path_are_left_out(root: Path, exclude: str, gone: set[str]) -> None:
    assert set(names(packed(root)[0])) - set(names(packed(root, exclude)[0])) == gone


def test_a_path_may_begin_with_the_root(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As shells complete it."""
    assert "run.sh" not in names(packed(root, f"{root}/run.sh")[0])
    monkeypatch.chdir(tmp_path)
    below = root.relative_to(tmp_path)
    assert "run.sh" not in names(packed(below, f"./{below}/run.sh")[0])


def test_unused_patterns_are_reported(root: Path) -> None:
    assert packed(root, "*.sh", "nothing", "./no/such/")[1].unused == ["nothing", "./no/such/"]


def test_a_long_name_beyond_ascii_survives(root: Path) -> None:
    name = "é" * 60 + "/" + "x" * 200
    (root / name).parent.mkdir()
    (root / name).write_text("x")
    assert name in names(packed(root)[0])

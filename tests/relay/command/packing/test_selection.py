"""Links, a `.deployignore`, and secrets that would travel."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from deploy_relay_kit.relay.command.packing import tree
from deploy_relay_kit.relay.command.packing.pack import pack
from deploy_relay_kit.relay.command.packing.packed import Packed
from deploy_relay_kit.relay.command.packing.secrets import sensitive
from deploy_relay_kit.relay.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "demo"
    root.mkdir()
    (root / "config.yaml").write_text("static: web\n")
    return root


def packed(root: Path) -> tuple[set[str], Packed]:
    archive = io.BytesIO()
    result = pack(root, archive)
    with tarfile.open(fileobj=io.BytesIO(archive.getvalue()), mode="r:gz") as tar:
        return set(tar.getnames()), result


def test_links_out_of_the_directory_are_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "lib.js").write_text("1")
    (root / "lib").symlink_to(tmp_path / "shared")
    (root / "one.js").symlink_to("../shared/lib.js")
    (root / "inside").symlink_to("config.yaml")
    names, result = packed(root)
    assert {"lib/lib.js", "one.js", "inside"} <= names
    assert result.notes == {
        "lib": f"links out of the directory, to {tmp_path / 'shared'}, which is packed",
        "one.js": f"links out of the directory, to {tmp_path / 'shared' / 'lib.js'}, "
        "which is packed",
    }


def test_a_second_link_to_a_directory_is_named(root: Path) -> None:
    (root / "lib").mkdir()
    (root / "lib" / "x.js").write_text("1")
    (root / "other").symlink_to("lib")
    names, result = packed(root)
    assert {"lib/x.js", "other/x.js"} <= names
    assert result.notes == {"other": "packed again, because it links to the directory lib"}


def test_a_tree_that_links_multiply_names_a_link(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two links in each of 40 directories to the next one: a trillion paths."""
    monkeypatch.setattr(tree, "_MOST_REPEATED", 500)  # 20,000 take 20 seconds
    for number in range(40):
        directory = root / f"d{number:02}"
        directory.mkdir()
        for link in "xy":
            (directory / link).symlink_to(f"../d{number + 1:02}")
    (root / "d40").mkdir()
    with pytest.raises(
        InputError, match=r"links multiply the files: more than 500 .* like 'd\d\d/.*--exclude"
    ):
        packed(root)


@pytest.mark.parametrize(
    ("lines", "gone"),
    [
        ("*.log\n", {"a.log", "web/b.log"}),
        ("/a.log", {"a.log"}),
        ("web/", {"web", "web/b.log", "web/keep.html"}),
        ("web/*\n!web/keep.html\n", {"web/b.log"}),
        ("# a comment\n\n**/b.log  \n", {"web/b.log"}),
        (".deployignore", {".deployignore"}),
        ("\ufeff*.log\r\n", {"a.log", "web/b.log"}),
        ("web.html", set()),
    ],
)
def test_a_deployignore_excludes_as_a_gitignore_does(
    root: Path, lines: str, gone: set[str]
) -> None:
    (root / "web").mkdir()
    for name in ("a.log", "web/b.log", "web/keep.html"):
        (root / name).write_text(name)
    before, _ = packed(root)
    (root / ".deployignore").write_text(lines, encoding="utf-8")
    assert {*before, ".deployignore"} - packed(root)[0] == gone


@pytest.mark.parametrize("kind", ["pipe", "directory", "dangling link"])
def test_a_deployignore_that_is_no_file_is_not_passed_over(root: Path, kind: str) -> None:
    """What it leaves out would be sent."""
    file = root / ".deployignore"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    else:
        file.symlink_to("nowhere")
    with pytest.raises(InputError, match=r"\.deployignore' is not a file, or links to nothing"):
        packed(root)


@pytest.mark.parametrize("content", [b"\xff\xfe*\x00", b"!\n"])
def test_a_deployignore_that_cannot_be_read_is_named(root: Path, content: bytes) -> None:
    (root / ".deployignore").write_bytes(content)
    with pytest.raises(InputError, match=r"\.deployignore"):
        packed(root)


KEY = b"Bag Attributes\n-----BEGIN EC PRIVATE KEY-----\nMHc"


@pytest.mark.parametrize(
    ("name", "content", "is_secret"),
    [
        (".env", b"", True),
        ("web/.env.production", b"", True),
        (".env.example", b"", False),
        (".npmrc", b"", True),
        ("certs/tls.pem", KEY, True),
        ("certs/ca.pem", b"-----BEGIN CERTIFICATE-----\n", False),
        ("any", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", True),
        ("parser.js", b'const begin = "-----BEGIN PRIVATE KEY-----"', False),
        ("node_modules/tls/test/key.pem", KEY, False),
        ("environment.js", b"", False),
        ("credentials.json", b"", True),
        ("store.p12", b"", True),
    ],
)
def test_what_may_be_secret(name: str, content: bytes, *, is_secret: bool) -> None:
    assert bool(sensitive(name, content)) is is_secret


def test_secrets_are_packed_and_named(root: Path) -> None:
    """A directory of a version control system is named once, not file by file."""
    (root / ".git").mkdir()
    for name in (".git/config", ".git/credentials", ".env", ".env.sample"):
        (root / name).write_text("x")
    (root / "key").write_bytes(KEY)
    names, result = packed(root)
    assert {".git/config", ".env", "key"} <= names
    assert result.sensitive == [".env", ".git/", "key (a private key)"]

"""Configurations of a node that cannot be used: one line that names the member."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from tests.origin.nodes import RELAY, real_cluster


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A configuration of a node that has stopped."""
    with real_cluster(tmp_path_factory.mktemp("config"), 1) as cluster:
        [node] = cluster.nodes
        assert node.stop() == 0
        config = node.home / "node.toml"
        config.write_text(re.sub(r"host = .*\n", "", config.read_text()))  # each text has its own
        yield config


BAD = [
    ("port = 0", "port = 65536", "port = 65536 must be an integer <= 65535"),
    (
        "port = 0",
        "port = 0\nreplication_port = 70000",
        "replication_port = 70000 must be an integer",
    ),
    ("port = 0", "port = 0\nsize = 1", "unknown member 'size'; known are name, directory"),
    ("port = 0", 'port = 0\nhost = "no..name"', "cannot listen on no..name"),
    ("port = 0", 'port = 0\nhost = "a\\u0000"', "cannot listen on a"),
    ("[cluster]", "[cluster]\nlimits = { connct = 1.0 }", "did you mean 'connect'?"),
    ("port = 0", "port = 0\nlimits = { idle = nan }", "limits.idle = nan must be a number > 0"),
    ('"data"', '"a\\u0000b"', "must be a path in quotes"),
    ('certificate_file = "leaf.pem"', 'certificate_file = "node.toml"', "certificate_file"),
    ('certificate_file = "leaf.pem"', 'certificate_file = "\\u0000"', "must be a path in quotes"),
    ('certificate_file = "leaf.pem"', 'certificate_file = "/dev/zero"', "'/dev/zero' is a device"),
    ('key_file = "leaf.pem"', 'key_file = "/dev/zero"', "key_file '/dev/zero' is a device"),
    ('key_file = "leaf.pem"', 'key_file = "none"', "none' cannot be used: No such file"),
    (
        'key_file = "leaf.pem"',
        'key_file = "../token.pem"',
        "own key, unencrypted, as readable PEM files",
    ),
    ('"../token.pem"', '"leaf.pem"', "needs an RSA key"),
    ('"../token.pem"', '"node.toml"', "cannot be used: not the PEM of a key; give an RSA key"),
    ("port = 0", 'port = "9925"', "port = '9925' must be an integer"),
    ("port = 0", "port = 0\nunpack = 1", "unpack = 1 must be true or false"),
    ("port = 0", 'port = 0\nhost = ""', "host = '' must be a text in quotes that is not empty"),
    ("port = 0", 'port = 0\non_deploy = "npm ci"', "on_deploy = 'npm ci' must be a list"),
    ("[users]", '[users]\nviewer = "x"', "users.viewer must be a table"),
    ("[users]", "[users]\nviewer = { hash = 5 }", "users.viewer.hash must be a text"),
    ("[users]", "[users]\nviewer = { super_user = true }", "'hash' in 'users.viewer' is missing"),
    ("[cluster]", "[cluster]\nuser = 1", "'user' in 'cluster'; did you mean 'username'?"),
    ("[cluster]", "[cluster]\nlimits = { connect = 0 }", "cluster.limits.connect = 0 must be"),
    ('directory = "data"', 'directory = "node.toml"', "node.toml': Not a directory; give one"),
    ('directory = "data"', "", "member 'directory' is missing; add directory = …"),
    ('"../token.pem"', '"/dev/zero"', "token_key_file: '/dev/zero' is longer than"),
]


@pytest.mark.parametrize(("member", "instead", "words"), BAD, ids=[it[1] for it in BAD])
def test_a_bad_configuration_is_one_line(good: Path, member: str, instead: str, words: str) -> None:
    text = good.read_text()
    assert member in text
    error = refused(good, text.replace(member, instead, 1))
    assert words in error


def test_a_byte_order_mark_is_ignored(good: Path) -> None:
    text = good.read_text().replace("port = 0", "port = 65536", 1)
    assert "port = 65536 must be" in refused(good, f"\ufeff{text}")


def test_an_encrypted_key_is_refused_without_a_prompt(good: Path) -> None:
    key = generate_private_key(65_537, 2_048)
    sealed = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2")
    )
    good.with_name("sealed.pem").write_bytes(sealed)
    text = good.read_text().replace('\nkey_file = "leaf.pem"', '\nkey_file = "sealed.pem"', 1)
    assert "not PEM, empty, or encrypted" in refused(good, text)


def refused(good: Path, text: str) -> str:
    """The error of a node with this configuration, in place of the good one."""
    bad = good.with_name("bad.toml")
    bad.write_text(text)
    command = [RELAY, "serve", "--config", str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


@pytest.mark.parametrize("hashed", ["argon2$AAAA$AAAA", "scrypt$$", "scrypt$AAAA$AAAA"])
def test_a_hash_of_another_kind_or_without_its_key_is_refused(good: Path, hashed: str) -> None:
    text = re.sub(r"scrypt\$[^\"]+", hashed, good.read_text())
    assert "hash of user 'admin'" in refused(good, text)

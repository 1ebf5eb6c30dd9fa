"""The promises of docs/security.md that no other test holds."""

from __future__ import annotations

import asyncio
import base64
import hmac
import http.client
import json
import re
import socket
import ssl
import tarfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from jwt.algorithms import RSAAlgorithm

from deploy_relay_kit.harness import FakeCluster
from deploy_relay_kit.relay.origin import access
from deploy_relay_kit.relay.origin.answers import RefusalError
from deploy_relay_kit.relay.origin.config import User
from tests.origin.archives import archive, component, entry
from tests.origin.nodes import FILES, FORM, PASSWORD, RealCluster, basic, real_cluster

ROOT = Path(__file__).parents[2]
STRANGER = {"Authorization": ""}
JSON = ("Content-Type", "application/json")
SECRET = "a-token-that-nobody-may-read"


def test_every_promise_names_a_test() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    promises, _, _ = page.partition("## Limits")
    _, _, promises = promises.partition("## Without a login")
    lines = [it for it in re.split(r"\n(?=- |## |\n)", promises) if it.startswith("- ")]
    assert len(lines) > 15
    assert [it for it in lines if "(`test_" not in it] == []
    named = set(re.findall(r"`(test_\w+)`", promises))
    texts = [it.read_text(encoding="utf-8") for it in Path(__file__).parent.glob("test_*.py")]
    tests = set(re.findall(r"^def (test_\w+)", "\n".join(texts), re.MULTILINE))
    assert named - tests == set()


@pytest.mark.parametrize(
    "headers", [STRANGER, basic("admin", "wrong"), {"Authorization": "Bearer none"}]
)
def test_a_refused_login_says_which_are_taken(
    cluster: RealCluster, headers: dict[str, str]
) -> None:
    """RFC 9110, section 15.5.2."""
    connection = cluster.nodes[0].connect()
    connection.request("POST", "/", b'{"operation": "get_components"}', {**dict([JSON]), **headers})
    answer = connection.getresponse()
    assert answer.status == 401
    assert answer.getheader("WWW-Authenticate", "").startswith("Basic realm=")
    assert answer.getheader("Server") is None  # nothing about its software
    connection.close()


@pytest.mark.parametrize(
    "operation",
    ["registration_info", "get_components", "list_deployments", "get_deployment", "nope", "", None],
)
def test_nothing_is_told_to_a_stranger(cluster: RealCluster, operation: str | None) -> None:
    status, answer = cluster.nodes[0].ask({"operation": operation}, STRANGER)
    assert (status, set(answer)) in [(401, {"error"}), (400, {"error"})]
    assert status == 401 or not operation


def test_a_strangers_upload_is_refused_before_its_payload(cluster: RealCluster) -> None:
    node = cluster.nodes[0]
    connection = node.connect()
    connection.putrequest("POST", "/")
    for name, value in {**FORM, "Content-Length": str(1 << 40)}.items():
        connection.putheader(name, value)
    connection.endheaders()  # not one byte of the body
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (401, {"error": "Must login"})
    connection.close()


def test_an_unknown_user_costs_the_work_of_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    work = []
    original = access._key

    def counted(password: str, salt: bytes) -> bytes:
        work.append(len(password))
        return original(password, salt)

    monkeypatch.setattr(access, "_key", counted)

    async def guess() -> None:
        known = access.Users({"admin": User(hash=access.hashed("right"))})
        work.clear()
        for name in ("admin", "nobody"):
            with pytest.raises(RefusalError):
                await known.check(name, "wrong", "source")

    asyncio.run(guess())
    assert work == [5, 5]


def test_a_password_that_was_right_does_not_wait_for_guesses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def log_in() -> None:
        known = access.Users({"admin": User(hash=access.hashed("right"))})
        await known.check("admin", "right", "source")
        # From here on, the work of a password never ends.
        monkeypatch.setattr(access, "_key", lambda *_: 1 / 0)
        await known.check("admin", "right", "another source")
        for name, password in (("admin", "wrong"), ("admin", ""), ("nobody", "right")):
            with pytest.raises(ZeroDivisionError):
                await known.check(name, password, "source")

    asyncio.run(log_in())


def test_guesses_are_slow_and_lock_nobody_out(tmp_path: Path) -> None:
    with real_cluster(tmp_path, 1) as cluster:
        node = cluster.nodes[0]
        began = time.monotonic()
        for _ in range(7):
            assert node.ask({"operation": "x"}, basic("admin", "wrong"))[0] == 401
        assert time.monotonic() - began > 0.1 + 0.2 + 0.4  # of waiting; no upper bound
        assert node.ask({"operation": "registration_info"})[0] == 200


def signed_with(public: bytes, claims: dict[str, object]) -> str:
    """A token whose HMAC secret is the public key; PyJWT refuses to make one."""
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    text = ".".join(_part(json.dumps(it).encode()) for it in parts)
    return f"{text}.{_part(hmac.digest(public, text.encode(), 'sha256'))}"


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def test_a_forged_token_is_refused(cluster: RealCluster) -> None:
    node = cluster.nodes[0]
    now = int(time.time())
    claims = {"username": "admin", "iat": now, "exp": now + 60, "sub": "operation"}
    own = load_pem_private_key((cluster.home / "token.pem").read_bytes(), None)
    assert isinstance(own, rsa.RSAPrivateKey)
    other = rsa.generate_private_key(65_537, 2_048)
    public = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    good = jwt.encode(claims, own, algorithm="RS256")
    ask = {"operation": "registration_info"}
    # A node whose clock is ahead may have signed it.
    ahead = jwt.encode({**claims, "iat": now + 30}, own, algorithm="RS256")
    for token in (good, ahead):
        assert node.ask(ask, {"Authorization": f"Bearer {token}"})[0] == 200
    jwk = RSAAlgorithm.to_jwk(other.public_key(), as_dict=True)
    forged = [
        jwt.encode(claims, other, algorithm="RS256"),
        jwt.encode(claims, "", algorithm="none"),
        signed_with(public, claims),
        jwt.encode(claims, own, algorithm="RS512"),
        jwt.encode({**claims, "exp": now - 60}, own, algorithm="RS256"),
        jwt.encode({**claims, "sub": "refresh"}, own, algorithm="RS256"),
        jwt.encode({**claims, "username": "nobody"}, own, algorithm="RS256"),
        jwt.encode({**claims, "username": ["admin"]}, own, algorithm="RS256"),
        jwt.encode({it: v for it, v in claims.items() if it != "exp"}, own, algorithm="RS256"),
        good[:-4] + "AAAA",
        jwt.encode(claims, own, algorithm="RS256", headers={"crit": ["x"], "x": 1}),
        jwt.encode(claims, other, algorithm="RS256", headers={"jwk": jwk, "kid": "../token.pem"}),
    ]
    for token in forged:
        assert node.ask(ask, {"Authorization": f"Bearer {token}"})[0] == 401, token


def test_a_node_speaks_tls_only(cluster: RealCluster) -> None:
    node = cluster.nodes[0]
    plain = http.client.HTTPConnection(urlsplit(node.url).netloc, timeout=30)
    plain.request("GET", "/health")
    with pytest.raises((OSError, http.client.HTTPException)):
        plain.getresponse()
    plain.close()
    old = ssl.create_default_context(cafile=str(cluster.home / "ca.pem"))
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    connection = http.client.HTTPSConnection(urlsplit(node.url).netloc, timeout=30, context=old)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()


def test_special_bits_and_owners_are_dropped(cluster: RealCluster, project: str) -> None:
    node = cluster.nodes[0]
    tool = entry("tool")
    tool.mode, tool.uid, tool.gid = 0o6777, 12_345, 12_345
    directory = entry("d", tarfile.DIRTYPE)
    directory.mode = 0o7777
    payload = archive((tool, b"x"), (directory, b""), (entry("other"), b"y"))
    assert node.deploy(payload, project=project)[0] == 200
    root = node.home / "data" / "live" / project
    status = (root / "tool").stat()
    assert status.st_mode & 0o7022 == 0
    assert status.st_mode & 0o100  # it is still a program
    assert 12_345 not in (status.st_uid, status.st_gid)
    assert (root / "d").stat().st_mode & 0o7000 == 0


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"operation":' + b'{"a":' * 100_000,
        b"x" * (9 << 20),
        b"\xff\xfe",
        b'{"operation": "get_deployment", "deployment_id": ' + b"9" * 10_000 + b"}",
        b"null",
        b"",
        b'{"operation": ["deploy_component"]}',
        b'{"operation": "\\ud800"}',
        b'{"operation": "get_components", "operation": "registration_info"}',
        b'{"operation": "list_deployments", "limit": NaN}',
        '{"operation": "get_components"}'.encode("utf-16"),
        '{"operation": "get_components"}'.encode("utf-32-le"),
    ],
    ids=[
        *("list", "object", "size", "bytes", "number", "null", "empty", "kind", "surrogate"),
        *("twice", "nan", "utf-16", "utf-32"),
    ],
)
def test_a_hostile_json_body_is_refused(cluster: RealCluster, body: bytes) -> None:
    status, answer = cluster.nodes[0].ask(body)
    assert status in {400, 413}
    assert isinstance(answer["error"], str)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        *(
            ([("Content-Type", f"multipart/form-data; boundary*={charset}''%ff%fea")], b"--", 400)
            for charset in ("utf-16", "idna", "punycode", "no-such")
        ),
        ([JSON, ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")], b"{}", 415),
        ([JSON, ("Content-Encoding", "gzip"), ("Content-Encoding", "identity")], b"{}", 415),
        ([JSON, ("Authorization", "Bearer x")], b"{}", 400),
        ([JSON], b'{"operation": "restart_service", "service": ["http"]}', 400),
        ([JSON], b'{"operation": "restart_service", "service": {}}', 400),
    ],
)
def test_an_odd_request_is_refused(
    cluster: RealCluster, headers: list[tuple[str, str]], body: bytes, status: int
) -> None:
    connection = cluster.nodes[0].connect()
    connection.putrequest("POST", "/")
    for name, value in [*headers, *basic("admin").items(), ("Content-Length", str(len(body)))]:
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    assert (answer.status, [*json.loads(answer.read())]) == (status, ["error"])
    connection.close()


@pytest.mark.parametrize(
    ("coding", "version", "expected"),
    [
        ("gzip, chunked", "1.1", 501),
        ("identity, chunked", "1.1", 501),
        ("chunked", "1.0", 501),
        (" CHUNKED", "1.1", 200),
    ],
)
def test_a_transfer_coding_is_one_that_every_reader_knows(
    cluster: RealCluster, coding: str, version: str, expected: int
) -> None:
    node = cluster.nodes[0]
    where = urlsplit(node.url)
    plain = socket.create_connection((where.hostname, where.port), 30)
    with node.context.wrap_socket(plain, server_hostname=where.hostname) as connection:
        head = f"Host: x\r\nContent-Type: application/json\r\nTransfer-Encoding: {coding}\r\n"
        head += f"Authorization: {node.authorization}\r\n\r\n"
        body = b'{"operation": "get_components"}'
        sent = f"POST / HTTP/{version}\r\n{head}{len(body):x}\r\n".encode() + body
        connection.sendall(sent + b"\r\n0\r\n\r\n")
        assert connection.recv(65_536).split()[1] == str(expected).encode()


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer {}\1",
        "Authorization : Bearer {}",
        "Authorization: Bearer {}" + "x" * 9_000,
        "Authorization: Bearer {}\r\nContent-Length: x",
    ],
    ids=["control", "blank", "length", "number"],
)
def test_bytes_that_are_no_request_are_not_logged(cluster: RealCluster, line: str) -> None:
    node = cluster.nodes[0]
    where = urlsplit(node.url)
    plain = socket.create_connection((where.hostname, where.port), 30)
    with node.context.wrap_socket(plain, server_hostname=where.hostname) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".format(SECRET).encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.0 400 ")
    assert SECRET not in (node.home / "stderr").read_text()


def test_no_field_reaches_a_command(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = f'echo \\"$# $*\\" > {seen}; env > {seen}.env'
    with real_cluster(tmp_path / "cluster") as cluster:
        node = cluster.start("n1", f"""on_deploy = ["sh", "-c", "{script}", "name", "$(id)"]""")
        fields = {"note": "of-a-field", "install_command": "touch evil"}
        status, answer = node.deploy(component(**FILES), **fields)
        assert status == 200, answer
        assert seen.read_text() == "1 $(id)\n"
        environment = Path(f"{seen}.env").read_text()
        assert "of-a-field" not in environment
        assert PASSWORD not in environment
        assert "evil" not in node.live()


def test_a_node_of_another_authority_gets_no_password(
    tmp_path: Path, fake_cluster: FakeCluster
) -> None:
    stranger = fake_cluster.peer()  # of an authority that the cluster does not know
    with real_cluster(tmp_path) as cluster:
        origin = cluster.start("n1")
        row = f'[[node]]\nname = "stranger"\nurl = "{stranger.url}"\n'
        (tmp_path / "nodes.toml").write_text(row)
        status, answer = origin.deploy(component(**FILES), replicated=True)
        assert status == 500
        assert answer["replicated"][0]["stage"] == "tls"
    assert stranger.requests == []


def test_the_directory_is_for_its_user_only(cluster: RealCluster, project: str) -> None:
    node = cluster.nodes[0]
    assert node.deploy(component(**FILES), project=project)[0] == 200
    data = node.home / "data"
    for name in ("builds", "live", "previous", "staging", "deployments.sqlite"):
        assert (data / name).stat().st_mode & 0o077 == 0, name

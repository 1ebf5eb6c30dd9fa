"""Tests with raw sockets, exact bytes and TLS contexts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploy_relay_kit import relay
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.relay.sockets import PatientSocket
from deploy_relay_kit.relay.tls import Tls, contexts_for
from tests.relay.driving import DEPLOY
from tests.relay.rawpeers import listening

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize("then", ["wait", "close"])
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_an_answer_to_the_closing_boundary_is_in_time(
    relay_authority: Authority, tmp_path: Path, size: int, then: str
) -> None:
    """Harper answers as soon as it has the closing boundary, before the last chunk."""
    package = tmp_path / "package.tar.gz"
    package.write_bytes(bytes(size))

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        boundary = re.search(rb"boundary=(\S+)", head)
        assert boundary
        await reader.readuntil(b"\r\n--" + boundary[1] + b"--")
        writer.write(OK)
        await writer.drain()
        if then == "wait":
            await reader.read()

    async def run() -> relay.Report:
        context = relay_authority.server_context("127.0.0.1")
        async with listening(peer, context) as address:
            url = f"https://{address}/"
            node = relay.Node("n", url, mint=relay.GivenToken("t"))
            tls = relay.Tls(relay_authority.write(tmp_path / "ca.pem"))
            return await relay.deploy([node], DEPLOY, package, tls=tls)

    assert asyncio.run(run()).records == [{"node": "n", "status": "success"}]


PHASE = b'event: phase\ndata: {"phase":"install"}\n\n'


@pytest.mark.parametrize(
    ("kind", "sign", "is_progress"),
    [
        (b"text/event-stream", PHASE, True),
        (b"text/event-stream", b": alive\n\n", False),
        (b"application/json", PHASE, False),
    ],
)
def test_only_an_event_restarts_the_limit_of_an_answer(
    package: Path, kind: bytes, sign: bytes, *, is_progress: bool
) -> None:
    """A peer that reports what it does may install for long; a comment says nothing."""
    finished = asyncio.Event()
    blocks = [sign] * 4 + [b'event: done\ndata: {"result":{}}\n\n']

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n0\r\n\r\n")
        length = sum(map(len, blocks))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n" % kind)
        writer.write(b"Content-Length: %d\r\n\r\n" % length)
        for block in blocks:
            await asyncio.sleep(0.1)  # the pace of this peer
            writer.write(block)
        writer.close()
        finished.set()

    async def run() -> relay.Record:
        async with listening(peer) as address:
            url = f"http://{address}/"
            node = relay.Node("n", url, mint=relay.GivenToken("t"))
            limits = relay.Limits(answer=0.3)
            report = await relay.deploy([node], DEPLOY, package, limits=limits)
            await finished.wait()
            return report.records[0]

    record = asyncio.run(run())
    if is_progress:
        assert record == {"node": "n", "status": "success"}
    else:
        assert (record["reason"], record["uncertain"]) == ("no answer in 0.3 s", True)


def test_a_payload_that_shrinks_after_an_early_head_is_the_reason(package: Path) -> None:
    """Harper's stream begins with the upload; its reader does not see the read error (RES-11)."""
    os.truncate(package, 64_000_000)

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\nf\r\n: stream open\n\n\r\n")
        await reader.readexactly(1_000_000)
        os.truncate(package, 32_000_000)
        with contextlib.suppress(ConnectionResetError):
            while await reader.read(1 << 20):
                pass

    async def run() -> relay.Record:
        async with listening(peer) as address:
            url = f"http://{address}/"
            node = relay.Node("n", url, mint=relay.GivenToken("a-token"))
            return (await relay.deploy([node], DEPLOY, package)).records[0]

    record = asyncio.run(asyncio.wait_for(run(), 30))
    assert (record["stage"], record["reason"]) == ("payload", "staged payload ended early")


def test_no_environment_variable_and_no_cookie_changes_a_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1/")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    (tmp_path / "netrc").write_text("default login somebody password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    heads: list[bytes] = []

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            heads.append(head)
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            operation = await reader.readexactly(length)
            body = b'{"job_id":1}' if b"restart" in operation else b'{"status":"COMPLETE"}'
            writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            if len(heads) == 2:
                break

    async def run() -> relay.Report:
        async with listening(peer) as address:
            # A name, because aiohttp never keeps the cookies of an address.
            url = f"http://{address.replace('127.0.0.1', 'localhost')}/"
            return await relay.restart([relay.Node("n", url, mint=relay.GivenToken("a-token"))])

    assert asyncio.run(run()).succeeded
    assert len(heads) == 2
    for head in heads:
        names = {line.partition(b":")[0].lower() for line in head.splitlines()[1:]}
        assert names == {b"host", b"authorization", b"content-type", b"content-length", b""}
        assert b"Authorization: Bearer a-token\r\n" in head


def test_nodes_with_equal_settings_share_a_context_also_between_deploys(
    relay_authority: Authority, tmp_path: Path
) -> None:
    ca, other = relay_authority.write(tmp_path / "a.pem"), Authority().write(tmp_path / "b.pem")
    (tmp_path / "same.pem").write_bytes(ca.read_bytes())
    nodes = [(None, True), (None, True), (None, False), (other, True)]
    first, second = contexts_for(nodes, Tls(ca)), contexts_for(nodes, Tls(tmp_path / "same.pem"))
    assert first == second
    assert first[0] is first[1]
    assert len(set(first)) == 3


def test_a_context_with_a_certificate_of_the_relay_is_not_shared_between_deploys(
    relay_authority: Authority, tmp_path: Path
) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(relay_authority.client_certificate("origin"))
    nodes = [(None, True), (None, True)]
    first, second = contexts_for(nodes, Tls(None, own)), contexts_for(nodes, Tls(None, own))
    assert first[0] is first[1]
    assert first[0] is not second[0]
    assert first[0] is not contexts_for(nodes, Tls())[0]


@pytest.mark.parametrize("which", ["ca_file", "certificate_file", "key_file"])
def test_a_file_without_end_is_not_read(tmp_path: Path, which: str) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(Authority().client_certificate("origin"))
    files = {"certificate_file": own, which: Path("/dev/zero")}
    with pytest.raises(relay.InputError, match="'/dev/zero' is a device; give a readable PEM file"):
        contexts_for([(None, True)], Tls(**files))


@pytest.mark.parametrize("which", ["ca_file", "certificate_file", "key_file"])
def test_a_pipe_is_refused_as_each_deploy_reads_its_files_more_than_once(
    tmp_path: Path, which: str
) -> None:
    own, pipe = tmp_path / "own.pem", tmp_path / "pipe"
    own.write_bytes(Authority().client_certificate("origin"))
    os.mkfifo(pipe)
    files = {"certificate_file": own, which: pipe}
    with pytest.raises(relay.InputError, match="pipe' is a pipe, which can be read only once"):
        contexts_for([(None, True)], Tls(**files))


def test_a_certificate_without_a_key_identifier_is_trusted(package: Path, tmp_path: Path) -> None:
    """Harper's own authority makes such certificates, which Python 3.13 refuses by default."""
    ca = trustme.CA()
    authority = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    signing = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = (
        x509.CertificateBuilder(authority.subject, x509.Name([]), key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(names, critical=True)
        .sign(signing, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    own = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "own.pem").write_bytes(own + certificate.public_bytes(pem))
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem")

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(OK)

    async def run() -> relay.Report:
        async with listening(peer, context) as address:
            url = f"https://{address.replace('127.0.0.1', 'localhost')}/"
            node = relay.Node("n", url, mint=relay.GivenToken("t"))
            return await relay.deploy([node], DEPLOY, package, tls=relay.Tls(tmp_path / "ca.pem"))

    assert asyncio.run(run()).records == [{"node": "n", "status": "success"}]


@pytest.mark.parametrize(
    "content", [b"", b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n", b"\xff" * 9]
)
def test_a_changed_ca_file_is_read_again(tmp_path: Path, content: bytes) -> None:
    good = Authority().write(tmp_path / "ca.pem")
    contexts_for([(None, True)], Tls(good))
    good.write_bytes(content)
    with pytest.raises(relay.InputError, match=r"ca\.pem"):
        contexts_for([(None, True)], Tls(good))
    good.unlink()
    with pytest.raises(relay.InputError, match="No such file"):
        contexts_for([(None, True)], Tls(good))


def test_a_password_is_hidden_in_every_quotation(package: Path) -> None:
    password = 'pa"ss\\wörd'
    quoted = [password, 'pa\\"ss\\\\w\\u00f6rd', 'pa\\"ss\\\\wörd']

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = f"[{' '.join(quoted)}]".encode()
        writer.write(b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async def run() -> Any:
        async with listening(peer) as address:
            url = f"http://{address}/"
            node = relay.Node("n", url, mint=relay.OperationsMint("u", password))
            return (await relay.deploy([node], DEPLOY, package)).records[0]["reason"]

    assert asyncio.run(run()) == f"token mint failed: [{' '.join(['[password]'] * 3)}]"


def test_the_options_of_a_socket() -> None:
    """Without them, a peer at 400 kB/s takes nothing for seconds, and then a megabyte at once."""
    address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))
    with PatientSocket(*address[:3]) as opened:
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 262_144
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

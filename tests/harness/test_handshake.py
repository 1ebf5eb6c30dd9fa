"""Connections that end before or in the handshake: who ended them, how, and what was shown."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.transport import handshake as handshake_tap
from deploy_relay_kit.harness.transport.handshake import first_certificate
from deploy_relay_kit.harness.witness.connections import ConnectionWitness
from tests.rawclient import RawClient, client_hello


def the_one(peer: FakePeer) -> ConnectionWitness:
    """The one connection that the peer saw, when it has ended."""
    peer.wait_until(lambda peer: any(it.closed_at for it in peer.live_connections))
    [seen] = peer.connections
    return seen


def test_a_socket_that_was_reset_before_its_handshake_is_not_leaked() -> None:
    """Between `accept` and the handshake there is a moment in which a client may reset."""
    context = Authority().server_context("localhost")
    handshake_tap.tap(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with RawClient(f"http://127.0.0.1:{listener.getsockname()[1]}/") as client:
            accepted, _ = listener.accept()
            client.reset()
        with (
            context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False) as sock,
            pytest.raises(ConnectionResetError),
        ):
            sock.do_handshake()


@pytest.mark.parametrize("end", ["FIN", "RST"])
@pytest.mark.parametrize("phase", ["nothing sent", "half a ClientHello", "after the ServerHello"])
def test_a_client_that_ends_in_the_handshake(cluster: FakeCluster, phase: str, end: str) -> None:
    peer = cluster.peer()
    with RawClient(peer.url.replace("https", "http")) as client:
        hello = client_hello("localhost")
        if phase == "half a ClientHello":
            client.send(hello[:100])
        elif phase == "after the ServerHello":
            client.send(hello)
            assert client.read().startswith(b"\x16\x03")
        if end == "RST":
            client.reset()
        else:
            client.sock.shutdown(socket.SHUT_WR)
            client.read_to_the_end()
    seen = the_one(peer)
    assert (seen.closed_by, seen.closed_with) == ("client", end)
    words = {"FIN": "the client closed the connection", "RST": "the client reset the connection"}
    assert seen.handshake_error == words[end]
    assert f"TLS handshake failed: {words[end]}" in str(seen)
    assert f"closed by the client with {end}" in str(seen)
    # OpenSSL answers an end of input with an alert.
    alert = "decode_error" if end == "FIN" else None
    assert (seen.tls_version, seen.alert_sent, seen.alert_received) == (None, alert, None)


@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_a_client_that_ends_before_a_request(cluster: FakeCluster, end: str) -> None:
    peer = cluster.peer()
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        if end == "RST":
            client.reset()
    seen = the_one(peer)
    assert (seen.closed_by, seen.closed_with, seen.handshake_error) == ("client", end, None)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_foreign_client_certificate_is_kept_and_the_alert_named(
    cluster: FakeCluster, version: ssl.TLSVersion
) -> None:
    peer = cluster.peer(fault=faults.ClientCertificateRequired())
    context = cluster.authority.client_context()
    context.maximum_version = version
    foreign = Authority()
    foreign.issue_client_certificate(context, "stranger.test")
    with (
        socket.create_connection((peer.http.host, peer.http.port), 5) as plain,
        pytest.raises(ssl.SSLError, match="unknown ca"),
        context.wrap_socket(plain, server_hostname=peer.http.host) as client,
    ):
        client.recv(1)
    seen = the_one(peer)
    assert seen.handshake_error == "CERTIFICATE_VERIFY_FAILED"
    assert (seen.alert_sent, seen.alert_received) == ("unknown_ca", None)
    assert "TLS alert sent: unknown_ca" in str(seen)
    assert seen.client_certificate is not None
    shown = ssl.DER_cert_to_PEM_cert(seen.client_certificate)
    assert "BEGIN CERTIFICATE" in shown
    assert b"stranger.test" in seen.client_certificate


def test_the_alert_of_a_client_is_named(cluster: FakeCluster, tmp_path: Path) -> None:
    peer = cluster.peer()
    with pytest.raises(ssl.SSLCertVerificationError):
        RawClient(peer.url, ca_file=Authority().write(tmp_path / "foreign.pem"))
    seen = the_one(peer)
    assert (seen.alert_sent, seen.alert_received) == (None, "unknown_ca")
    assert seen.client_certificate is None


def test_a_missing_client_certificate_is_refused_by_name(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.ClientCertificateRequired())
    with RawClient(peer.url, ca_file=cluster.ca_file) as client, pytest.raises(ssl.SSLError):
        client.read()
    seen = the_one(peer)
    assert (seen.alert_sent, seen.client_certificate) == ("certificate_required", None)


@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_a_client_that_ends_in_the_hello_of_a_hanging_peer(cluster: FakeCluster, end: str) -> None:
    peer = cluster.peer(fault=faults.HangInHandshake())
    with RawClient(peer.url.replace("https", "http")) as client:
        client.send(client_hello("localhost")[:100])
        if end == "RST":
            client.reset()
    seen = the_one(peer)
    assert (seen.closed_by, seen.closed_with) == ("client", end)
    assert "ClientHello read" not in str(seen)


@pytest.mark.parametrize("is_newest", [True, False])
def test_a_certificate_message_without_a_certificate(*, is_newest: bool) -> None:
    context = b"\0" if is_newest else b""
    body = context + b"\0\0\0"
    message = b"\x0b" + len(body).to_bytes(3) + body
    assert first_certificate(message, is_newest=is_newest) is None


def test_a_running_peer_presents_another_certificate_to_later_clients(
    cluster: FakeCluster,
) -> None:
    peer = cluster.peer()
    with RawClient(peer.url, ca_file=cluster.ca_file):
        pass
    expired = cluster.authority.server_context(peer.http.host, flaw=faults.CertificateFlaw.EXPIRED)
    peer.http.present(expired)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        RawClient(peer.url, ca_file=cluster.ca_file)
    assert [seen.alert_received for seen in peer.connections] == [None, "certificate_expired"]

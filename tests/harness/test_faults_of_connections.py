"""Faults of connections and of TLS on the wire: what a raw client meets."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.faults.kinds import CertificateFlaw
from deploy_relay_kit.harness.peer.certificates import Authority
from tests.harness.uploading import is_silent
from tests.rawclient import RawClient, client_hello, mint_request


def test_refuse(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.Refuse())
    with pytest.raises(ConnectionRefusedError):
        RawClient(peer.url, ca_file=cluster.ca_file)
    assert peer.connections == []


def test_silent_after_accept(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.SilentAfterAccept())
    with RawClient(peer.url.replace("https", "http")) as client:
        client.send(b"\x16\x03\x01")
        assert is_silent(client)


def test_reset_at_accept(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.ResetAtAccept())
    with (
        contextlib.suppress(ConnectionResetError),  # the reset may be there before the connect ends
        RawClient(peer.url.replace("https", "http")) as client,
    ):
        client.read_until_reset()
    [seen] = peer.connections
    assert (seen.closed_by, seen.closed_with) == ("peer", "RST")


@pytest.mark.parametrize("fault", [faults.HangInHandshake(), faults.CloseInHandshake()])
def test_a_handshake_is_left_unanswered_or_closed(
    cluster: FakeCluster, fault: faults.Fault
) -> None:
    peer = cluster.peer(fault=fault)
    with RawClient(peer.url.replace("https", "http")) as client:
        client.send(client_hello("localhost"))
        if isinstance(fault, faults.HangInHandshake):
            assert is_silent(client)
        else:
            assert client.read() == b""
    assert any("ClientHello read" in str(moment) for moment in peer.connections[0].moments)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_only(cluster: FakeCluster, version: Any) -> None:
    peer = cluster.peer(fault=faults.TlsOnly(version))
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        assert isinstance(client.sock, ssl.SSLSocket)
        assert client.sock.version() == f"TLSv{version}"
    other = {"1.2": ssl.TLSVersion.TLSv1_3, "1.3": ssl.TLSVersion.TLSv1_2}[version]
    context = ssl.create_default_context(cafile=cluster.ca_file)
    context.minimum_version = context.maximum_version = other
    with (
        socket.create_connection((peer.http.host, peer.http.port)) as plain,
        pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"),
    ):
        context.wrap_socket(plain, server_hostname=peer.http.host)
    assert peer.connections[-1].handshake_error == "UNSUPPORTED_PROTOCOL"


def test_client_certificate_required(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.ClientCertificateRequired())
    with (
        RawClient(peer.url, ca_file=cluster.ca_file) as client,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        client.read()
    assert peer.connections[-1].handshake_error == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    context = cluster.authority.client_context()
    cluster.authority.issue_client_certificate(context, "the-origin")
    with (
        socket.create_connection((peer.http.host, peer.http.port)) as plain,
        context.wrap_socket(plain, server_hostname=peer.http.host) as tls,
    ):
        tls.sendall(mint_request(peer))
        assert tls.recv(15) == b"HTTP/1.1 200 OK"
    assert peer.connections[-1].client_certificate is not None


FLAWS: list[tuple[CertificateFlaw, set[int]]] = [
    (CertificateFlaw.WRONG_AUTHORITY, {20}),
    (CertificateFlaw.EXPIRED, {10}),
    (CertificateFlaw.NOT_YET_VALID, {9}),
    (CertificateFlaw.WRONG_HOST, {64}),
    (CertificateFlaw.WRONG_ADDRESS, {64}),
    (CertificateFlaw.MISSING_INTERMEDIATE, {20, 21}),
    (CertificateFlaw.SELF_SIGNED, {18}),
]


@pytest.mark.parametrize(("flaw", "verify_code"), FLAWS)
def test_certificate_flaws(
    cluster: FakeCluster, flaw: CertificateFlaw, verify_code: set[int]
) -> None:
    peer = cluster.peer(fault=flaw)
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        RawClient(peer.url, ca_file=cluster.ca_file)
    assert refused.value.verify_code in verify_code
    with RawClient(peer.url, verify=False) as client:  # and nothing else is wrong with it
        client.send(mint_request(peer))
        assert client.read_answer().status == 200


def test_a_wrong_host_is_the_only_flaw_of_its_certificate(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=CertificateFlaw.WRONG_HOST)
    context = ssl.create_default_context(cafile=cluster.ca_file)
    with (
        socket.create_connection((peer.http.host, peer.http.port)) as plain,
        context.wrap_socket(plain, server_hostname="another-host.invalid") as tls,
    ):
        assert tls.version() == "TLSv1.3"
    assert peer.connections[0].server_name == "another-host.invalid"


def test_an_address_may_be_written_as_a_name(cluster: FakeCluster) -> None:
    peer = cluster.peer(host="127.0.0.1")
    peer.http.present(cluster.authority.server_context("DNS:127.0.0.1"))
    context = ssl.create_default_context(cafile=cluster.ca_file)
    context.check_hostname = False  # the rest of the certificate is valid
    with (
        socket.create_connection((peer.http.host, peer.http.port)) as plain,
        context.wrap_socket(plain) as tls,
    ):
        found = tls.getpeercert() or {}
    assert found["subjectAltName"] == (("DNS", "127.0.0.1"),)


def test_a_client_that_verifies_after_the_handshake_is_no_stray(cluster: FakeCluster) -> None:
    """Some TLS clients compare the host name after the handshake, and close without an alert."""
    peers = cluster.peer(fault=CertificateFlaw.WRONG_HOST), cluster.peer()
    for peer in peers:
        peer.judging = True
        context = ssl.create_default_context(cafile=str(cluster.ca_file))
        context.check_hostname = False
        host, port = peer.http.host, peer.http.port
        with socket.create_connection((host, port)) as bare:
            context.wrap_socket(bare, server_hostname=host).close()
        peer.wait_until(lambda it: any(seen.closed_by for seen in it.http.connections))
    flawed, healthy = peers
    assert (len(flawed.connections), len(flawed.strays)) == (1, 0)
    assert flawed.fault_not_shown is None
    assert (len(healthy.connections), len(healthy.strays)) == (0, 1)  # a health check does that


def test_every_certificate_flaw_has_a_test() -> None:
    assert {flaw for flaw, _ in FLAWS} == set(CertificateFlaw)


def test_an_authority_outside_the_cluster_is_not_trusted(tmp_path: Path) -> None:
    assert Authority().write(tmp_path / "a").read_bytes() != Authority().pem

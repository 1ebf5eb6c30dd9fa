"""A judge's peer beside strays: they are witnessed apart, and see no fault in the relay's place."""

from __future__ import annotations

import contextlib
import socket

import pytest

from deploy_relay_kit.harness import (
    CertificateFlaw,
    FakeCluster,
    FakePeer,
    Fault,
    HangInHandshake,
    ResetAtAccept,
    SilentAfterAccept,
    in_turn,
)
from tests.rawclient import RawClient, client_hello, mint_request
from tests.strays import STRAYS, Stray, health_check, plain_http

FAULTS = [
    None,
    in_turn(ResetAtAccept(), None),
    SilentAfterAccept(),
    HangInHandshake(),
    CertificateFlaw.EXPIRED,
]


def of_a_stray(cluster: FakeCluster, fault: Fault | None, stray: Stray, *, tls: bool = True) -> int:
    """The connections of a judge's peer that a stray is taken for the relay in."""
    peer = cluster.peer(fault=fault, tls=tls)
    peer.judging = True
    with contextlib.suppress(OSError):  # the peer refuses it
        stray(peer.http.host, peer.http.port)
    peer.wait_until(lambda it: any(seen.closed_by for seen in it.http.connections))
    peer.settle()
    assert not peer.unsettled
    assert len(peer.strays) == 1 - len(peer.connections)
    return len(peer.connections)


def has_shown_its_fault(peer: FakePeer) -> bool:
    return peer.fault_not_shown is None


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
@pytest.mark.parametrize("stray", STRAYS[:3])
def test_a_stray_is_witnessed_apart(
    cluster: FakeCluster, stray: Stray, fault: Fault | None
) -> None:
    assert of_a_stray(cluster, fault, stray) == 0


@pytest.mark.parametrize("fault", [None, CertificateFlaw.EXPIRED], ids=repr)
def test_a_health_check_over_tls_is_witnessed_apart(
    cluster: FakeCluster, fault: Fault | None
) -> None:
    assert of_a_stray(cluster, fault, health_check) == 0


def test_a_stray_without_tls_is_witnessed_apart(cluster: FakeCluster) -> None:
    assert of_a_stray(cluster, None, plain_http, tls=False) == 0


@pytest.mark.parametrize("stray", STRAYS[:3])
def test_a_stray_takes_no_turn_of_a_fault(cluster: FakeCluster, stray: Stray) -> None:
    peer = cluster.peer(fault=in_turn(ResetAtAccept(), None))
    peer.judging = True
    for _ in range(2):
        stray(peer.http.host, peer.http.port)
    assert not has_shown_its_fault(peer)
    with pytest.raises(OSError, match=r"reset|closed|EOF"):
        RawClient(peer.url, ca_file=cluster.ca_file)
    assert has_shown_its_fault(peer)
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        assert client.read_answer().status == 200


def test_a_stray_that_stays_with_half_a_handshake_keeps_no_case_waiting(
    cluster: FakeCluster,
) -> None:
    """Nothing of it is in progress, so the witnesses of the relay are complete without it."""
    peer = cluster.peer()
    peer.judging = True
    with socket.create_connection((peer.http.host, peer.http.port)) as sock:
        sock.sendall(client_hello("a-stranger.example")[:50])
        peer.wait_until(lambda it: len(it.http.connections) == 1)
        peer.settle()
        assert (peer.unsettled, len(peer.strays)) == ("", 1)

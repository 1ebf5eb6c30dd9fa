"""A test that freezes the clock of Python: its fake peers go on as before."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import freezegun
import pytest
import time_machine

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.kinds import CertificateFlaw
from tests.rawclient import RawClient, mint

Freeze = Callable[[datetime], AbstractContextManager[Any]]


@pytest.fixture(
    params=[freezegun.freeze_time, partial(time_machine.travel, tick=False)],
    ids=["freezegun", "time-machine"],
)
def freeze(request: pytest.FixtureRequest) -> Freeze:
    chosen: Freeze = request.param
    return chosen


@pytest.mark.parametrize("year", [1999, 2020, 2035])
def test_certificates_are_those_of_the_real_time(freeze: Freeze, year: int) -> None:
    """OpenSSL asks no clock of Python; what starts frozen is also right later."""
    with FakeCluster() as cluster:
        with freeze(datetime(year, 1, 1, tzinfo=UTC)):
            peer = cluster.peer()
            mint(peer, cluster.ca_file)
            for flaw in (CertificateFlaw.EXPIRED, CertificateFlaw.NOT_YET_VALID):
                with pytest.raises(ssl.SSLCertVerificationError):
                    RawClient(cluster.peer(fault=flaw).url, ca_file=cluster.ca_file)
        mint(peer, cluster.ca_file)
        mint(cluster.peer(), cluster.ca_file)


def test_timelines_and_deadlines_advance(freeze: Freeze) -> None:
    with freeze(datetime(2020, 1, 1, tzinfo=UTC)), FakeCluster() as cluster:
        peer = cluster.peer(timeout=0.1)
        with RawClient(peer.url, ca_file=cluster.ca_file) as client:
            client.send(b"POST / HTTP/1.1\r\n")
            client.read_to_the_end()  # the peer waits for the rest, but not for ever
        [seen] = peer.connections
        assert seen.closed_at is not None
        assert seen.closed_at - seen.accepted_at >= 0.1
        times = [moment.at for moment in seen.moments]
        assert times == sorted(times)
        assert times[-1] > times[0]

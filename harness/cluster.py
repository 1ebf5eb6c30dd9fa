"""A fake cluster: any number of peers under one certificate authority, proxies in front of some."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness.certs import Authority
from harness.peer import FakePeer
from harness.proxy import PathPrefixProxy

if TYPE_CHECKING:
    from harness.faults import Fault


class FakeCluster:
    """Peers that share an authority; a context manager that stops whatever it started.

    Attributes:
        authority: signs every peer's certificate.
        ca_file: the authority's certificate, as a relay is given it.
        peers: every peer started so far, in order.

    """

    def __init__(self, peers: int = 0, *, authority: Authority | None = None) -> None:
        """Start a cluster of `peers` healthy peers; add others with `peer`."""
        self.authority = authority or Authority()
        self.peers: list[FakePeer] = []
        self._cleanup = contextlib.ExitStack()
        directory = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="fake-cluster-"))
        self.ca_file = self.authority.write(Path(directory) / "ca.pem")
        for _ in range(peers):
            self.peer()

    def peer(self, name: str | None = None, *, fault: Fault | None = None, **how: Any) -> FakePeer:
        """Start one more peer; `how` are further arguments of `FakePeer`."""
        name = name or f"node-{len(self.peers) + 1}"
        peer = FakePeer(self.authority, name=name, fault=fault, **how)
        self._cleanup.enter_context(peer)
        self.peers.append(peer)
        return peer

    def proxy(self, peer: FakePeer, prefix: str) -> PathPrefixProxy:
        """Start a TLS reverse proxy that serves `peer` under a path prefix."""
        return self._cleanup.enter_context(PathPrefixProxy(self.authority, peer, prefix))

    def stop(self) -> None:
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

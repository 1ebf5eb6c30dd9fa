"""A fake cluster: any number of peers under one certificate authority, proxies in front of some."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from deploy_relay_kit import clusters
from deploy_relay_kit.harness.faults.checks import (
    check_bool,
    check_filled,
    check_int,
    check_none,
    check_number,
    check_text,
)
from deploy_relay_kit.harness.faults.kinds import Fault
from deploy_relay_kit.harness.fronts.apache import ApacheFront
from deploy_relay_kit.harness.fronts.caddy import CaddyFront
from deploy_relay_kit.harness.fronts.front import Front
from deploy_relay_kit.harness.fronts.haproxy import HaproxyFront
from deploy_relay_kit.harness.fronts.nginx import NginxFront
from deploy_relay_kit.harness.peer.addresses import loopback_address
from deploy_relay_kit.harness.peer.certificates import Authority, check_authority
from deploy_relay_kit.harness.peer.options import PeerOptions
from deploy_relay_kit.harness.peer.peer import FakePeer, check_peer
from deploy_relay_kit.harness.profiles import ProfileName
from deploy_relay_kit.harness.replication import FakeReplicationSocket
from deploy_relay_kit.harness.replication.socket import SocketOptions
from deploy_relay_kit.harness.witness.printable import printable
from deploy_relay_kit.harness.witness.timeline import (
    ConnectionTimeline,
    beginning,
    connection_timelines,
)

if TYPE_CHECKING:
    from deploy_relay_kit.harness.fronts.proxy import PathPrefixProxy

_Front = TypeVar("_Front", bound=Front)
_SHOWN = 5  # peers in the `repr` of a cluster


class FakeCluster:
    """Peers that share an authority; a context manager that stops whatever it started.

    Attributes:
        authority: signs every peer's certificate.
        ca_file: the authority's certificate, as a relay is given it.
        peers: every peer started so far, in order.
        sockets: every replication socket started so far, in order.
        fronts: every proxy started so far, in order.
        profile: the profile of peers that are started without one.
        judging: see `Endpoint`; for peers and sockets that are started later.
        is_stopped: whether `stop` was called.
    """

    profile: ProfileName = "strict"
    judging = False

    def __init__(self, peers: int = 0, *, authority: Authority | None = None) -> None:
        """Start a cluster of `peers` healthy peers; add others with `peer`."""
        check_int(least=0).validate("peers", peers)
        check_authority.validate("authority", authority)
        self.authority = authority or Authority()
        self.peers: list[FakePeer] = []
        self.sockets: list[FakeReplicationSocket] = []
        self.fronts: list[Front] = []
        self.is_stopped = False
        self._cleanup = contextlib.ExitStack()
        self.ca_file = self.authority.file
        clusters.started(self)
        for _ in range(peers):
            self.peer()

    def peer(
        self,
        name: str | None = None,
        *,
        fault: Fault | tuple[Fault, ...] | None = None,
        tls: bool = True,
        authority: Authority | None = None,
        **how: Unpack[PeerOptions],
    ) -> FakePeer:
        """Start one more peer.

        Args:
            name: its name; `node-1`, `node-2` and so on if left out.
            fault: how to misbehave.
            tls: whether it serves HTTPS.
            authority: signs its certificate instead of the cluster's.
            **how: further arguments of `FakePeer`: `path`, `profile`, `username`, `password`,
                `host`, `timeout`, `mark_offsets`.
        """
        signer = self._signer(tls, authority)
        number = len(self.peers) + 1
        (check_none | check_filled).validate("name", name)
        if name is None:
            name = next(free for n in itertools.count(1) if (free := f"node-{n}") not in self)
        if name in self:
            raise ValueError(f"a peer is named {name!r} already; names are unique in a cluster")
        how.setdefault("host", loopback_address(number))
        how.setdefault("profile", self.profile)
        peer = FakePeer(signer, name=name, fault=fault, **how)
        peer.judging = self.judging
        self._cleanup.enter_context(peer)
        self.peers.append(peer)
        return peer

    def _signer(self, tls: bool, authority: Authority | None) -> Authority | None:  # noqa: FBT001
        check_bool.validate("tls", tls)
        check_authority.validate("authority", authority)
        if not tls and authority is not None:
            raise ValueError("authority signs a certificate, and tls=False has none: leave one out")
        return (authority or self.authority) if tls else None

    def proxy(self, peer: FakePeer, prefix: str) -> PathPrefixProxy:
        """Start a TLS reverse proxy that serves `peer` under a path prefix."""
        # aiohttp takes longer to import than all else that a cluster needs.
        from deploy_relay_kit.harness.fronts.proxy import PathPrefixProxy  # noqa: PLC0415

        return self._start_front(PathPrefixProxy(self.authority, peer, prefix))

    def nginx(self, peer: FakePeer, prefix: str, *, request_buffering: bool = False) -> NginxFront:
        """Start a real nginx before `peer`; arguments as of `RealFront`."""
        front = NginxFront(self.authority, peer, prefix, request_buffering=request_buffering)
        return self._start_front(front)

    def haproxy(
        self, peer: FakePeer, prefix: str, *, request_buffering: bool = False
    ) -> HaproxyFront:
        """Start a real HAProxy before `peer`; arguments as of `RealFront`."""
        front = HaproxyFront(self.authority, peer, prefix, request_buffering=request_buffering)
        return self._start_front(front)

    def apache(
        self, peer: FakePeer, prefix: str, *, request_buffering: bool = False
    ) -> ApacheFront:
        """Start a real Apache httpd before `peer`; arguments as of `RealFront`."""
        front = ApacheFront(self.authority, peer, prefix, request_buffering=request_buffering)
        return self._start_front(front)

    def caddy(self, peer: FakePeer, prefix: str, *, request_buffering: bool = False) -> CaddyFront:
        """Start a real Caddy before `peer`; arguments as of `RealFront`."""
        front = CaddyFront(self.authority, peer, prefix, request_buffering=request_buffering)
        return self._start_front(front)

    def _start_front(self, front: _Front) -> _Front:
        self._cleanup.enter_context(front)
        self.fronts.append(front)
        return front

    def replication(
        self,
        peer: FakePeer,
        *,
        tls: bool = True,
        authority: Authority | None = None,
        **how: Unpack[SocketOptions],
    ) -> FakeReplicationSocket:
        """Start the replication socket of `peer`.

        Args:
            peer: the node whose tokens it mints.
            tls: whether it is `wss`.
            authority: signs its certificate instead of the cluster's.
            **how: arguments of `FakeReplicationSocket`: `fault`, `known_nodes`, `host`, `timeout`.
        """
        check_peer.validate("peer", peer)
        signer = self._signer(tls, authority)
        how.setdefault("host", peer.http.host)
        at = FakeReplicationSocket(signer, peer.node, **how)
        at.judging = self.judging
        self._cleanup.enter_context(at)
        self.sockets.append(at)
        return at

    def __repr__(self) -> str:
        first = [f"{peer.name} {peer.url}" for peer in self.peers[:_SHOWN]]
        more = len(self.peers) - len(first)
        shown = ", ".join([*first, f"and {more} more"] if more else first) or "no peers"
        return f"<{type(self).__name__} of {shown}>"

    def __iter__(self) -> Iterator[FakePeer]:
        return iter(self.peers)

    def __len__(self) -> int:
        return len(self.peers)

    def __contains__(self, name: str) -> bool:
        return any(peer.name == name for peer in self.peers)

    def __getitem__(self, name: str) -> FakePeer:
        """The peer of a name; KeyError when there is none."""
        for peer in self.peers:
            if peer.name == name:
                return peer
        first = ", ".join(peer.name for peer in self.peers[:_SHOWN]) or "none"
        raise KeyError(f"no peer is named {name!r}; the first are {first}")

    def silence(self, name: str) -> None:
        """Make a node hang from now on: see `FakePeer.silence`."""
        self[name].silence()

    def kill(self, name: str) -> None:
        """Make a node die: see `FakePeer.kill`."""
        self[name].kill()

    def restart(self, name: str) -> None:
        """Bring a node back that was killed or hangs: see `FakePeer.restart`."""
        self[name].restart()

    def describe(self) -> dict[str, Any]:
        """The cluster as JSON values, for relays outside of this process.

        `{"ca_file": path, "nodes": [{"name", "url", "username", "password"}, …]}`; the credentials
        are good at the fake peers only. A node with a replication socket has `replication_url`,
        one behind proxies has `front_urls`, a list.
        """
        return {
            "ca_file": str(self.ca_file),
            "nodes": [self._describe(peer) for peer in self.peers],
        }

    def _describe(self, peer: FakePeer) -> dict[str, Any]:
        described: dict[str, Any] = {
            "name": peer.name,
            "url": peer.url,
            "username": peer.username,
            "password": peer.password,
        }
        for at in self.sockets:
            if at.node is peer.node:
                described["replication_url"] = at.url
        if fronts := [front.url for front in self.fronts if front.peer is peer]:
            described["front_urls"] = fronts
        return described

    def timelines(self, since: float = 0.0) -> str:
        """What every peer and socket saw, as text that a person reads, without credentials.

        All times are on one clock, which begins with the first connection. A front records
        nothing: only its name is shown. Its peer records what passed through it.

        Args:
            since: connections that ended before this time of `time.monotonic` are left out.
        """
        check_number().validate("since", since)
        fronts = [f"{front.name} behind {front.url}" for front in self.fronts]
        endpoints = [*self.peers, *self.sockets]
        connections = (seen for it in endpoints for seen in it.live_connections)
        begin = beginning(connections)
        seen = "\n".join([*fronts, *(it.timeline(begin, since) for it in endpoints)])
        return printable(self.redacted(seen))

    def redacted(self, text: str) -> str:
        """A text without the passwords and tokens of its peers."""
        check_text.validate("text", text)
        for peer in self.peers:
            text = peer.node.redacted(text)
        return text

    def connection_timelines(self) -> list[ConnectionTimeline]:
        """What every peer and socket saw so far, connection by connection, on one clock.

        It waits for nothing: a test may fail while a request is in progress.
        """
        endpoints = [*self.peers, *self.sockets]
        seen = [(it.title, witness) for it in endpoints for witness in it.live_connections]
        return connection_timelines(seen, lambda text: printable(self.redacted(text)))

    def stop(self) -> None:
        self.is_stopped = True
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

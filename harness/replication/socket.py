"""The fake replication socket of one fake peer: tokens are minted over it, too."""

from __future__ import annotations

import contextlib
import re
import ssl
from typing import TYPE_CHECKING, Any, Self, TypedDict, get_args

from werkzeug import Request, Response

from harness.certs import CertificateFlaw
from harness.connection import ConnectionEnded
from harness.exchange import Exchange
from harness.replication import faults as socket_faults
from harness.replication.conversation import SocketConversation
from harness.replication.frames import SUBPROTOCOL
from harness.replication.witness import LetInBy, SocketWitness
from harness.server import StreamingServer
from harness.witness import timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from harness.certs import Authority
    from harness.peer import FakePeer
    from harness.replication.faults import ReplicationFault
    from harness.witness import ConnectionWitness

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


class SocketOptions(TypedDict, total=False):
    """What `FakeCluster.replication` hands on to a `FakeReplicationSocket`, which explains it."""

    fault: ReplicationFault | None
    known_nodes: Collection[str] | None
    host: str | None
    timeout: float


class FakeReplicationSocket:
    """A node's replication socket on a loopback port of its own, as far as a mint needs it.

    It answers `create_authentication_tokens` with tokens that are good at the operations API of its
    peer, also under the peer's faults `TokensExpire` and `MintForAnotherUser`; any other operation
    with an error. Witnesses are read after the relay has returned; reading them waits until every
    connection has ended.

    Attributes:
        name: the node's name.
        peer: the node whose tokens it mints.

    """

    def __init__(
        self,
        authority: Authority | None,
        peer: FakePeer,
        *,
        fault: ReplicationFault | None = None,
        known_nodes: Collection[str] | None = None,
        host: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Prepare a socket; nothing listens before `start`.

        Args:
            authority: signs the certificate and those of clients; None serves plain `ws`.
            peer: the node, whose tokens are minted.
            fault: how to misbehave.
            known_nodes: who may speak (WS-04): a client with a certificate that names one of them,
                or with the Authorization of the peer's user. None knows every client by its
                address. Certificates are asked for, not demanded, and witnessed in either case.
            host: loopback address to bind; None takes that of the peer.
            timeout: longest wait for bytes on a connection, in seconds.

        """
        self.name = peer.name
        self.fault = fault
        self._known_nodes = known_nodes
        self.peer = peer
        self._authority = authority
        self._http = StreamingServer(host or peer.http.host, timeout=timeout)
        self._http.expect_request("/", method="GET").respond_with_handler(self._serve)

    @property
    def fault(self) -> ReplicationFault | None:
        """How it misbehaves; None answers as a healthy node would.

        A `CertificateFlaw` is read at `start`, everything else at each connection.
        """
        return self._fault

    @fault.setter
    def fault(self, fault: ReplicationFault | None) -> None:
        if fault is not None and not isinstance(fault, get_args(socket_faults.ReplicationFault)):
            raise TypeError(
                f"fault {fault!r}: give an object of a class in harness.replication.faults, or a "
                "CertificateFlaw; faults of the operations API are the peer's"
            )
        self._fault = fault

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> Self:
        if self._authority is not None:
            self._http.ssl_context = self._tls_context(self._authority)
        self._http.start()
        return self

    def _tls_context(self, authority: Authority) -> ssl.SSLContext:
        names = ["localhost", self._http.host]
        if _HOST_NAME.fullmatch(self.name):
            names.append(self.name)  # clients send it as SNI and verify it (WS-06)
        flaw = self.fault if isinstance(self.fault, CertificateFlaw) else None
        return authority.server_context(*names, flaw=flaw, client_certificate=ssl.CERT_OPTIONAL)

    def stop(self) -> None:
        """End every connection and stop listening; does nothing when already stopped.

        Raises:
            Exception: the first error of a connection, which would be a defect of the harness.

        """
        if self._http.is_running():
            self._http.stop()
        self._http.check()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<FakeReplicationSocket {self.name} {self.url}>"

    @property
    def url(self) -> str:
        """Where the socket is: `wss`, or `ws` without an authority; the path is `/` (WS-01)."""
        scheme = "ws" if self._authority is None else "wss"
        return f"{scheme}://{self._http.url_for('/').partition('://')[2]}"

    # -- what it saw -----------------------------------------------------------------------------

    @property
    def connections(self) -> list[ConnectionWitness]:
        """Every accepted connection, in order, also those that never became a WebSocket.

        Raises:
            TimeoutError: the client has left a connection open (WS-14); its timeline is shown.

        """
        self._http.settle()
        return list(self._http.connections)

    @property
    def live_connections(self) -> list[ConnectionWitness]:
        """The connections so far, also those that are still open."""
        return list(self._http.connections)

    def timeline(self) -> str:
        """What it saw so far, connection by connection; credentials are left out."""
        return timeline(f"{self.name} (replication) {self.url}", self.live_connections)

    @property
    def sockets(self) -> list[SocketWitness]:
        """Every connection that became a WebSocket, in order, when all have ended."""
        self._http.settle()
        return self.live_sockets

    @property
    def socket(self) -> SocketWitness:
        """The one connection that became a WebSocket; an AssertionError when there is not one."""
        sockets = self.sockets
        if len(sockets) != 1:
            seen = "\n".join(str(connection) for connection in self.connections)
            raise AssertionError(f"{self.name} saw {len(sockets)} sockets, not one\n{seen}")
        return sockets[0]

    @property
    def live_sockets(self) -> list[SocketWitness]:
        """The sockets so far, also those that are still open."""
        seen = [request for witness in self.live_connections for request in witness.requests]
        return [request for request in seen if isinstance(request, SocketWitness)]

    def wait_until(self, happened: Callable[[Self], bool], timeout: float = 5.0) -> None:
        """Wait, while a connection may be open, until something has been witnessed.

        Args:
            happened: asked with this socket at each new moment; it should look at `live_sockets`.
            timeout: seconds after which TimeoutError is raised.

        """
        self._http.wait_until(lambda: happened(self), timeout)

    # -- connections -----------------------------------------------------------------------------

    def _serve(self, request: Request) -> Response:
        """Handle one upgrade and what follows it, as pytest-httpserver asks it of a handler."""
        exchange = Exchange.of(request)
        fault = self.fault
        if isinstance(fault, socket_faults.UpgradeRefused):
            return Response("no upgrade\n", fault.status)
        if problem := _problem_of_upgrade(exchange.witness.header):
            return Response(f"{problem}\n", 400)
        exchange.answered, exchange.keep_alive = True, False
        if isinstance(fault, socket_faults.UpgradeHangs):
            with contextlib.suppress(ConnectionEnded):
                exchange.connection.be_silent()
            return Response()  # never sent: the exchange is answered
        seen = exchange.witness_as(SocketWitness, let_in_by=self._let_in_by(exchange))
        try:
            SocketConversation(exchange.connection, seen, fault, lambda: self._issue(seen)).hold()
        except ConnectionEnded as error:
            seen.connection.note(f"ended: {error}")
        return Response()  # never sent: the exchange is answered

    def _let_in_by(self, exchange: Exchange) -> LetInBy | None:
        if self._known_nodes is None:
            return "address"
        sock = exchange.connection.sock
        if isinstance(sock, ssl.SSLSocket):
            certificate: dict[str, Any] = sock.getpeercert() or {}
            names = {value for _, value in certificate.get("subjectAltName", ())}
            if names & set(self._known_nodes):
                return "certificate"
        authorization = exchange.witness.header("authorization")
        is_user = authorization == f"Basic {self.peer.basic}"
        if is_user or self.peer.tokens.worth(authorization) == "good":
            return "authorization"
        return None

    def _issue(self, seen: SocketWitness) -> dict[str, Any]:
        """Mint a pair of tokens as the operations API of the peer would (MINT-04)."""
        issued = self.peer.issue_tokens(self.peer.schedule.due("mint"))
        seen.tokens.append(issued["operation_token"])
        return issued


def _problem_of_upgrade(header: Callable[[str], str | None]) -> str | None:
    """Why a GET is not an upgrade to the replication protocol; None when it is one."""

    def listed(name: str) -> list[str]:
        return [item.strip() for item in (header(name) or "").split(",")]

    if "websocket" not in [item.lower() for item in listed("upgrade")]:
        return "not an upgrade to a WebSocket"
    if "upgrade" not in [item.lower() for item in listed("connection")]:
        return "Connection does not say Upgrade"
    if header("sec-websocket-version") != "13" or not header("sec-websocket-key"):
        return "not version 13 of the WebSocket protocol"
    if SUBPROTOCOL not in listed("sec-websocket-protocol"):
        return f"the subprotocol {SUBPROTOCOL} is not offered (WS-03)"
    return None

"""The fake replication socket of one fake peer: tokens are minted over it, too."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Callable, Collection
from typing import Any, Self, TypedDict

from werkzeug import Request, Response

from harness.errors import Unseen
from harness.faults.kinds import CertificateFlaw, SocketFault
from harness.peer.certificates import Authority
from harness.peer.node import NodeState
from harness.replication import faults as socket_faults
from harness.replication.conversation import SocketConversation
from harness.replication.faults import ReplicationFault
from harness.replication.frames import SUBPROTOCOL
from harness.replication.witness import LetInBy, SocketWitness
from harness.transport.connection import ConnectionEnded
from harness.transport.endpoint import Endpoint
from harness.transport.exchange import Exchange
from harness.transport.server import StreamingServer
from harness.witness.moments import MomentKind

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


class SocketOptions(TypedDict, total=False):
    """What `FakeCluster.replication` hands on to a `FakeReplicationSocket`, which explains it."""

    fault: ReplicationFault | None
    known_nodes: Collection[str] | None
    host: str
    timeout: float


class FakeReplicationSocket(Endpoint):
    """A node's replication socket on a loopback port of its own, for mints.

    It answers `create_authentication_tokens` with tokens that the node's operations API accepts,
    also while the node's faults `TokensExpire` or `MintForAnotherUser` are due; it answers any
    other operation with an error.

    Attributes:
        node: the node whose tokens it mints.

    """

    def __init__(
        self,
        authority: Authority | None,
        node: NodeState,
        *,
        fault: ReplicationFault | None = None,
        known_nodes: Collection[str] | None = None,
        host: str = "127.0.0.1",
        timeout: float = 30.0,
    ) -> None:
        """Prepare a socket; nothing listens before `start`.

        Args:
            authority: signs the certificate and those of clients; None serves plain `ws`.
            node: the node whose tokens are minted.
            fault: how to misbehave.
            known_nodes: who may use it (WS-04): a client with a certificate that names one of
                them, or with the Authorization of the node's user. None accepts every client by
                its address. Certificates are requested, not required, and always witnessed.
            host: loopback address to bind.
            timeout: longest wait for bytes on a connection, in seconds.

        """
        super().__init__(f"{node.name} (replication)", StreamingServer(host, timeout=timeout))
        self.fault = fault
        self.node = node
        self._known_nodes = known_nodes
        self._authority = authority
        self.http.expect_request("/", method="GET").respond_with_handler(self._serve)

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def fault(self) -> ReplicationFault | None:
        """How it misbehaves; None answers as a healthy node.

        A `CertificateFlaw` is read at `start`, every other fault at each connection.
        """
        return self._fault

    @fault.setter
    def fault(self, fault: ReplicationFault | None) -> None:
        if not isinstance(fault, SocketFault | CertificateFlaw | None):
            raise TypeError(
                f"fault {fault!r}: give an object of a class in harness.replication.faults, or a "
                "CertificateFlaw; faults of the operations API belong to the peer"
            )
        self._fault = fault

    def start(self) -> Self:
        if self._authority is not None:
            self.http.ssl_context = self._tls_context(self._authority)
        self.http.start()
        return self

    def _tls_context(self, authority: Authority) -> ssl.SSLContext:
        names = ["localhost", self.http.host]
        if _HOST_NAME.fullmatch(self.name):
            names.append(self.name)  # clients send it as SNI and verify it (WS-06)
        flaw = self.fault if isinstance(self.fault, CertificateFlaw) else None
        return authority.server_context(*names, flaw=flaw, client_certificate=ssl.CERT_OPTIONAL)

    @property
    def url(self) -> str:
        """Where the socket is: `wss`, or `ws` without an authority; the path is `/` (WS-01)."""
        scheme = "ws" if self._authority is None else "wss"
        return f"{scheme}://{self.http.url_for('/').partition('://')[2]}"

    @property
    def sockets(self) -> list[SocketWitness]:
        """Every connection that became a WebSocket, in order, when all have ended."""
        self.http.settle()
        return self.live_sockets

    @property
    def socket(self) -> SocketWitness:
        """The one connection that became a WebSocket; Unseen when there is not exactly one."""
        sockets = self.sockets
        if len(sockets) != 1:
            raise Unseen(f"{self.name} saw {len(sockets)} sockets, not one")
        return sockets[0]

    @property
    def live_sockets(self) -> list[SocketWitness]:
        """The sockets so far, also those that are still open."""
        return [request for request in self.live_requests if isinstance(request, SocketWitness)]

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
            seen.connection.note(MomentKind.SOCKET_ENDED, reason=error)
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
        is_user = authorization == f"Basic {self.node.basic}"
        if is_user or self.node.tokens.worth(authorization) == "good":
            return "authorization"
        return None

    def _issue(self, seen: SocketWitness) -> dict[str, Any]:
        """Mint a pair of tokens as the operations API of the peer would (MINT-04)."""
        issued = self.node.issue_tokens(self.node.schedule.due("mint"))
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

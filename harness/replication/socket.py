"""The fake replication socket of a fake node, over which relays mint tokens."""

import contextlib
import re
import ssl
from collections.abc import Collection
from typing import Any, Self, TypedDict

from werkzeug import Request, Response

from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.faults.checks import (
    check_each,
    check_none,
    check_number,
    check_text,
)
from deploy_relay_kit.harness.faults.kinds import CertificateFlaw, SocketFault
from deploy_relay_kit.harness.peer.certificates import Authority, check_authority
from deploy_relay_kit.harness.peer.node import NodeState
from deploy_relay_kit.harness.replication import faults as socket_faults
from deploy_relay_kit.harness.replication.conversation import SocketConversation
from deploy_relay_kit.harness.replication.faults import ReplicationFault
from deploy_relay_kit.harness.replication.frames import SUBPROTOCOL
from deploy_relay_kit.harness.replication.witness import LetInBy, SocketWitness
from deploy_relay_kit.harness.transport.connection import ConnectionEnded
from deploy_relay_kit.harness.transport.endpoint import Endpoint
from deploy_relay_kit.harness.transport.exchange import Exchange
from deploy_relay_kit.harness.transport.server import StreamingServer
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.moments import MomentKind

_NAMES = check_each(check_text, "a list of texts") | check_none
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


class SocketOptions(TypedDict, total=False):
    """Arguments of `FakeReplicationSocket` that `FakeCluster.replication` passes on."""

    fault: ReplicationFault | None
    known_nodes: Collection[str] | None
    host: str
    timeout: float


class FakeReplicationSocket(Endpoint):
    """A node's replication socket on a loopback port, for mints.

    It answers `create_authentication_tokens` with tokens of the node; the node's faults
    `TokensExpire` and `MintForAnotherUser` apply to them. It answers every other operation with an
    error.

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
            authority: signs the certificates of socket and clients; None serves plain `ws`.
            node: the node whose tokens it mints.
            fault: how to misbehave.
            known_nodes: the clients that may use it (WS-04): those with a certificate for one of
                these names, and those with the Authorization of the node's user. None accepts every
                client by its address. Certificates are requested, not required, and witnessed.
            host: loopback address to bind.
            timeout: longest wait for bytes on a connection, in seconds.
        """
        check_authority.validate("authority", authority)
        _NAMES.validate("known_nodes", known_nodes)
        check_number(above=0).validate("timeout", timeout)
        super().__init__(f"{node.name} (replication)", StreamingServer(host, timeout=timeout))
        self.fault = fault
        self.node = node
        self._fault_shown = False
        self._known_nodes = known_nodes
        self._authority = authority
        self.http.expect_request("/", method="GET").respond_with_handler(self._serve)

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def fault(self) -> ReplicationFault | None:
        """How it misbehaves; None answers like a healthy node.

        `start` reads a `CertificateFlaw`, each connection reads every other fault.
        """
        return self._fault

    @fault.setter
    def fault(self, fault: ReplicationFault | None) -> None:
        if not isinstance(fault, SocketFault | CertificateFlaw | None):
            raise TypeError(
                f"fault {fault!r} is not a fault of a replication socket: give an object of a "
                "class in deploy_relay_kit.harness.replication.faults, or a CertificateFlaw"
            )
        self._fault, self._fault_shown = fault, False

    @property
    def has_fault(self) -> bool:
        return self._fault is not None

    @property
    def has_fault_in_handshake(self) -> bool:
        return isinstance(self._fault, CertificateFlaw)

    @property
    def fault_not_shown(self) -> ReplicationFault | None:
        if self.has_fault_in_handshake:
            is_shown = any(seen.has_spoken for seen in self.live_connections)
        else:
            is_shown = self._fault_shown
        return None if is_shown else self._fault

    def _show_fault(self) -> None:
        self._fault_shown = True

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
        """The URL: `wss`, or `ws` without an authority; its path is `/` (WS-01)."""
        scheme = "ws" if self._authority is None else "wss"
        return f"{scheme}://{self.http.url_for('/').partition('://')[2]}"

    @property
    def sockets(self) -> list[SocketWitness]:
        """Every connection that became a WebSocket, in order; waits until all have ended."""
        self.http.settle()
        return self.live_sockets

    @property
    def socket(self) -> SocketWitness:
        """The only connection that became a WebSocket; Unseen when there is not exactly one."""
        sockets = self.sockets
        if len(sockets) != 1:
            raise Unseen(f"{self.name} saw {len(sockets)} sockets, not one")
        return sockets[0]

    @property
    def live_sockets(self) -> list[SocketWitness]:
        """The sockets so far, including open ones."""
        return [request for request in self.live_requests if isinstance(request, SocketWitness)]

    # -- connections -----------------------------------------------------------------------------

    def _serve(self, request: Request) -> Response:
        """Handle one connection; a handler of pytest-httpserver."""
        exchange = Exchange.of(request)
        fault = self.fault
        if isinstance(fault, socket_faults.UpgradeRefused | socket_faults.UpgradeHangs):
            self._show_fault()
        if isinstance(fault, socket_faults.UpgradeRefused):
            location = {"Location": fault.location} if fault.location else {}
            return Response("no upgrade\n", fault.status, location)
        if problem := _problem_of_upgrade(exchange.witness):
            return Response(f"{problem}\n", 400)
        exchange.answered, exchange.keep_alive = True, False
        if isinstance(fault, socket_faults.UpgradeHangs):
            with contextlib.suppress(ConnectionEnded):
                exchange.connection.be_silent()
            return Response()  # never sent: the exchange is answered
        seen = exchange.witness_as(SocketWitness, let_in_by=self._let_in_by(exchange))
        try:
            SocketConversation(
                exchange.connection, seen, fault, lambda: self._issue(seen), self._show_fault
            ).run()
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
        """Mint a pair of tokens like the node's operations API (MINT-04)."""
        issued = self.node.issue_tokens(self.node.schedule.due("mint"))
        seen.tokens.append(issued["operation_token"])
        return issued


def _problem_of_upgrade(request: RequestWitness) -> str | None:
    """Why a GET is not an upgrade to the replication protocol; None when it is one."""

    def listed(name: str) -> list[str]:
        return [item.strip() for item in (request.header(name) or "").split(",")]

    if "websocket" not in map(str.lower, listed("upgrade")):
        return "not an upgrade to a WebSocket"
    if "upgrade" not in map(str.lower, listed("connection")):
        return "Connection does not contain Upgrade"
    if request.header("sec-websocket-version") != "13" or not request.header("sec-websocket-key"):
        return "not version 13 of the WebSocket protocol"
    if SUBPROTOCOL not in listed("sec-websocket-protocol"):
        return f"the subprotocol {SUBPROTOCOL} is not offered (WS-03)"
    return None

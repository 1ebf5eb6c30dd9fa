"""One fake peer: its life, its place on the network, what it witnessed."""

import socket
import ssl
from collections.abc import Sequence
from typing import Self

from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.faults.checks import check_filled, check_instance
from deploy_relay_kit.harness.faults.kinds import Fault, Group
from deploy_relay_kit.harness.faults.schedule import FaultSchedule
from deploy_relay_kit.harness.faults.text import description
from deploy_relay_kit.harness.peer.certificates import Authority, check_authority
from deploy_relay_kit.harness.peer.network import Network
from deploy_relay_kit.harness.peer.node import NodeState
from deploy_relay_kit.harness.peer.operations import OperationsApi
from deploy_relay_kit.harness.peer.options import check_options
from deploy_relay_kit.harness.profiles import PROFILES, Profile, ProfileName
from deploy_relay_kit.harness.transport.connection import Connection
from deploy_relay_kit.harness.transport.control import Command
from deploy_relay_kit.harness.transport.endpoint import Endpoint
from deploy_relay_kit.harness.transport.handshake import has_begun, read_client_hello
from deploy_relay_kit.harness.transport.server import StreamingServer
from deploy_relay_kit.harness.witness.printable import printable
from deploy_relay_kit.harness.witness.requests import MintWitness, UploadWitness

_PROFILE = check_instance(Profile, "an object such as Strict() (a name goes to peer(profile=…))")
_IN_HANDSHAKE: tuple[Group, ...] = ("version of TLS", "client certificate", "certificate")


_LATER = object()  # the turn of a connection that may be a stray's


class _Plan:
    """The turns of a peer's connections; before a judge, a stray takes none."""

    def __init__(self, peer: "FakePeer") -> None:
        self._peer = peer

    def refusal(self) -> float | None:
        return self._peer.node.refusal()

    def turn(self) -> object:
        schedule = self._peer.node.schedule
        # A peer that refuses the next connection must know the turn of this one at once.
        is_later = self._peer.judging and schedule.has("connection") and not schedule.refuses
        return _LATER if is_later else self._peer.node.turn()


class FakePeer(Endpoint):
    """A node's operations API on a loopback port; it judges every upload that reaches it.

    Use it as a context manager, or through a `FakeCluster`.

    Attributes:
        node: the node's state, with its credentials, tokens, profile and due faults.
        http: the pytest-httpserver underneath, for further handlers of a test.
    """

    def __init__(
        self,
        authority: Authority | None,
        *,
        name: str = "node-1",
        path: str = "/",
        fault: Fault | tuple[Fault, ...] | None = None,
        profile: ProfileName = "strict",
        username: str | None = None,
        password: str | None = None,
        host: str = "127.0.0.1",
        timeout: float = 30.0,
        mark_offsets: Sequence[int] = (),
    ) -> None:
        """Prepare a peer; nothing listens before `start`.

        Args:
            authority: signs the peer's certificate; None serves plain HTTP.
            name: the node's name.
            path: path of the operations API, with its query if it has one; other paths answer 404.
            fault: how to misbehave.
            profile: a name in `harness.profiles.PROFILES`.
            username: the user who may deploy; None makes a name of this peer alone.
            password: the password of that user; None makes a random one.
            host: loopback address to bind.
            timeout: longest wait for bytes on a connection, in seconds.
            mark_offsets: file lengths at which a witness keeps the SHA-256 so far.
        """
        check_authority.validate("authority", authority)
        check_filled.validate("name", name)
        check_options(
            path=path,
            profile=profile,
            username=username,
            password=password,
            timeout=timeout,
            mark_offsets=mark_offsets,
        )
        super().__init__(name, StreamingServer(host, greet=self._greet, timeout=timeout))
        self.node = node = NodeState(
            name, path, PROFILES[profile](), username=username or "", password=password or ""
        )
        self.name, self.path, self.tokens = name, path, node.tokens
        self.username, self.password = node.username, node.password
        self.fault = fault
        api = OperationsApi(node, mark_offsets)
        self.http.otherwise = api
        self.http.malformed = api.malformed
        self.http.plan = _Plan(self)
        self._authority = authority
        self._closed_port: socket.socket | None = None

    def __repr__(self) -> str:
        shown = [self.title, self.url, *map(repr, self.faults)]
        return printable(f"<{type(self).__name__} {' '.join(shown)}>").replace("\n", "\\n")

    @property
    def profile(self) -> Profile:
        """How it answers when no fault is due."""
        return self.node.profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        _PROFILE.validate("profile", profile)
        self.node.profile = profile

    @property
    def url(self) -> str:
        """The URL of the operations API."""
        return self.http.url_for(self.path)

    def start(self) -> Self:
        self._release_port()
        if self._authority is not None:
            self.http.ssl_context = self._tls_context(self._authority)
        self.http.start()
        if self.node.schedule.standing(faults.Refuse) == faults.Refuse():
            self.http.stop()
            self._keep_port()
        return self

    def _tls_context(self, authority: Authority) -> ssl.SSLContext:
        schedule = self.node.schedule
        only = schedule.standing(faults.TlsOnly)
        asked = schedule.standing(faults.ClientCertificateRequired)
        return authority.server_context(
            self.http.host,
            "localhost",
            flaw=schedule.standing(faults.CertificateFlaw),
            only=None if only is None else only.version,
            client_certificate=ssl.CERT_NONE if asked is None else ssl.CERT_REQUIRED,
        )

    def _keep_port(self) -> None:
        """Bind the port without listening: it refuses connections, and stays reserved."""
        family = socket.AF_INET6 if ":" in self.http.host else socket.AF_INET
        self._closed_port = socket.socket(family)
        # Ended connections may still be in TIME_WAIT on this port.
        self._closed_port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._closed_port.bind((self.http.host, self.http.port))

    def _release_port(self) -> None:
        if self._closed_port is not None:
            self._closed_port.close()
            self._closed_port = None

    def stop(self) -> None:
        self._release_port()
        super().stop()

    def kill(self) -> None:
        """End like a process that dies: reset every connection, refuse new ones.

        The witnesses stay. `restart` brings the peer back. A stopped peer stays stopped.
        """
        if self.http.is_running():
            self.http.stop(Command.RESET)
            self._keep_port()

    def restart(self) -> Self:
        """Kill the peer if it runs, then start it on the same port with the same tokens."""
        self.kill()
        return self.start()

    def silence(self) -> None:
        """Read and send nothing more, like a machine that hangs."""
        self.http.silence()

    @property
    def uploads(self) -> list[UploadWitness]:
        return [request for request in self.requests if isinstance(request, UploadWitness)]

    @property
    def live_uploads(self) -> list[UploadWitness]:
        """Every upload so far, also one in progress."""
        return [request for request in self.live_requests if isinstance(request, UploadWitness)]

    @property
    def upload(self) -> UploadWitness:
        """The one upload that reached it; Unseen when there is not exactly one."""
        __tracebackhide__ = True  # the case that asks is of interest
        uploads = self.uploads
        if len(uploads) != 1:
            raise Unseen(f"{self.name} saw {len(uploads)} uploads, not one")
        return uploads[0]

    @property
    def mint(self) -> MintWitness:
        """The one mint that reached it; Unseen when there is not exactly one."""
        __tracebackhide__ = True
        mints = self.mints
        if len(mints) != 1:
            raise Unseen(f"{self.name} saw {len(mints)} mints, not one")
        return mints[0]

    @property
    def mints(self) -> list[MintWitness]:
        return [request for request in self.requests if isinstance(request, MintWitness)]

    @property
    def fault(self) -> Fault | tuple[Fault, ...] | None:
        """How it misbehaves: one fault, or a tuple of them; None answers as a healthy node.

        Setting it restarts sequences. A fault that is read at `start`, such as a certificate flaw,
        must be set before.
        """
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | tuple[Fault, ...] | None) -> None:
        schedule = FaultSchedule(fault)
        for it in schedule.faults if self.http.is_running() else ():
            if faults.is_read_at_start(it) and it not in self.faults:
                raise ValueError(
                    f"fault {it!r} is read at the start: kill() the peer, set it, then start()"
                )
        self._fault, self.node.schedule = fault, schedule

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault of it."""
        return self.node.schedule.faults

    @property
    def remarks(self) -> list[str]:
        """Its random faults, with their seeds."""
        return [f"fault: {description(fault)}" for fault in self.node.schedule.seeded]

    @property
    def has_fault(self) -> bool:
        return bool(self.faults)

    @property
    def has_fault_in_handshake(self) -> bool:
        return self.node.schedule.has(*_IN_HANDSHAKE)

    @property
    def fault_not_shown(self) -> Fault | None:
        began = any(seen.has_spoken for seen in self.live_connections)
        return self.node.schedule.not_shown(*(_IN_HANDSHAKE if began else ()))

    def _is_strange(self, connection: Connection) -> bool:
        """Whether a client begins like no relay."""
        return self._authority is not None and not has_begun(connection)

    def _greet(self, connection: Connection) -> bool:
        """Show a fault that comes before the TLS handshake; False ends the connection."""
        network = Network(self.node.schedule)
        connection.link = network.link()
        connection.pause(network.delay("accept"))
        fault = connection.turn
        if fault is _LATER:
            fault = None if self._is_strange(connection) else self.node.turn()
        if fault is not None:
            self.node.schedule.show("connection")
            connection.witness.showed_fault = True
        match fault:
            case faults.ResetAtAccept():
                connection.reset()
            case faults.SilentAfterAccept():
                connection.be_silent()
            case faults.HangInHandshake():
                read_client_hello(connection)
                connection.be_silent()
            case faults.CloseInHandshake():
                read_client_hello(connection)
                connection.close()
            case _:
                return True
        return False


check_peer = check_instance(FakePeer, "a FakePeer")

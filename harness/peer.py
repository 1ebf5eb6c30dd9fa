"""One fake peer: its life, its place on the network, what it witnessed."""

from __future__ import annotations

import secrets
import socket
import ssl
from base64 import b64encode
from typing import TYPE_CHECKING, Self, TypedDict

from harness import checks, faults
from harness.certs import CertificateFlaw
from harness.operations import OperationsApi
from harness.profiles import PROFILES, Profile
from harness.schedule import FaultSchedule
from harness.server import StreamingServer
from harness.tokens import TokenBook
from harness.witness import (
    ConnectionWitness,
    MintWitness,
    RequestWitness,
    UploadWitness,
    timeline,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.certs import Authority
    from harness.connection import Connection
    from harness.faults import Fault, OneFault
    from harness.profiles import ProfileName


class PeerOptions(TypedDict, total=False):
    """What `FakeCluster.peer` hands on to a `FakePeer`, which explains it."""

    path: str
    profile: ProfileName
    username: str | None
    password: str | None
    host: str
    timeout: float
    mark_offsets: Sequence[int]


class FakePeer:
    """A node's operations API on a loopback port, judging every upload that reaches it.

    Use as a context manager, or through a `FakeCluster`. Witnesses are read after the relay has
    returned; reading them waits until the peer has finished with every request.

    Attributes:
        name: the node's name.
        path: path of the operations API, with its query if it has one; other paths answer 404.
        schedule: which of its faults is due.
        profile: which kind of peer it is when no fault says otherwise.
        username, password: credentials that it mints tokens for; no other peer's, by default.
        http: the pytest-httpserver underneath, for handlers of your own.

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
            path: path of the operations API.
            fault: how to misbehave.
            profile: a name in `harness.profiles.PROFILES`.
            username: the user who may deploy.
            password: the password of that user.
            host: loopback address to bind.
            timeout: longest wait for bytes on a connection, in seconds.
            mark_offsets: file lengths at which a witness keeps the SHA-256 so far.

        """
        if profile not in PROFILES:
            raise ValueError(f"profile {profile!r}: give one of {', '.join(PROFILES)}")
        if not path.startswith("/"):
            raise ValueError(f"path {path!r}: begin it with /")
        checks.number("timeout", timeout, above=0)
        self.name = name
        self.path = path
        self.http = StreamingServer(host, greet=self._greet, timeout=timeout)
        self.fault = fault
        self.profile: Profile = PROFILES[profile]()
        self.username = username or f"deployer-of-{name}"
        self.password = password or f"password-of-{name}-{secrets.token_hex(8)}"
        self.tokens = TokenBook(name)
        api = OperationsApi(self, mark_offsets)
        self.http.otherwise = api
        self.http.malformed = api.malformed
        self._authority = authority
        self._unlistening: socket.socket | None = None

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> Self:
        self._release_port()
        if self._authority is not None:
            self.http.ssl_context = self._tls_context(self._authority)
        self.http.start()
        if self.schedule.standing(faults.Refuse):
            self.http.stop()
            self._keep_port()
        return self

    def _tls_context(self, authority: Authority) -> ssl.SSLContext:
        only = self.schedule.standing(faults.TlsOnly)
        asked = self.schedule.standing(faults.ClientCertificateRequired)
        return authority.server_context(
            self.http.host,
            "localhost",
            flaw=self.schedule.standing(CertificateFlaw),
            only=None if only is None else only.version,
            client_certificate=ssl.CERT_NONE if asked is None else ssl.CERT_REQUIRED,
        )

    def _keep_port(self) -> None:
        """Keep the port without listening on it: connections are refused, nobody else gets it."""
        family = socket.AF_INET6 if ":" in self.http.host else socket.AF_INET
        self._unlistening = socket.socket(family)
        # Connections that the peer has ended still wait on it.
        self._unlistening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._unlistening.bind((self.http.host, self.http.port))

    def _release_port(self) -> None:
        if self._unlistening is not None:
            self._unlistening.close()
            self._unlistening = None

    def stop(self) -> None:
        """End every connection and stop listening; does nothing when already stopped.

        Raises:
            Exception: the first error of a handler, which would be a defect of the harness.

        """
        if self.http.is_running():
            self.http.stop()
        self._release_port()
        self.http.check()

    def kill(self) -> None:
        """End like a process that dies: every connection is reset, the port refuses.

        The witnesses stay, and `restart` brings the peer back. One that has ended stays ended.
        """
        if self.http.is_running():
            self.http.stop("reset")
            self._keep_port()

    def restart(self) -> Self:
        """Come back, on the same port and with the same tokens, from whatever state it is in."""
        self.kill()
        return self.start()

    def silence(self) -> None:
        """From now on neither read nor send anything more, as a machine that hangs."""
        self.http.silence()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<FakePeer {self.name} {self.url}>"

    @property
    def url(self) -> str:
        """The URL of the operations API."""
        return self.http.url_for(self.path)

    # -- what it saw -----------------------------------------------------------------------------

    @property
    def connections(self) -> list[ConnectionWitness]:
        """Every accepted connection, in order, also those that never became a request."""
        self.http.settle()
        return list(self.http.connections)

    @property
    def live_connections(self) -> list[ConnectionWitness]:
        """The connections so far, also those on which something is going on."""
        return list(self.http.connections)

    @property
    def requests(self) -> list[RequestWitness]:
        return [request for seen in self.connections for request in seen.requests]

    @property
    def uploads(self) -> list[UploadWitness]:
        return [request for request in self.requests if isinstance(request, UploadWitness)]

    @property
    def upload(self) -> UploadWitness:
        """The one upload that reached it; an AssertionError when there is not exactly one."""
        __tracebackhide__ = True  # of interest is the case that asks
        uploads = self.uploads
        if len(uploads) != 1:
            raise AssertionError(f"{self.name} saw {len(uploads)} uploads, not one")
        return uploads[0]

    @property
    def mints(self) -> list[MintWitness]:
        return [request for request in self.requests if isinstance(request, MintWitness)]

    def redacted(self, text: str) -> str:
        """A text without the password and the tokens of this peer."""
        return self.tokens.redacted(text.replace(self.password, "[password]"))

    def timeline(self) -> str:
        """What it saw so far, connection by connection; credentials are left out."""
        return timeline(f"{self.name} {self.url}", self.live_connections)

    def wait_until(self, happened: Callable[[Self], bool], timeout: float = 5.0) -> None:
        """Wait, while a request may be going on, until the peer has seen something.

        Args:
            happened: asked with this peer at each new moment of any witness; it should look at
                `live_uploads`, since `uploads` waits for the end of every request.
            timeout: seconds after which TimeoutError is raised.

        """
        self.http.wait_until(lambda: happened(self), timeout)

    @property
    def live_uploads(self) -> list[UploadWitness]:
        """The uploads so far, also one that is still being received."""
        seen = [request for witness in self.live_connections for request in witness.requests]
        return [request for request in seen if isinstance(request, UploadWitness)]

    # -- which fault is due ----------------------------------------------------------------------

    @property
    def fault(self) -> Fault | tuple[Fault, ...] | None:
        """How it misbehaves: one fault, or a tuple of them; None answers as a healthy node would.

        Sequences begin anew when it is set. What is read at `start`, such as a flaw of the
        certificate, is set before.
        """
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | tuple[Fault, ...] | None) -> None:
        schedule = FaultSchedule(fault)
        late = [it for it in schedule.faults if isinstance(it, faults.READ_AT_START)]
        if late and self.http.is_running() and any(it not in self.faults for it in late):
            raise ValueError(
                f"fault {late[0]!r} is read at the start: kill() the peer, set it, then start()"
            )
        self._fault, self.schedule = fault, schedule

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault it shows."""
        return self.schedule.faults

    @property
    def basic(self) -> str:
        """User name and password as the scheme Basic sends them (RFC 7617)."""
        return b64encode(f"{self.username}:{self.password}".encode()).decode()

    def issue_tokens(self, fault: OneFault | None) -> dict[str, str]:
        """Mint a pair of tokens under a fault of mints: `operation_token` and `refresh_token`."""
        token = self.tokens.issue(
            self.username,
            expire_first=fault.first if isinstance(fault, faults.TokensExpire) else 0,
            forbidden=isinstance(fault, faults.MintForAnotherUser),
        )
        refresh = self.tokens.issue_refresh(self.username)
        return {"operation_token": token, "refresh_token": refresh}

    # -- connections -----------------------------------------------------------------------------

    def _greet(self, link: Connection) -> bool:
        """Show what goes wrong before the TLS handshake; False when the connection is done for."""
        match self.schedule.due("connection"):
            case faults.ResetAtAccept():
                link.reset()
            case faults.SilentAfterAccept():
                link.be_silent()
            case faults.HangInHandshake():
                link.read_client_hello()
                link.be_silent()
            case faults.CloseInHandshake():
                link.read_client_hello()
                link.close()
            case _:
                return True
        return False

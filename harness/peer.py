"""One fake peer: what it answers, which fault it shows, what it witnessed."""

from __future__ import annotations

import secrets
import socket
from base64 import b64decode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Any, Self, TypeVar, get_args

from werkzeug import Request, Response

from harness import certs, faults
from harness.answers import Answer, End
from harness.certs import CertificateFlaw
from harness.connection import Connection, ConnectionEnded
from harness.conversation import Conversation
from harness.events import EventStream
from harness.profiles import PROFILES, Profile
from harness.server import Exchange, StreamingServer
from harness.tokens import TokenBook
from harness.wire import UploadReader
from harness.witness import ConnectionWitness, MintWitness, RequestWitness, UploadWitness

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from harness.answers import AnyAnswer
    from harness.certs import Authority
    from harness.faults import Fault, MintFault, UploadFault

_OPERATION_LIMIT = 64 * 1024


_F = TypeVar("_F")


class FakePeer:
    """A node's operations API on a loopback port, judging every upload that reaches it.

    Use as a context manager, or through a `FakeCluster`. Witnesses are read after the relay has
    returned; reading them waits until the peer has finished with every request.

    Attributes:
        name: the node's name.
        path: path of the operations API, with its query if it has one; other paths answer 404.
        fault: how to misbehave, one fault or a tuple of them; None answers as a healthy node would.
            What concerns the TLS context is read at `start`, everything else at each request.
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
        profile: str = "strict",
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
        self.name = name
        self.path = path
        self.fault = fault
        self.profile: Profile = PROFILES[profile]
        self.username = username or f"deployer-of-{name}"
        self.password = password or f"password-of-{name}-{secrets.token_hex(8)}"
        self.tokens = TokenBook(name)
        self.http = StreamingServer(host, greet=self._greet, timeout=timeout)
        self.http.expect_request(path.partition("?")[0], method="POST").respond_with_handler(
            self._operations_api
        )
        self._authority = authority
        self._mark_offsets = mark_offsets
        self._uploads_begun = 0
        self._unlistening: socket.socket | None = None

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> Self:
        if self._authority is not None:
            self.http.ssl_context = self._tls_context(self._authority)
        self.http.start()
        if self._shows(faults.Refuse):
            self._stop_listening()
        return self

    def _tls_context(self, authority: Authority) -> ssl.SSLContext:
        flaw = self._shows(CertificateFlaw)
        context = authority.server_context(self.http.host, "localhost", flaw=flaw)
        if only := self._shows(faults.TlsOnly):
            certs.speak_only(context, only.version)
        if self._shows(faults.ClientCertificateRequired):
            authority.require_client_certificate(context)
        return context

    def _stop_listening(self) -> None:
        """Keep the port without listening on it: connections are refused, nobody else gets it."""
        self.http.stop()
        self._unlistening = socket.socket()
        self._unlistening.bind((self.http.host, self.http.port))

    def stop(self) -> None:
        """End every connection and stop listening; does nothing when already stopped.

        Raises:
            Exception: the first error of a handler, which would be a defect of the harness.

        """
        if self.http.is_running():
            self.http.stop()
        if self._unlistening is not None:
            self._unlistening.close()
            self._unlistening = None
        self.http.check()

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
    def requests(self) -> list[RequestWitness]:
        return [request for seen in self.connections for request in seen.requests]

    @property
    def uploads(self) -> list[UploadWitness]:
        return [request for request in self.requests if isinstance(request, UploadWitness)]

    @property
    def upload(self) -> UploadWitness:
        """The one upload that reached this peer; an AssertionError when there is not exactly one."""
        uploads = self.uploads
        if len(uploads) != 1:
            seen = "\n".join(str(connection) for connection in self.connections)
            raise AssertionError(f"{self.name} saw {len(uploads)} uploads, not one\n{seen}")
        return uploads[0]

    @property
    def mints(self) -> list[MintWitness]:
        return [request for request in self.requests if isinstance(request, MintWitness)]

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
        seen = [request for witness in self.http.connections for request in witness.requests]
        return [request for request in seen if isinstance(request, UploadWitness)]

    # -- which fault is due ----------------------------------------------------------------------

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault it shows."""
        if self.fault is None:
            return ()
        return self.fault if isinstance(self.fault, tuple) else (self.fault,)

    def _shows(self, kind: type[_F]) -> _F | None:
        return next((fault for fault in self.faults if isinstance(fault, kind)), None)

    def _mint_fault(self) -> MintFault | None:
        kinds = get_args(faults.MintFault)
        return next((fault for fault in self.faults if isinstance(fault, kinds)), None)

    def _upload_fault(self) -> UploadFault | None:
        kinds = get_args(faults.UploadFault)
        due = next((fault for fault in self.faults if isinstance(fault, kinds)), None)
        with self.http.changed:
            turn = self._uploads_begun
            self._uploads_begun += 1
        return due.turns[min(turn, len(due.turns) - 1)] if isinstance(due, faults.InTurn) else due

    # -- connections -----------------------------------------------------------------------------

    def _greet(self, link: Connection) -> bool:
        """Show what goes wrong before the TLS handshake; False when the connection is done for."""
        if self._shows(faults.ResetAtAccept):
            link.reset()
        elif self._shows(faults.SilentAfterAccept):
            link.be_silent()
        elif self._shows(faults.HangInHandshake):
            link.read_client_hello()
            link.be_silent()
        elif self._shows(faults.CloseInHandshake):
            link.read_client_hello()
            link.close()
        else:
            return True
        return False

    # -- operations ------------------------------------------------------------------------------

    def _operations_api(self, request: Request) -> Response:
        exchange = Exchange.of(request)
        exchange.answered = True
        try:
            if request.mimetype.startswith("multipart/"):
                self._upload(exchange)
            else:
                self._operation(exchange, request)
        except ConnectionEnded:  # the client's doing, and witnessed: no error of this handler
            exchange.keep_alive = False
        return Response()  # never sent: the exchange is answered

    def _operation(self, exchange: Exchange, request: Request) -> None:
        request.max_content_length = _OPERATION_LIMIT
        body = request.get_json(force=True, silent=True)
        if not isinstance(body, dict):
            text = "Body is not valid JSON but content-type is set to 'application/json'"
            Conversation(exchange).answer(Answer.error(400, text), close=True)
        elif body.get("operation") == "create_authentication_tokens":
            self._mint(exchange, body)
        else:
            answer = Answer.error(400, f"Operation '{body.get('operation')}' not found")
            Conversation(exchange).answer(answer)

    def _mint(self, exchange: Exchange, body: dict[str, Any]) -> None:
        witness = exchange.witness_as(MintWitness, body=body)
        conversation = Conversation(exchange)
        match fault := self._mint_fault():
            case faults.MintAnswer(answer):
                conversation.answer(answer)
            case faults.MintHangs():
                conversation.end(End.SILENCE)
            case faults.MintDropped():
                conversation.end(End.CLOSE)
            case _ if refusal := self._refuse_mint(witness, body):
                conversation.answer(refusal)
            case _:
                witness.token = self.tokens.issue(
                    self.username,
                    expire_first=fault.first if isinstance(fault, faults.TokensExpire) else 0,
                    forbidden=isinstance(fault, faults.MintForAnotherUser),
                )
                refresh = self.tokens.issue_refresh(self.username)
                issued = {"operation_token": witness.token, "refresh_token": refresh}
                nested = isinstance(fault, faults.MintNested)
                conversation.answer(Answer(json={"results": issued} if nested else issued))

    def _refuse_mint(self, witness: MintWitness, body: dict[str, Any]) -> Answer | None:
        given = body.get("username"), body.get("password")
        if given == (None, None):
            scheme, _, credentials = (witness.header("authorization") or "").partition(" ")
            if scheme != "Basic":
                return Answer.error(401, "Must login")
            try:
                username, _, password = b64decode(credentials, validate=True).decode().partition(":")
            except (Base64Error, UnicodeDecodeError):
                return Answer.error(401, "Invalid character")
            given = username, password
        if given != (self.username, self.password):
            return Answer.error(401, "invalid credentials")
        return None

    # -- uploads ---------------------------------------------------------------------------------

    def _upload(self, exchange: Exchange) -> None:
        reader = UploadReader(exchange.raw_head, mark_offsets=self._mark_offsets)
        upload = exchange.witness_as(UploadWitness, reader=reader)
        conversation = Conversation(exchange, reader)
        match self._upload_fault():
            case faults.ResetAfter(received):
                conversation.receive(limit=received)
                conversation.end(End.RESET)
            case faults.StopReadingAfter(received):
                conversation.receive(limit=received)
                conversation.end(End.SILENCE)
            case faults.CloseWithoutAnswer():
                conversation.receive()
                conversation.end(End.CLOSE)
            case faults.AnswerEarly() as early:
                self._answer_early(conversation, early)
            case faults.ReadSlowly(rate):
                self._serve(conversation, upload, rate=rate)
            case None:
                self._serve(conversation, upload)
            case answer:
                self._serve(conversation, upload, answer)

    def _serve(
        self,
        conversation: Conversation,
        upload: UploadWitness,
        answer: AnyAnswer | EventStream | None = None,
        *,
        rate: int | None = None,
    ) -> None:
        """Go through an upload as the profile does; `answer` takes the place of its last word."""
        credential = self.tokens.worth(upload.header("authorization"))
        refusal = self.profile.at_head(upload, credential)
        if refusal is None:
            conversation.receive(until="file", rate=rate)
            if upload.reader.file_started:
                refusal = self.profile.at_file(upload, credential)
        if refusal is not None:
            conversation.answer(refusal.answer, close=refusal.then == "close")
            self._after_early_answer(conversation, refusal.then)
            return
        if isinstance(answer, EventStream):
            conversation.answer(answer)
        conversation.receive(rate=rate)
        if not isinstance(answer, EventStream):
            conversation.answer(answer or self.profile.at_end(upload))

    def _answer_early(self, conversation: Conversation, early: faults.AnswerEarly) -> None:
        if early.at == "file":
            conversation.receive(until="file")
        elif early.at != "head":
            conversation.receive(limit=early.at)
        conversation.answer(early.answer, close=early.then == "close")
        self._after_early_answer(conversation, early.then, early.grace)

    def _after_early_answer(
        self, conversation: Conversation, then: str, grace: float | None = None
    ) -> None:
        match then:
            case "drain":
                conversation.receive()
            case "stop":
                conversation.end(End.SILENCE)
            case "grace":
                conversation.receive(seconds=grace)
                if not conversation.complete:
                    conversation.end(End.RESET)

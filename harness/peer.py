"""One fake peer: what it answers, which fault it shows, what it witnessed."""

from __future__ import annotations

import secrets
import threading
import time
from base64 import b64decode
from email.utils import formatdate
from http.client import responses
from typing import TYPE_CHECKING, Any, Self

from werkzeug import Request, Response

from harness.connection import ConnectionEnded
from harness.faults import Answer, CloseWithoutAnswer, Fault, MintAnswer, ReadSlowly, ResetAfter
from harness.server import Exchange, StreamingServer
from harness.wire import UploadReader
from harness.witness import ConnectionWitness, MintWitness, RequestWitness, UploadWitness

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.certs import Authority, CertificateFlaw

_BLOCK = 256 * 1024
_MINT_LIMIT = 64 * 1024


class FakePeer:
    """A node's operations API on a loopback port, judging every upload that reaches it.

    Use as a context manager, or through a `FakeCluster`. Witnesses are read after the relay has
    returned; reading them waits until the peer has finished with every request.

    Attributes:
        name: the node's name.
        path: path of the operations API, with its query if it has one; other paths answer 404.
        fault: how to misbehave; None answers uploads as a healthy node would.
        username, password: credentials that this peer, and no other, mints tokens for.
        http: the pytest-httpserver underneath, for handlers of your own.

    """

    def __init__(
        self,
        authority: Authority | None,
        *,
        name: str = "node-1",
        path: str = "/",
        fault: Fault | None = None,
        certificate: CertificateFlaw | None = None,
        host: str = "127.0.0.1",
        timeout: float = 30.0,
    ) -> None:
        """Prepare a peer; nothing listens before `start`.

        Args:
            authority: signs the peer's certificate; None serves plain HTTP.
            name: the node's name.
            path: path of the operations API.
            fault: how to misbehave.
            certificate: what is wrong with its certificate.
            host: loopback address to bind.
            timeout: longest wait for bytes on a connection, in seconds.

        """
        self.name = name
        self.path = path
        self.fault = fault
        self.username = f"deployer-of-{name}"
        self.password = f"password-of-{name}-{secrets.token_hex(8)}"
        context = authority and authority.server_context(host, "localhost", flaw=certificate)
        self.http = StreamingServer(host, ssl_context=context, timeout=timeout)
        self.http.expect_request(path.partition("?")[0], method="POST").respond_with_handler(
            self._operations_api
        )
        self._tokens: set[str] = set()
        self._tokens_lock = threading.Lock()

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> Self:
        self.http.start()
        return self

    def stop(self) -> None:
        """End every connection and stop listening; does nothing when already stopped.

        Raises:
            Exception: the first error of a handler, which would be a defect of the harness.

        """
        if self.http.is_running():
            self.http.stop()
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

    # -- what it answers -------------------------------------------------------------------------

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
        request.max_content_length = _MINT_LIMIT
        body = request.get_json(force=True, silent=True)
        if not isinstance(body, dict):
            text = "Body is not valid JSON but content-type is set to 'application/json'"
            send(exchange, Answer.error(400, text), close=True)
        elif body.get("operation") == "create_authentication_tokens":
            self._mint(exchange, body)
        else:
            send(exchange, Answer.error(400, f"Operation '{body.get('operation')}' not found"))

    def _mint(self, exchange: Exchange, body: dict[str, Any]) -> None:
        witness = exchange.witness_as(MintWitness, body=body)
        if isinstance(self.fault, MintAnswer):
            send(exchange, self.fault.answer)
        elif refusal := self._refuse_mint(witness, body):
            send(exchange, refusal)
        else:
            witness.token = f"token-of-{self.name}-{secrets.token_hex(16)}"
            with self._tokens_lock:
                self._tokens.add(witness.token)
            refresh = f"refresh-token-of-{self.name}-{secrets.token_hex(16)}"
            send(
                exchange,
                Answer(json={"operation_token": witness.token, "refresh_token": refresh}),
            )

    def _refuse_mint(self, witness: MintWitness, body: dict[str, Any]) -> Answer | None:
        given = body.get("username"), body.get("password")
        if given == (None, None):
            scheme, _, credentials = (witness.header("authorization") or "").partition(" ")
            if scheme != "Basic":
                return Answer.error(401, "Must login")
            username, _, password = b64decode(credentials).decode().partition(":")
            given = username, password
        if given != (self.username, self.password):
            return Answer.error(401, "invalid credentials")
        return None

    def _upload(self, exchange: Exchange) -> None:
        reader = UploadReader(exchange.raw_head)
        witness = exchange.witness_as(UploadWitness, reader=reader)
        match self.fault:
            case ResetAfter(limit):
                receive(exchange, reader, limit=limit)
                exchange.connection.reset()
            case CloseWithoutAnswer():
                receive(exchange, reader)
                exchange.connection.close()
            case ReadSlowly(rate):
                receive(exchange, reader, rate=rate)
                send(exchange, self._judge(witness))
            case _:
                receive(exchange, reader)
                send(exchange, self._judge(witness))

    def _judge(self, witness: UploadWitness) -> Answer:
        with self._tokens_lock:
            known = witness.token in self._tokens
        if witness.header("authorization") is None:
            return Answer.error(401, "Must login")
        if not known:
            return Answer.error(401, "invalid token")
        if isinstance(self.fault, Answer):
            return self.fault
        if witness.findings:
            return Answer.error(400, f"broken on the wire: {witness.findings[0]}")
        project = witness.fields.get("project", b"").decode()
        return Answer(json={"message": f"Successfully deployed: {project}"})


def receive(
    exchange: Exchange,
    reader: UploadReader,
    *,
    limit: int | None = None,
    rate: int | None = None,
) -> None:
    """Read the body into the reader until it ends or the client goes.

    Args:
        exchange: the upload that is being received.
        reader: reads and judges every byte.
        limit: stop after exactly this many bytes of the raw body.
        rate: read no faster than this many bytes per second.

    """
    connection, note = exchange.connection, exchange.connection.witness.note
    start = time.monotonic()
    buffer = bytearray(_BLOCK if limit is None else min(_BLOCK, limit))
    view = memoryview(buffer)
    while not reader.complete:
        room = len(buffer) if limit is None else min(len(buffer), limit - reader.received)
        if room == 0:
            note(f"read exactly {reader.received} bytes of the body")
            return
        try:
            count = connection.read_into(view[:room])
        except ConnectionEnded as error:
            reader.close(str(error))
            raise
        if count == 0:
            reader.close("the client closed the connection")
            return
        if reader.received == 0:
            note("first bytes of the body")
        if rate is not None:
            connection.pause(start + (reader.received + count) / rate - time.monotonic())
        file_started = reader.file_started
        reader.feed(buffer, 0, count)
        if reader.file_started and not file_started:
            note("the file part begins")
    note(f"last byte of the body ({reader.received} bytes with framing)")


def send(exchange: Exchange, answer: Answer, *, close: bool = False) -> None:
    """Send an answer whole, and say in it whether the connection stays open."""
    exchange.keep_alive = exchange.keep_alive and not close
    content = answer.content
    lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Unknown')}"]
    if answer.media_type is not None:
        lines.append(f"content-type: {answer.media_type}")
    lines += [f"{name}: {value}" for name, value in answer.headers]
    lines.append(f"content-length: {len(content)}")
    lines.append(f"Date: {formatdate(usegmt=True)}")
    lines.append(f"Connection: {'keep-alive' if exchange.keep_alive else 'close'}")
    exchange.witness.answer_status = answer.status
    head = "\r\n".join(lines) + "\r\n\r\n"
    exchange.connection.write(head.encode("latin-1") + content)
    exchange.connection.witness.note(f"answered {answer.status} ({len(content)} bytes)")


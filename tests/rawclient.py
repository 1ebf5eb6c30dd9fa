"""A client that speaks HTTP byte by byte, to see what a fake peer really does on the socket."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

DEADLINE = 10.0


class Reachable(Protocol):
    """What the requests below need to know of a peer."""

    @property
    def path(self) -> str: ...
    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...


class Peer(Reachable, Protocol):
    """A peer that can be connected to."""

    @property
    def url(self) -> str: ...


@dataclass(frozen=True)
class RawAnswer:
    """One answer as it came: status, header lines in order, body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


@cache
def _context(authority: str | None, *, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority)
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class RawClient:
    """One connection to a URL's host and port; every wait ends after 10 s with TimeoutError."""

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None = None,
        verify: bool = True,
        deadline: float = DEADLINE,
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self.host = parts.netloc
        family = socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET
        self.sock = socket.socket(family)
        if parts.scheme == "https":
            # Python leaks a socket that is reset after it is connected and before it is wrapped.
            context = _context(ca_file and ca_file.read_text(), verify=verify)
            self.sock = context.wrap_socket(
                self.sock, server_hostname=parts.hostname, suppress_ragged_eofs=False
            )
        self.sock.settimeout(deadline)
        try:
            self.sock.connect((parts.hostname, parts.port or 0))
        except BaseException:
            self.sock.close()
            raise
        self._ahead = b""
        self._was_reset = False  # the kernel tells it once, to whoever asks first

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except (ConnectionError, ssl.SSLEOFError) as error:  # Python's ssl hides the errno
            self._was_reset = True
            raise ConnectionResetError from error

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def read(self) -> bytes:
        """What comes next; empty at the end. A reset raises ConnectionResetError."""
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        if self._was_reset:
            raise ConnectionResetError
        try:
            return self.sock.recv(65536)
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLEOFError as error:
            if error.reason == "UNEXPECTED_EOF_WHILE_READING":  # FIN without close_notify
                return b""
            raise ConnectionResetError from error

    def read_until_reset(self) -> bytes:
        """What came before the peer's reset; AssertionError when it closes in peace."""
        data = bytearray()
        with contextlib.suppress(ConnectionError):
            while block := self.read():
                data += block
            raise AssertionError("closed with FIN, not reset")
        return bytes(data)

    def read_to_the_end(self) -> bytes:
        data = bytearray()
        while block := self.read():
            data += block
        return bytes(data)

    def read_answer_head(self) -> bytes:
        """The head of one answer, with its empty line; what follows it is left to be read."""
        data = b""
        while b"\r\n\r\n" not in data:
            block = self.read()
            if not block:
                raise EOFError(f"closed in the head of an answer: {data!r}")
            data += block
        head, end, self._ahead = data.partition(b"\r\n\r\n")
        return head + end

    def read_answer(self) -> RawAnswer:
        """One answer with Content-Length, with a body until the connection ends, or with none."""
        head = self.read_answer_head().removesuffix(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        answer = RawAnswer(int(status_line.split(" ")[1]), headers, b"")
        body, self._ahead = bytearray(self._ahead), b""
        length = "0" if answer.status in (204, 304) else answer.header("content-length")
        if length is None:
            return RawAnswer(answer.status, headers, bytes(body) + self.read_to_the_end())

        while len(body) < int(length):
            block = self.read()
            if not block:
                raise EOFError(f"closed after {len(body)} of {length} bytes")
            body += block
        self._ahead = bytes(body[int(length) :])
        return RawAnswer(answer.status, headers, bytes(body[: int(length)]))


def client_hello(server_name: str) -> bytes:
    """The first TLS record of a client, as Python's own begins a handshake."""
    outgoing = ssl.MemoryBIO()
    tls = _context(None, verify=True).wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname=server_name
    )
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def post(path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def mint_request(peer: Reachable) -> bytes:
    body = json.dumps(
        {
            "operation": "create_authentication_tokens",
            "username": peer.username,
            "password": peer.password,
        }
    ).encode()
    headers = {"Host": "peer", "Content-Type": "application/json", "Content-Length": str(len(body))}
    return post(peer.path, headers, body)


def upload_head(peer: Reachable, token: str, **headers: str) -> bytes:
    return post(
        peer.path,
        {
            "Host": "peer",
            "Content-Type": "multipart/form-data; boundary=b0undary",
            "Transfer-Encoding": "chunked",
            "Authorization": f"Bearer {token}",
            **headers,
        },
    )


def upload_body(payload: bytes = b"payload bytes", project: str = "demo") -> bytes:
    """A whole multipart body, not yet chunked."""
    fields = {"operation": "deploy_component", "project": project, "replicated": "false"}
    parts = [
        f'--b0undary\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        '--b0undary\r\nContent-Disposition: form-data; name="payload"; '
        'filename="package.tar.gz"\r\nContent-Type: application/gzip\r\n\r\n'
    )
    return "".join(parts).encode() + payload + b"\r\n--b0undary--\r\n"


def chunked(body: bytes, size: int = 65536) -> bytes:
    blocks = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(b), b) for b in blocks) + b"0\r\n\r\n"


def mint(peer: Peer, ca_file: Path) -> str:
    """A token of this peer, minted on a connection of its own."""
    with RawClient(peer.url, ca_file=ca_file) as client:
        client.send(mint_request(peer))
        token = client.read_answer().json["operation_token"]
        assert isinstance(token, str)
        return token

"""An origin in the words of its cases: forms of any bytes, sent as a client sends them."""

import contextlib
import http.client
import json
import secrets
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy_relay_kit.harness.judge.cases.relay import Relay, Served
from deploy_relay_kit.harness.peer.payloads import Payload
from deploy_relay_kit.harness.targets.deploy_command import DeployCommand, DeployNode
from deploy_relay_kit.harness.targets.origin.client import Api, members_of, text_of
from deploy_relay_kit.harness.targets.origin.target import OriginTarget
from deploy_relay_kit.harness.targets.outcome import TargetBrokeError

SECONDS = 30.0
"""How long an origin may be silent."""
_LINES = "\r\n"


@dataclass(frozen=True)
class Answer:
    """The whole answer of an origin."""

    status: int
    kind: str
    text: str

    @property
    def code(self) -> int:
        """The status, or the code of the event `error`."""
        return self._ended[0]

    @property
    def members(self) -> dict[str, Any]:
        """Of the JSON object, or of the last event."""
        return self._ended[1]

    @property
    def _ended(self) -> tuple[int, dict[str, Any]]:
        try:
            return members_of(self.status, self.kind, self.text)
        except OSError as error:
            raise TargetBrokeError(f"the origin: {error}") from error

    @property
    def statuses(self) -> list[Any]:
        """Of the records, in their order; without records, the answer itself."""
        records = self.members.get("replicated")
        if not isinstance(records, list):
            return [f"no replicated, but {self}"]
        return [it.get("status") for it in records]

    @property
    def events(self) -> list[str]:
        """The names of the events, without comments."""
        lines = self.text.replace("\r\n", "\n").split("\n")
        return [it.partition(":")[2].strip() for it in lines if it.startswith("event:")]

    def __str__(self) -> str:
        return f"{self.status}: {self.text[:300]}"


@dataclass
class Form:
    """A form in pieces, so that a case can cut it anywhere."""

    fields: Mapping[str, object]
    payload: bytes | None
    after: Mapping[str, object] = field(default_factory=dict)
    raw: Sequence[str] = ()
    """Names of fields whose values are sent as they are, not as text that decodes to them."""
    part: tuple[str, bytes] | None = None
    """The headers beside Content-Disposition and the bytes of one more field, `note`."""
    boundary: str = field(default_factory=lambda: f"----HarperMultipart{secrets.token_hex(12)}")

    @property
    def head(self) -> bytes:
        """The fields, and the headers of the file."""
        begin = b"".join(self._field(*it) for it in self.fields.items())
        if self.part is not None:
            headers, value = self.part
            begin += self._field("note", "", headers).removesuffix(_LINES.encode())
            begin += value + _LINES.encode()
        if self.payload is None:
            return begin
        names = 'name="payload"; filename="package.tar.gz"'
        lines = f"--{self.boundary}{_LINES}Content-Disposition: form-data; {names}{_LINES}"
        return begin + f"{lines}Content-Type: application/gzip{_LINES * 2}".encode()

    @property
    def tail(self) -> bytes:
        """What follows the bytes of the file."""
        end = b"".join(self._field(*it) for it in self.after.items())
        closed = end + f"--{self.boundary}--{_LINES}".encode()
        return closed if self.payload is None else _LINES.encode() + closed

    @property
    def body(self) -> bytes:
        return self.head + (self.payload or b"") + self.tail

    def _field(self, name: str, value: object, headers: str = "") -> bytes:
        text = str(value) if name in self.raw else text_of(value)
        line = f'Content-Disposition: form-data; name="{name}"{headers and _LINES}{headers}'
        return f"--{self.boundary}{_LINES}{line}{_LINES * 2}{text}{_LINES}".encode()


class Client:
    """One connection to an origin."""

    def __init__(self, api: Api) -> None:
        where = urlsplit(api.url)
        self._api, self._host = api, where.netloc
        plain = socket.create_connection((str(where.hostname), where.port or 443), SECONDS)
        self._socket: ssl.SSLSocket = api.context.wrap_socket(plain, server_hostname=where.hostname)

    def request(self, length: int, *, login: str | None = None, **headers: str) -> None:
        """Send the head of a POST; `login` replaces the value of its Authorization, "" omits it."""
        lines = {"Host": self._host, "Content-Length": str(length)} | headers
        if (authorization := self._api.login if login is None else login) != "":
            lines["Authorization"] = authorization
        head = "".join(f"{name.replace('_', '-')}: {it}{_LINES}" for name, it in lines.items())
        self.send(f"POST / HTTP/1.1{_LINES}{head}{_LINES}".encode())

    def send(self, data: bytes) -> None:
        """Send bytes; a connection that the origin has closed shows when its answer is read."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self._socket.sendall(data)

    def read(self, seconds: float = SECONDS) -> bytes:
        """Some bytes of the answer, as they come; TimeoutError if there are none in time."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(65_536)
        except TimeoutError as error:
            raise TimeoutError(f"the origin was silent for {seconds:g} s") from error

    def answer(self, seconds: float = SECONDS) -> Answer:
        """The whole answer; TimeoutError if the origin is silent for so long.

        Raises:
            TargetBrokeError: there is none.
        """
        self._socket.settimeout(seconds)
        response = http.client.HTTPResponse(self._socket)
        try:
            response.begin()
            text = response.read().decode("utf-8", "replace")
        except TimeoutError as error:
            raise TimeoutError(f"the origin was silent for {seconds:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            reason = f"the origin gave no whole answer: {type(error).__name__}: {error}"
            raise TargetBrokeError(reason) from error
        kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        return Answer(response.status, kind, text)

    def close(self) -> None:
        self._socket.close()


class Origin:
    """An origin that takes any form."""

    def __init__(self, relay: Relay) -> None:
        assert isinstance(relay.target, OriginTarget)
        self._relay, self._target = relay, relay.target

    @property
    def directory(self) -> Path:
        """Where the origin may keep files."""
        return self._target.home / "origin"

    def kept(self) -> int:
        """The bytes of all files that the origin keeps; a file of several names counts once."""
        files = {it.stat().st_ino: it.stat() for it in self.directory.rglob("*") if it.is_file()}
        return sum(it.st_size for it in files.values())

    @property
    def payload(self) -> Payload:
        """The payload of the case."""
        return self._relay.payload

    def need(self, *capabilities: str) -> None:
        """Raise NotApplicable unless the origin declares all of these."""
        self._relay.need(*capabilities)

    def form(self, payload: bytes | None = b"", /, **fields: object) -> Form:
        """A deploy of the project `demo`, with these fields beside."""
        usual = {"operation": "deploy_component", "project": "demo"}
        given = self.payload.path.read_bytes() if payload == b"" else payload
        return Form({**usual, **fields}, given)

    @contextlib.contextmanager
    def knowing(self, nodes: Iterable[Served | DeployNode]) -> Iterator["Known"]:
        """Inside, the origin has these nodes beside itself."""
        known = [it if isinstance(it, DeployNode) else self._relay.node(it) for it in nodes]
        command = DeployCommand(
            nodes=tuple(known),
            request={},
            payload=self.payload.path,
            ca_file=self._relay._ca_file,  # noqa: SLF001 - the same deploy in other bytes
        )
        with self._target.told(command) as (api, _):
            yield Known(api)

    def deploy(self, to: Iterable[Served], form: Form, *, events: bool = False) -> Answer:
        """Send a whole form and read the whole answer."""
        with self.knowing(to) as known:
            return known.deploy(form, events=events)


@dataclass
class Known:
    """An origin that knows its nodes."""

    api: Api

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        client = Client(self.api)
        try:
            yield client
        finally:
            client.close()

    def deploy(self, form: Form, *, events: bool = False) -> Answer:
        """Send a whole form and read the whole answer."""
        with self.client() as client:
            self.begin(client, form, events=events)
            client.send(form.body)
            return client.answer()

    def begin(self, client: Client, form: Form, *, events: bool = False, **how: Any) -> None:
        """Send the head of the request of a form."""
        accept = "text/event-stream" if events else "application/json"
        kind = f"multipart/form-data; boundary={form.boundary}"
        length = how.pop("length", len(form.body))
        client.request(length, Content_Type=kind, Accept=accept, **how)

    def ask(self, **members: object) -> Answer:
        """Send an operation as JSON."""
        body = json.dumps(members).encode()
        with self.client() as client:
            client.request(len(body), Content_Type="application/json", Accept="application/json")
            client.send(body)
            return client.answer()

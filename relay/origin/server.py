"""The operations API: aiohttp, TLS, requests in and answers out."""

import asyncio
import contextlib
import json
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus

from aiohttp import HttpVersion11, web
from multipart import parse_options_header  # type: ignore[import-untyped]  # ships no types

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.origin.answers import (
    EVENT_HEADERS,
    MEDIA_TYPE,
    PRIME,
    RefusalError,
    event_of,
)
from deploy_relay_kit.relay.origin.config import Config
from deploy_relay_kit.relay.origin.deploy import Deploying, Deploys
from deploy_relay_kit.relay.origin.home import Home
from deploy_relay_kit.relay.origin.listening import STOP_SECONDS, Waits, listen
from deploy_relay_kit.relay.origin.operations import STRANGER_BYTES, Operations
from deploy_relay_kit.relay.origin.others import Look, check, look_in
from deploy_relay_kit.relay.origin.record.progress import Happening, replayed
from deploy_relay_kit.relay.origin.restarting import Restarts
from deploy_relay_kit.relay.origin.socket import ReplicationSocket
from deploy_relay_kit.relay.origin.wire.intake import Form

_JSON = "application/json"
_LOGIN = {"WWW-Authenticate": 'Basic realm="operations API", charset="UTF-8", Bearer'}


class Node:
    """One node: its handlers share its directory, its users and its deploys."""

    def __init__(self, settings: Config, look: Look) -> None:
        """Raise InputError for what the configuration names and the node cannot use."""
        self._limits = settings.limits
        self._waits = Waits()
        self._home = Home(settings, look)
        restarts = Restarts(self._home)
        self._deploys = Deploys(self._home, restarts)
        self._operations = Operations(self._home, restarts)
        self.socket = ReplicationSocket(settings, self._operations)

    def application(self) -> web.Application:
        application = web.Application(client_max_size=self._limits.json_bytes)
        application.router.add_post("/", self._post, expect_handler=_say_nothing_yet)
        application.router.add_get("/health", self._health)
        application.on_shutdown.append(self._stop)
        return application

    def replication(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/", self.socket.serve)
        application.on_shutdown.append(self._stop)
        return application

    async def _stop(self, _: web.Application) -> None:
        """Refuse what is not complete, soon; let end what is."""
        self.socket.end()
        self._waits.end(STOP_SECONDS)
        await self._home.end()

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="The node is running.")

    async def _post(self, request: web.Request) -> web.StreamResponse:
        try:
            user = await self._who(request)
            if _kind_of(request) == "multipart/form-data":
                self._operations.may_deploy(user)
                await _let_send(request)
                return await self._form(request, user)
            await _let_send(request)
            given = await self._json(request, user)
            if given.get("operation") == "refresh_operation_token":  # MINT-15
                _, _, token = request.headers.get("Authorization", "").partition(" ")
                given.setdefault("refresh_token", token.strip())
            if given.get("operation") == "get_deployment" and _wants_events(request):
                self._operations.may_deploy(user)
                return await self._replayed(request, given)
            answer = await self._operations.run(given, user, request.remote or "")
            return web.json_response(answer)
        except RefusalError as refusal:
            # EARLY-05: aiohttp reads on for a moment, so that the sender sees the answer.
            headers = _LOGIN if refusal.status == HTTPStatus.UNAUTHORIZED else None
            return web.json_response(refusal.body, status=refusal.status, headers=headers)

    async def _who(self, request: web.Request) -> str | None:
        encodings = {*request.headers.getall("Content-Encoding", ())}  # aiohttp knows the last only
        if encodings - {"identity"} or _kind_of(request) not in {_JSON, "multipart/form-data"}:
            raise RefusalError(415, "Unsupported Media Type")
        codings = ",".join(request.headers.getall("Transfer-Encoding", ())).strip().lower()
        if codings and (codings != "chunked" or request.version < HttpVersion11):
            raise RefusalError(501, "the only transfer coding is 'chunked', of HTTP/1.1")
        return await self._operations.who(request)

    async def _form(self, request: web.Request, user: str | None) -> web.StreamResponse:
        _, parameters = parse_options_header(request.headers["Content-Type"])
        if not (boundary := parameters.get("boundary")):
            raise RefusalError(400, "Multipart: Boundary not found")
        wants_events = _wants_events(request)
        progress, deploy = self._deploys.begin(
            self._blocks(request), boundary, user or "", is_watched=wants_events
        )
        if wants_events:
            follower = progress.follow()
            if await asyncio.shield(progress.opened):
                return await self._streamed(request, follower, partial(_last_event, deploy))
        result: object = await asyncio.shield(deploy)
        if isinstance(result, Form):
            result = await self._operations.run(result.fields, user, request.remote or "")
        return web.json_response(result)

    async def _replayed(
        self, request: web.Request, given: Mapping[str, object]
    ) -> web.StreamResponse:
        """The events of a deploy so far, the ones to come, and its row (SSE-11)."""
        row = self._home.row(given)
        progress = self._deploys.running.get(row["deployment_id"])
        events = replayed(row["event_log"]) if progress is None else progress.follow()

        async def last() -> bytes:
            return event_of("done", {"result": self._home.row(given)})

        return await self._streamed(request, events, last)

    async def _streamed(
        self,
        request: web.Request,
        events: AsyncIterator[Happening],
        last: Callable[[], Awaitable[bytes]],
    ) -> web.StreamResponse:
        """An answer in events; a client that goes or reads nothing stops only that (SSE-13)."""
        response = web.StreamResponse(headers=EVENT_HEADERS)

        async def write(data: bytes) -> None:
            async with self._waits.at_most(self._limits.idle):
                await response.write(data)

        try:
            await response.prepare(request)
            await write(PRIME)
            async for name, data in events:
                await write(event_of(name, data))
            await write(await last())
            await response.write_eof()
        except ConnectionError:
            pass
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _json(self, request: web.Request, user: str | None) -> dict[str, object]:
        seconds = self._limits.idle
        if user is None:  # a stranger can only ask for a token
            request = request.clone(client_max_size=STRANGER_BYTES)
            seconds = min(seconds, self._limits.head)
        try:
            async with self._in_time("request", seconds):
                text = (await request.read()).decode("utf-8-sig")
                given = json.loads(text, object_pairs_hook=_members)
        except web.HTTPRequestEntityTooLarge:
            raise RefusalError(413, "the request is too large") from None
        except (ValueError, RecursionError):
            raise RefusalError(
                400, "Body is not valid JSON but content-type is set to 'application/json'"
            ) from None
        if not isinstance(given, dict):
            raise RefusalError(400, "Request body must include an 'operation' property.")
        return given

    async def _blocks(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body; a sender that is silent for too long, or goes, ends it."""
        while True:
            async with self._in_time("upload", self._limits.idle):
                block = await request.content.readany()
            if not block:
                return
            yield block

    @contextlib.asynccontextmanager
    async def _in_time(self, what: str, seconds: float) -> AsyncIterator[None]:
        try:
            async with self._waits.at_most(seconds):
                yield
        except TimeoutError:
            if self._waits.are_ending:
                raise RefusalError(503, f"the node stops before the {what} is complete") from None
            raise RefusalError(408, f"the {what} stalled") from None
        except (web.RequestPayloadError, ConnectionError):
            raise RefusalError(400, f"the {what} was cut") from None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; of a member that stands twice, another reader would take the other value."""
    if len(members := dict(pairs)) < len(pairs):
        raise ValueError("a member stands twice")
    return members


def _kind_of(request: web.Request) -> str:
    """The media type of the body; `request.content_type` fails for parameters in odd charsets."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def _say_nothing_yet(_: web.Request) -> None:
    """In place of aiohttp's "100 Continue", which comes before anybody looks at the login."""


async def _let_send(request: web.Request) -> None:
    """Let a client that asks for it send its body; one that is refused keeps it."""
    expects = request.headers.get("Expect", "").lower() == "100-continue"
    if expects and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # this was no part of the answer


def _wants_events(request: web.Request) -> bool:
    return MEDIA_TYPE in request.headers.get("Accept", "").lower()  # SSE-01


async def _last_event(deploy: Deploying) -> bytes:
    """Of a deploy that has ended: `done` or `error`, once (SSE-09)."""
    try:
        return event_of("done", {"result": await deploy})
    except RefusalError as refusal:
        members = {name: it for name, it in refusal.body.items() if name != "error"}
        return event_of("error", {"message": str(refusal), "code": refusal.status, **members})


async def serve(
    settings: Config, look: Look | None = None, more: Mapping[str, object] | None = None
) -> None:
    """Run a node until it is cancelled; a deploy whose payload is here has a minute to end.

    `look` finds the other nodes, by default in the files of the configuration; `more` are members
    of the line that is written when the node listens. InputError: something cannot be used.
    """
    if look is None:
        look = partial(look_in, settings)
        check(look)  # a mistake in these files shows now, not in the first deploy
    node = Node(settings, look)
    open_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    places = [("url", "https", node.application(), settings.port, open_tls)]
    if (port := settings.replication_port) is not None:
        places.append(("replication_url", "wss", node.replication(), port, node.socket.tls()))
    line: dict[str, object] = {}
    async with contextlib.AsyncExitStack() as stack:
        for member, scheme, application, port, context in places:
            address = await listen(stack, settings, application, port, context)
            line[member] = f"{scheme}://{address}/"
        if sys.stdout is not None:  # a supervisor may have closed it
            try:
                sys.stdout.write(f"{json.dumps({**line, **(more or {})})}\n")
                sys.stdout.flush()
            except OSError as error:
                raise InputError(f"cannot write the URL of the node: {error.strerror}") from None
        await asyncio.Event().wait()

"""How a node listens: to how many connections, how long it waits for bytes, and how it stops."""

import asyncio
import contextlib
import logging
import math
import resource
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.origin.config import Bounds, Config
from deploy_relay_kit.relay.tls import load_certificate

_LINGER_SECONDS = 1.0  # EARLY-05
STOP_SECONDS = 5.0  # for what is not complete when the node stops
_REFUSED = 400
_LOG = logging.getLogger(__name__)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _is_no_request(record: logging.LogRecord) -> bool:
    """Bytes that are no HTTP: aiohttp would log them, and with them a password or token."""
    _, error, _ = record.exc_info or (None, None, None)
    return isinstance(error, HttpProcessingError)


_LOG.addFilter(lambda record: not _is_no_request(record))


async def _name_no_software(_: web.Request, answer: web.StreamResponse) -> None:
    """A stranger need not know the versions of Python and aiohttp."""
    answer.headers.popall("Server", None)


async def listen(
    stack: contextlib.AsyncExitStack,
    settings: Config,
    application: web.Application,
    port: int,
    context: ssl.SSLContext,
) -> str:
    """Begin to listen; return the address. The stack ends it, as `on_shutdown` says.

    InputError: the certificate cannot be used, or the port is in use.
    """
    names = ("certificate_file", "key_file")
    load_certificate(context, settings.certificate_file, settings.key_file, names)
    guard = _Guard(settings.limits)
    application.middlewares.append(guard.middleware)
    application.on_response_prepare.append(_name_no_software)
    runner = web.AppRunner(
        application,
        access_log=None,
        lingering_time=_LINGER_SECONDS,
        keepalive_timeout=settings.limits.idle,
        shutdown_timeout=2 * STOP_SECONDS,  # later than what `Waits` ends, which has an answer
        logger=_LOG,
    )
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    assert runner.server is not None
    try:
        server = await asyncio.get_running_loop().create_server(
            guard.factory(runner.server),
            settings.host,
            port,
            ssl=context,
            backlog=guard.backlog,
            ssl_handshake_timeout=settings.limits.head,
        )
    except (OSError, ValueError) as error:  # ValueError: a host that cannot be a name
        why = error.strerror if isinstance(error, OSError) else error
        remedy = "set host and port to an address of this machine that is free"
        raise InputError(f"cannot listen on {settings.host}:{port}: {why}; {remedy}") from None
    stack.callback(guard.end)
    stack.callback(server.close)
    # A connection that asyncio has just accepted would be left open, without an answer.
    stack.push_async_callback(asyncio.sleep, 0)
    host, port = server.sockets[0].getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Waits:
    """How long the node waits for bytes of others; when it stops, only a moment longer."""

    def __init__(self) -> None:
        self._open: set[asyncio.Timeout] = set()
        self._last = math.inf

    @property
    def are_ending(self) -> bool:
        return self._last < math.inf

    @contextlib.asynccontextmanager
    async def at_most(self, seconds: float) -> AsyncIterator[None]:
        """Raise TimeoutError after this time."""
        until = min(asyncio.get_running_loop().time() + seconds, self._last)
        async with asyncio.timeout_at(until) as wait:
            self._open.add(wait)
            try:
                yield
            finally:
                self._open.discard(wait)

    def end(self, seconds: float) -> None:
        """End what waits now, and what will wait, after this time; a sender that drips, too."""
        self._last = asyncio.get_running_loop().time() + seconds
        for wait in self._open:
            if not wait.expired():
                wait.reschedule(min(wait.when() or self._last, self._last))


class _Guard:
    """Refuses too many connections, and ends those on which nobody has logged in after a while.

    Whatever a stranger asks in between, such as `/health`, gives the connection no more time. One
    that a user has may wait for the next request as long as aiohttp's `keepalive_timeout` says.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        # asyncio logs each connection that finds no descriptor, a hundred times in a second.
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = min(bounds.connections, descriptors // 2)
        self.backlog = min(100, descriptors // 8)  # asyncio takes so many at a time
        self._began: dict[web.RequestHandler, float] = {}
        self._busy: set[web.RequestHandler] = set()  # a request is served
        self._known: set[web.RequestHandler] = set()  # a user has logged in

    def factory(self, make: Callable[[], web.RequestHandler]) -> Callable[[], web.RequestHandler]:
        """A factory of protocols for `create_server`, which calls it before the TLS handshake."""

        def protocol() -> web.RequestHandler:
            # A failed handshake is not told; it counts until it would have been late.
            for ended in [it for it in self._began if not it.transport and self._is_old(it)]:
                del self._began[ended]
                self._known.discard(ended)
            if len(self._began) >= self._most:
                # asyncio drops the connection, without the cost of a TLS handshake.
                raise ConnectionRefusedError("too many connections")
            made, loop = make(), asyncio.get_running_loop()
            self._began[made] = loop.time()
            loop.call_later(self._bounds.head, self._end, made)
            return made

        return protocol

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        connection = request.protocol
        response: web.StreamResponse | None = None
        self._busy.add(connection)
        try:
            response = await handler(request)
            if request.method == "POST" and response.status < _REFUSED:
                self._known.add(connection)
        except web.HTTPException as error:
            response = error
            raise
        finally:
            self._busy.discard(connection)
            if response is not None and connection not in self._known and self._is_old(connection):
                response.force_close()
        return response

    def _is_old(self, connection: web.RequestHandler) -> bool:
        age = asyncio.get_running_loop().time() - self._began.get(connection, -math.inf)
        return age >= self._bounds.head

    def _end(self, connection: web.RequestHandler) -> None:
        """End a connection that is late; one that is served ends with the answer."""
        if connection.transport and connection not in self._known | self._busy:
            connection.transport.abort()

    def end(self) -> None:
        """End the connections without a request; aiohttp would keep them, deaf, until the stop."""
        for connection in self._began.keys() - self._busy:
            if connection.transport:
                connection.transport.abort()

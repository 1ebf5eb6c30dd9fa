"""How a node listens: to how many connections, and how long one may be without a request."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.files import check_length
from deploy_relay_kit.relay.origin.config import Bounds, Config

_LOOK_SECONDS = 0.25
_LINGER_SECONDS = 1.0  # EARLY-05
_LOG = logging.getLogger(__name__)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _is_no_request(record: logging.LogRecord) -> bool:
    """Bytes that are no HTTP: aiohttp would log them, and with them a password or token."""
    _, error, _ = record.exc_info or (None, None, None)
    return isinstance(error, HttpProcessingError)


_LOG.addFilter(lambda record: not _is_no_request(record))


async def listen(
    stack: contextlib.AsyncExitStack,
    settings: Config,
    application: web.Application,
    port: int,
    context: ssl.SSLContext,
) -> str:
    """Begin to listen; return the address. The stack ends it, and gives requests a minute to end.

    Raises:
        InputError: The certificate cannot be used, or the port is in use.
    """
    certificate, key = settings.certificate_file, settings.key_file
    check_length(certificate, f"certificate_file {str(certificate)!r}")
    check_length(key, f"key_file {str(key)!r}")
    try:
        # With the empty password an encrypted key is an error, not a prompt.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        raise InputError(f"cannot use certificate_file and key_file: {error}") from None
    guard = _Guard(settings.limits)
    application.middlewares.append(guard.middleware)
    runner = web.AppRunner(
        application, access_log=None, lingering_time=_LINGER_SECONDS, logger=_LOG
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
            ssl_handshake_timeout=settings.limits.head,
        )
    except (OSError, ValueError) as error:  # ValueError: a host that cannot be a name
        raise InputError(f"cannot listen on {settings.host}:{port}: {error}") from None
    stack.callback(server.close)
    stack.callback(asyncio.create_task(guard.watch()).cancel)
    host, port = server.sockets[0].getsockname()[:2]
    return f"{host}:{port}"


class _Guard:
    """Ends connections that send no whole head of a request in time, and refuses too many.

    A request that is served has the limits of its own body and deploy.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._since: dict[asyncio.BaseProtocol, float] = {}  # when each began to wait
        self._served: set[asyncio.BaseProtocol] = set()
        self._busy: set[asyncio.BaseProtocol] = set()

    def factory(self, make: Callable[[], web.RequestHandler]) -> Callable[[], asyncio.BaseProtocol]:
        """A factory of protocols for `create_server`, which calls it before the TLS handshake."""

        def protocol() -> asyncio.BaseProtocol:
            self._forget()
            if len(self._since) >= self._bounds.connections:
                # asyncio drops the connection, without the cost of a TLS handshake.
                raise ConnectionRefusedError("too many connections")
            made = make()
            self._since[made] = asyncio.get_running_loop().time()
            return made

        return protocol

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Mark the connection of a request while it is served."""
        connection = request.protocol
        self._busy.add(connection)
        try:
            return await handler(request)
        finally:
            self._busy.discard(connection)
            if connection in self._since:
                self._served.add(connection)
                self._since[connection] = asyncio.get_running_loop().time()

    async def watch(self) -> None:
        """End connections that wait for too long, until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._forget()
            for connection in self._since.keys() - self._busy:
                transport = _transport_of(connection)
                if transport is not None and self._has_waited(connection):
                    transport.abort()

    def _has_waited(self, connection: asyncio.BaseProtocol) -> bool:
        bounds = self._bounds
        limit = bounds.idle if connection in self._served else bounds.head
        return asyncio.get_running_loop().time() - self._since[connection] > limit

    def _forget(self) -> None:
        """Forget what has ended; a TLS handshake that fails ends at the limit of a head."""
        for connection in [it for it in self._since if _transport_of(it) is None]:
            if connection in self._served or self._has_waited(connection):
                del self._since[connection]
                self._served.discard(connection)


def _transport_of(connection: asyncio.BaseProtocol) -> asyncio.Transport | None:
    transport: asyncio.Transport | None = getattr(connection, "transport", None)
    return transport

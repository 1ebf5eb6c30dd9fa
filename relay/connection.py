"""The connections of one deploy, by aiohttp."""

import asyncio
import contextlib
import socket
import weakref
from collections.abc import Callable, Iterable, MutableSet
from ssl import CertificateError, SSLContext, SSLError
from typing import Any, Self, TypedDict, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.failures import tunnel_failure
from deploy_relay_kit.relay.handshake import start_tls
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.link import link
from deploy_relay_kit.relay.pace import Pace
from deploy_relay_kit.relay.proxy import proxies
from deploy_relay_kit.relay.rate import Rate
from deploy_relay_kit.relay.sockets import Lookups, PatientSocket
from deploy_relay_kit.relay.tlstransport import CLOSE_SECONDS, TlsSocket

_BUFFER_BYTES = 16_384  # of an answer
_LENDING_LOOPS = (asyncio.SelectorEventLoop,)  # whose transports leave a socket that is taken
_POLL_SECONDS = 0.25  # between two searches for peers that have hung up


class Route(TypedDict, total=False):
    """Arguments of an aiohttp request that lead it through a proxy; none without a proxy."""

    proxy: str
    proxy_headers: dict[str, str]


class Connections:
    """An HTTP session whose connections are all closed when the context is left."""

    session: aiohttp.ClientSession

    def __init__(self, limits: Limits, proxy: str | None = None) -> None:
        """`proxy`: the setting of `proxies`."""
        self.limits = limits
        self.proxy_for = proxies(proxy)
        self.pace = Pace()
        self.rate = Rate(limits.rate)
        self._opened: weakref.WeakSet[PatientSocket | TlsSocket] = weakref.WeakSet()

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_request_redirect.append(_refuse_redirect)
        self.session = aiohttp.ClientSession(
            # All peers at once (SEQ-03); the default is at most 100 connections. Every request has
            # its own: a peer may close a used one silently, or stop reading it (EARLY-04).
            connector=_Connector(self._opened),
            # Only connecting is timed here: aiohttp's other timers do not run while a body is sent.
            timeout=aiohttp.ClientTimeout(total=None, connect=self.limits.connect),
            # No proxy of the environment and no cookie of another peer changes a request.
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            # A small answer cannot decompress into a huge one (BUG-30).
            auto_decompress=False,
            # What a flood of small chunks may fill at once is little work.
            read_bufsize=_BUFFER_BYTES,
            # HTTP-01, HTTP-06: no header that the caller did not write reaches the peer.
            skip_auto_headers={"User-Agent", "Accept", "Accept-Encoding"},
            trace_configs=[trace],
        )
        self._watch = asyncio.create_task(self._end_hung_up())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._watch.cancel()
        try:
            await self.session.close()
        finally:  # also if this is cancelled once more
            # A TLS connection that aiohttp has closed still waits for the peer's close.
            _shut_down(self._opened)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                # The transports belong to aiohttp, so nothing reports their end.
                while any(each.fileno() >= 0 for each in self._opened):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)

    async def _end_hung_up(self) -> None:
        """End the connections of peers that have hung up (RES-12).

        After the peer's end, an asyncio transport still waits until the peer takes the data in its
        buffers. With empty buffers it has closed itself before the second poll finds it.
        """
        found: set[PatientSocket | TlsSocket] = set()
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            before, found = found, {opened for opened in self._opened if opened.has_hung_up()}
            _shut_down(before & found)


class _Connector(aiohttp.TCPConnector):
    """Links each connection, and says of a failed one whether the proxy is at fault."""

    def __init__(self, opened: MutableSet[PatientSocket | TlsSocket]) -> None:
        """`opened` gets all sockets."""
        super().__init__(
            limit=0, keepalive_timeout=1e-6, socket_factory=self._open, resolver=Lookups()
        )
        self._opened = opened
        self._by_number = weakref.WeakValueDictionary[int, PatientSocket]()

    def _open(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = address
        opened = PatientSocket(family, kind, protocol)
        self._opened.add(opened)
        self._by_number[opened.fileno()] = opened
        return opened

    async def _wrap_create_connection(
        self,
        *factory: Callable[[], ResponseHandler],
        req: aiohttp.ClientRequest,
        ssl: SSLContext | None = None,
        server_hostname: str | None = None,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
        **how: Any,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """Use the transport of `tlstransport` for TLS.

        aiohttp has no public way for that. A version that does not call this uses asyncio's, and so
        does an event loop that is not known to lend its sockets.
        """
        connect = super()._wrap_create_connection
        lends = isinstance(self._loop, _LENDING_LOOPS)
        if ssl is None or ssl.sslsocket_class is not TlsSocket or not lends:
            how |= {"ssl": ssl, "server_hostname": server_hostname}
            return await connect(*factory, req=req, client_error=client_error, **how)
        plain, _ = await connect(_Idle, req=req, client_error=client_error, **how)
        # The host's other addresses are for a failure of TCP, not of TLS. aiohttp would try some.
        how.get("addr_infos", []).clear()
        protocol = factory[0]()
        try:
            transport = await start_tls(self._taken(plain), ssl, server_hostname, protocol)
        except CertificateError as error:
            raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
        except SSLError as error:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
        except OSError as error:
            raise client_error(req.connection_key, error) from error
        self._opened.add(transport.get_extra_info("socket"))
        transport.pause_reading()  # until the connection has its link, which keeps what is said
        return transport, protocol

    def _taken(self, transport: asyncio.Transport) -> socket.socket:
        """The socket of a transport, which ends without it."""
        opened = self._by_number[transport.get_extra_info("socket").fileno()]
        transport.abort()
        return socket.socket(fileno=opened.detach())

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  the signature is that of aiohttp
    ) -> aiohttp.connector.Connection:
        try:
            connection = await super().connect(req, traces, timeout)
        except (aiohttp.ClientError, OSError) as error:
            if req.proxy is None or (failure := tunnel_failure(error)) is None:
                raise
            way = f"{req.url.raw_authority} through proxy {req.proxy.raw_authority}"
            failure.reason = f"{way}: {failure.reason}"
        else:
            link(connection)
            return connection
        raise failure  # without the foreign error, whose request holds the proxy's credentials


class _Idle(asyncio.Protocol):
    """Leaves all that comes in the socket."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).pause_reading()


def _shut_down(sockets: Iterable[PatientSocket | TlsSocket]) -> None:
    for opened in sockets:
        with contextlib.suppress(OSError):
            opened.shutdown(socket.SHUT_RDWR)


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: object, seen: aiohttp.TraceRequestRedirectParams
) -> None:
    raise PeerError("connect", f"HTTP {seen.response.status}", status_code=seen.response.status)

"""A path-prefix reverse proxy before a peer: aiohttp, streaming both ways."""

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from deploy_relay_kit.extras import remedy

try:
    import aiohttp
    from aiohttp import web
    from multidict import CIMultiDict, CIMultiDictProxy
    from yarl import URL
except ModuleNotFoundError as error:
    lack = f"PathPrefixProxy needs {error.name}; {remedy('judge')}"
    raise ModuleNotFoundError(lack, name=error.name) from error

from deploy_relay_kit.harness.fronts.front import Front
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.harness.peer.peer import FakePeer

# Headers of one connection (RFC 9110 section 7.6.1), and the header that the client sets itself.
_HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}
_BLOCK = 64 * 1024
_T = TypeVar("_T")


class PathPrefixProxy(Front):
    """A front that does not change paths and bodies.

    Attributes:
        paths: path and query of each request, in order.
    """

    def __init__(self, authority: Authority, peer: FakePeer, prefix: str) -> None:
        """Prepare a proxy for a peer of the same authority; `prefix` like `/ops`."""
        super().__init__(peer, prefix)
        self.paths: list[str] = []
        self._trust = authority.client_context()
        self._context = authority.server_context("127.0.0.1", "localhost")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"proxy-of-{peer.name}", daemon=True
        )

    def start(self) -> Self:
        self._thread.start()
        self._runner, self._port = self._run(self._listen(self._context))
        return self

    def stop(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _listen(self, context: ssl.SSLContext) -> tuple[web.AppRunner, int]:
        self._session = aiohttp.ClientSession(
            auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)
        )
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{rest:.*}", self._forward)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, lingering_time=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        return runner, runner.addresses[0][1]

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST" or not self.peer.judging:  # a stray's GET is not the relay's
            self.paths.append(request.raw_path)
        rest = request.raw_path.removeprefix(self._prefix)
        if rest == request.raw_path or not rest.startswith("/"):
            raise web.HTTPNotFound(text="nothing is served outside the prefix\n")
        target = URL(self.peer.http.url_for("") + rest.removeprefix("/"), encoded=True)
        async with self._session.request(
            request.method,
            target,
            headers=_end_to_end(request.headers),
            data=request.content if request.body_exists else None,
            ssl=self._trust,
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers=_end_to_end(answer.headers))
            await response.prepare(request)
            async for block in answer.content.iter_chunked(_BLOCK):
                await response.write(block)
            await response.write_eof()
            return response


def _end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    kept = CIMultiDict(headers)
    for name in _HOP_BY_HOP:
        kept.popall(name, None)
    return kept

"""Acts at a moment that a peer witnesses: a cancelled deploy, a changed payload or certificate."""

import contextlib
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.transport.endpoint import Endpoint
from deploy_relay_kit.harness.witness.clock import now
from deploy_relay_kit.harness.witness.connections import ConnectionWitness, RequestWitness

_T = TypeVar("_T")

_DEADLINE = 10.0  # seconds
_CANCEL_AFTER = (0.2, 1.0, 4.0)  # seconds


def has_connection(peer: FakePeer) -> bool:
    return bool(peer.live_connections)


def has_request(peer: FakePeer) -> bool:
    return any(seen.requests for seen in peer.live_connections)


def has_upload(peer: FakePeer) -> bool:
    return bool(peer.live_uploads)


def has_file_part(peer: FakePeer) -> bool:
    """Whether the file part of an upload has begun."""
    return any("file" in upload.times for upload in peer.live_uploads)


def is_idle(seen: ConnectionWitness) -> bool:
    """Whether a connection waits for another request: a relay may keep it for the next deploy."""
    done = [{"body end", "answer end"} <= request.times.keys() for request in seen.requests]
    return bool(done) and all(done)


def open_connections(peer: FakePeer) -> list[ConnectionWitness]:
    """The open connections whose request is in progress, or that have none yet."""
    return [it for it in peer.live_connections if it.closed_by is None and not is_idle(it)]


def wait_for_closing(peer: FakePeer, seconds: float) -> None:
    """Wait until a peer has no open connection, for so many seconds at most."""
    with contextlib.suppress(TimeoutError):
        peer.wait_until(lambda peer: not open_connections(peer), seconds)


def cancel_deploy(deploy: Callable[[float], _T], is_far_enough: Callable[[_T], bool]) -> _T:
    """Cancel deploys, each later than the last, until one has got far enough; return its result.

    A relay may take its time to begin.

    Args:
        deploy: deploys to new peers, and cancels the deploy after so many seconds.
        is_far_enough: called with the result of `deploy`.

    Raises:
        Unseen: no deploy got far enough.
    """
    for after in _CANCEL_AFTER:
        result = deploy(after)
        if is_far_enough(result):
            return result
    raise Unseen(f"the relay did not get far enough within {after:g} s of its deploy")


@contextlib.contextmanager
def act_when(
    condition: Callable[[FakePeer], bool], peer: FakePeer, act: Callable[[], object]
) -> Iterator[None]:
    """While the block runs, act in another thread as soon as the condition holds of the peer.

    If it never holds, nothing is done. An error of `act` is raised at the end of the block.
    """

    def watch() -> None:
        with contextlib.suppress(TimeoutError):
            peer.wait_until(condition, _DEADLINE)
            act()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        yield
    watching.result()


class CertificateChange:
    """A predicate for `Matching`: picks every request, and changes a certificate at one of them.

    Attributes:
        at: when it changed the certificate, on the clock of the witnesses; None before.
    """

    def __init__(self, server: Endpoint, context: ssl.SSLContext, number: int = 1) -> None:
        """Serve with `context` from the request of this `number` on, counted from 1."""
        self.at: float | None = None
        self._server, self._context = server, context
        self._before = number

    def __call__(self, request: Any) -> bool:
        del request
        self._before -= 1
        if self._before == 0:
            self._server.http.present(self._context)
            self.at = now()
        return True

    @property
    def connections(self) -> list[ConnectionWitness]:
        """The connections after the change on which the relay began a handshake."""
        seen = self._server.connections
        return [it for it in seen if self.at and it.accepted_at > self.at and it.has_spoken]

    @property
    def requests(self) -> list[RequestWitness]:
        """The requests on these connections."""
        return [request for seen in self.connections for request in seen.requests]

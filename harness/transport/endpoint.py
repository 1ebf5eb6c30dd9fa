"""A server of the fake cluster, and what it witnessed."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from deploy_relay_kit.harness.faults.checks import Check, check_number
from deploy_relay_kit.harness.transport.server import StreamingServer
from deploy_relay_kit.harness.witness.connections import ConnectionWitness, RequestWitness
from deploy_relay_kit.harness.witness.timeline import beginning, timeline

_FUNCTION = Check(callable, "a function of this object")


class Endpoint(ABC):
    """A context manager that serves, and shows its witnesses.

    Read the witnesses after the relay has returned: they wait until the server has finished every
    request. The `live_…` properties do not wait.

    Attributes:
        title: its name in timelines.
        http: the pytest-httpserver underneath, for further handlers of a test.
        judging: whether it serves a judge: then the connections of stray clients are kept apart,
            and `unsettled` names a request that does not end, instead of an exception.
        unsettled: the request that had not ended when the witnesses were read; "" without one.
    """

    judging = False
    unsettled = ""

    def __init__(self, title: str, http: StreamingServer) -> None:
        self.title = title
        self.http = http

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients reach it."""

    @abstractmethod
    def start(self) -> Self: ...

    def stop(self) -> None:
        """End every connection and stop listening; do nothing when already stopped.

        Raises:
            Exception: the first error of a handler, which is a defect of the harness.
        """
        if self.http.is_running():
            self.http.stop()
        self.http.check()

    @property
    def remarks(self) -> list[str]:
        """Lines about it for a timeline."""
        return []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.title} {self.url}>"

    @property
    @abstractmethod
    def fault_not_shown(self) -> object:
        """The first of its faults that no client saw; None when each was shown."""

    @property
    @abstractmethod
    def has_fault(self) -> bool:
        """Whether it has a fault."""

    @property
    @abstractmethod
    def has_fault_in_handshake(self) -> bool:
        """Whether its TLS handshake shows a fault: a client may end the connection after it."""

    @property
    def connections(self) -> list[ConnectionWitness]:
        """Every accepted connection, in order, also those without a request.

        Raises:
            TimeoutError: a request has not ended; the text shows its timeline.
        """
        self.settle()
        return self.live_connections

    def settle(self) -> None:
        """Wait until no request is in progress.

        Raises:
            TimeoutError: a request has not ended; the text shows its timeline.
        """
        if self.unsettled:
            return  # not waited for again
        try:
            self.http.settle()
        except TimeoutError:
            if not self.judging:
                raise
            open_ones = (it.requests for it in self.live_connections if it.closed_by is None)
            if requests := [each[-1] for each in open_ones if each]:
                self.unsettled = requests[0].progress

    @property
    def live_connections(self) -> list[ConnectionWitness]:
        """Every connection so far, also those with a request in progress."""
        seen = list(self.http.connections)
        return [it for it in seen if not self._is_stray(it)] if self.judging else seen

    @property
    def strays(self) -> list[ConnectionWitness]:
        """The connections of clients that are no relay."""
        return [seen for seen in list(self.http.connections) if self._is_stray(seen)]

    def _is_stray(self, seen: ConnectionWitness) -> bool:
        # A client that verifies after a flawed handshake ends the connection without a request.
        is_flawed = self.has_fault_in_handshake or self.http.has_presented
        refuses = is_flawed and seen.has_spoken and not seen.requests
        return seen.is_stray and not refuses

    @property
    def requests(self) -> list[RequestWitness]:
        return [request for seen in self.connections for request in seen.requests]

    @property
    def live_requests(self) -> list[RequestWitness]:
        """Every request so far, also those in progress."""
        return [request for seen in self.live_connections for request in list(seen.requests)]

    def timeline(self, begin: float | None = None, since: float = 0.0) -> str:
        """What it saw so far, connection by connection, without credentials.

        Args:
            begin: 0 ms of it, as a witness has times; its first connection if left out.
            since: connections that ended before this time are left out.
        """
        seen = self.live_connections
        begin = beginning(seen) if begin is None else begin
        title = "\n".join([f"{self.title} {self.url}", *(f"  {it}" for it in self.remarks)])
        return timeline(title, seen, begin, since)

    def wait_until(self, happened: Callable[[Self], bool], timeout: float = 5.0) -> None:
        """Wait, while requests are in progress, until something was witnessed.

        Args:
            happened: called with this object at each new moment of a witness; it must use the
                `live_…` properties, since the others wait for the end of every request.
            timeout: seconds.

        Raises:
            TimeoutError: it did not happen in time.
        """
        _FUNCTION.validate("happened", happened)
        check_number().validate("timeout", timeout)
        self.http.wait_until(lambda: happened(self), timeout)

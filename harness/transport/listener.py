"""Accepts connections on a port, and gives each connection a thread."""

import math
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Protocol

from deploy_relay_kit.harness.transport.connection import Connection, State
from deploy_relay_kit.harness.transport.control import Command, Control, is_readable
from deploy_relay_kit.harness.witness.clock import now
from deploy_relay_kit.harness.witness.connections import ConnectionWitness
from deploy_relay_kit.harness.witness.moments import MomentKind

_STOP_DEADLINE = 5.0  # seconds
_BACKLOG = 128
_BUFFER_BYTES = 1 << 17  # of an accepted connection, in the kernel


class AcceptPlan(Protocol):
    """What a listener asks before it accepts, and for each connection; in its accepting thread."""

    def refusal(self) -> float | None:
        """How many seconds to refuse connections now; None to accept the next one."""

    def turn(self) -> object:
        """What a connection is to show; it finds it as `Connection.turn`."""


class Healthy:
    """Accepts every connection."""

    def refusal(self) -> float | None:
        return None

    def turn(self) -> object:
        return None


class Listener:
    """A listening socket with an accepting thread.

    A silent client costs a thread and blocks no other client. `stop` wakes every thread and waits
    for it.

    Attributes:
        port: where it listens.
        control: gives a command to all connections.
        accepted: connections whose thread has not ended.
    """

    def __init__(
        self,
        host: str,
        port: int,
        serve: Callable[[Connection], object],
        *,
        timeout: float,
        plan: AcceptPlan,
        witnesses: list[ConnectionWitness],
        changed: threading.Condition,
    ) -> None:
        """Bind a port.

        Args:
            host: loopback address.
            port: TCP port; 0 takes a free port.
            serve: called with each connection, in its thread.
            timeout: longest wait for one read or write on a connection, in seconds.
            plan: which connections to refuse.
            witnesses: gets the witness of each connection.
            changed: notified about each new moment of a witness.
        """
        self.accepted = 0
        self._serve = serve
        self._timeout = timeout
        self._witnesses = witnesses
        self._changed = changed
        self._connections: set[Connection] = set()
        self._threads: set[threading.Thread] = set()
        self._plan = plan
        self._refusal = plan.refusal()
        self._host = host
        self._socket = _bound(host, port, listens=self._refusal is None)
        self.port: int = self._socket.getsockname()[1]
        self.control = Control()
        self._accepting = threading.Thread(
            target=self._accept_all, name=f"peer-{self.port}", daemon=True
        )

    def start(self) -> None:
        """Accept connections."""
        self._accepting.start()

    def stop(self, command: Command) -> None:
        """Stop listening, end every connection by a command, and wait for its thread.

        Raises:
            RuntimeError: a connection's thread did not end within 5 s.
        """
        self.control.give(command)
        deadline = now() + _STOP_DEADLINE
        self._accepting.join()
        for thread in self._threads:
            thread.join(max(0.0, deadline - now()))
        if self.accepted:
            raise RuntimeError(f"{self.accepted} connections of port {self.port} did not end")
        self.control.close()

    def is_at_rest(self) -> bool:
        """Whether every connection is silent, or waits for a request with all its input read.

        Bytes and ends that a client sent before are in the kernel by now, so none is missed.
        """
        idle = [it for it in self._connections if it.state is State.IDLE]
        silent = [it for it in self._connections if it.state is State.SILENT]
        return (
            self.accepted == len(idle) + len(silent)
            and (self._refusal is not None or not is_readable(self._socket.fileno()))
            and not any(connection.has_input for connection in idle)
        )

    def _accept_all(self) -> None:
        while self._is_past_refusals() and not self._is_stopped(self._socket):
            self._accept()
        self._socket.close()

    def _is_stopped(self, *unless: socket.socket, seconds: float = math.inf) -> bool:
        """Wait until the server is stopped, for some seconds, or until a socket is readable."""
        poll = select.poll()
        poll.register(self.control, select.POLLHUP)  # a silent server continues to accept
        for it in unless:
            poll.register(it, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if seconds == math.inf else seconds * 1000)}
        return self.control.fileno() in ready

    def _is_past_refusals(self) -> bool:
        """Refuse connections as long as the plan says; False when the server is stopped first."""
        while self._refusal is not None:
            if self._is_stopped(seconds=self._refusal):
                return False
            refusal = self._plan.refusal()
            if refusal is None:
                self._socket.listen(_BACKLOG)
            self._refusal = refusal
        return True

    def _accept(self) -> None:
        # One step for `is_at_rest`: a connection waits in the kernel, or is counted.
        with self._changed:
            try:
                sock, (host, port, *_) = self._socket.accept()
            except OSError:  # the client has reset it
                return
            self.accepted += 1
            turn = self._plan.turn()
            self._refusal = self._plan.refusal()
        if self._refusal is not None:  # before the client can know that it was accepted
            self._socket.close()
            self._socket = _bound(self._host, self.port, listens=False)
        thread = threading.Thread(
            target=self._run,
            args=(sock, f"{host}:{port}", turn),
            name=f"peer-{self.port}-from-{port}",
            daemon=True,
        )
        self._threads = {it for it in self._threads if it.is_alive()} | {thread}
        thread.start()

    def _run(self, sock: socket.socket, client: str, turn: object) -> None:
        """Serve one connection, in its thread."""
        witness = ConnectionWitness(client, changed=self._changed)
        witness.note(MomentKind.ACCEPTED, client=client)
        connection = Connection(sock, witness, self.control, timeout=self._timeout)
        connection.turn = turn
        with self._changed:
            self._witnesses.append(witness)
            self._connections.add(connection)
        try:
            self._serve(connection)
        finally:
            connection.close()
            with self._changed:
                self._connections.discard(connection)
                self.accepted -= 1
                self._changed.notify_all()


def _bound(host: str, port: int, *, listens: bool) -> socket.socket:
    """A socket that has a port; without listening, the port refuses connections."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        if listens:
            # Accepted connections get it, too. Else a loaded kernel takes up to 32 MB of an upload
            # that a peer has not read, and a client that is cancelled may have sent all of it.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        text = f"cannot serve on {host} port {port}: {os.strerror(error.errno or 0)}"
        raise OSError(error.errno, f"{text}; give a port that is free, or 0") from error
    bound.settimeout(0)
    return bound

"""Accepts connections on a port, and gives each connection a thread."""

import os
import select
import socket
import threading
from collections.abc import Callable

from deploy_relay_kit.harness.transport.connection import Connection, State, is_readable
from deploy_relay_kit.harness.transport.control import Command, Control
from deploy_relay_kit.harness.witness.clock import now
from deploy_relay_kit.harness.witness.connections import ConnectionWitness
from deploy_relay_kit.harness.witness.moments import MomentKind

_STOP_DEADLINE = 5.0  # seconds
_BACKLOG = 128


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
        witnesses: list[ConnectionWitness],
        changed: threading.Condition,
    ) -> None:
        """Bind a port.

        Args:
            host: loopback address.
            port: TCP port; 0 takes a free port.
            serve: called with each connection, in its thread.
            timeout: longest wait for one read or write on a connection, in seconds.
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
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self._socket.close()
            text = f"cannot serve on {host} port {port}: {os.strerror(error.errno or 0)}"
            raise OSError(error.errno, f"{text}; give a port that is free, or 0") from error
        self._socket.settimeout(0)
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
            and not is_readable(self._socket.fileno())
            and not any(connection.has_input for connection in idle)
        )

    def _accept_all(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self.control, select.POLLHUP)  # a silent server continues to accept
        while all(fd == self._socket.fileno() for fd, _ in poll.poll()):
            self._accept()
        self._socket.close()

    def _accept(self) -> None:
        # One step for `is_at_rest`: a connection waits in the kernel, or is counted.
        with self._changed:
            try:
                sock, (host, port, *_) = self._socket.accept()
            except OSError:  # the client has reset it
                return
            self.accepted += 1
        thread = threading.Thread(
            target=self._run,
            args=(sock, f"{host}:{port}"),
            name=f"peer-{self.port}-from-{port}",
            daemon=True,
        )
        self._threads = {it for it in self._threads if it.is_alive()} | {thread}
        thread.start()

    def _run(self, sock: socket.socket, client: str) -> None:
        """Serve one connection, in its thread."""
        witness = ConnectionWitness(client, changed=self._changed)
        witness.note(MomentKind.ACCEPTED, client=client)
        connection = Connection(sock, witness, self.control, timeout=self._timeout)
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

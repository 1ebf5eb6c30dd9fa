"""A way to a node that a test opens when it wants to."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Gate:
    """A TCP port that takes connections at once, and passes them on when it is opened."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._open = threading.Event()
        self._listener = socket.create_server((self._to.hostname or "", 0))
        self.url = f"{self._to.scheme}://{self._to.hostname}:{self._listener.getsockname()[1]}/"
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def open(self) -> None:
        self._open.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.wait(60)
                server = socket.create_connection((self._to.hostname, self._to.port))
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    self._threads.append(threading.Thread(target=_pass_on, args=pair))
                    self._threads[-1].start()

    def close(self) -> None:
        self.open()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
        for it in self._sockets:
            it.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65_536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)

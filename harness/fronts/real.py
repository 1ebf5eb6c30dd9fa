"""A front by a real proxy, the base class of all of them."""

import contextlib
import socket
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import urlsplit

from harness.fronts.daemon import directory_for, find_program, reserved_port, running
from harness.fronts.front import Front
from harness.peer.certificates import Authority
from harness.peer.peer import FakePeer

_CONNECT = 10.0


class RealFront(Front):
    """A path prefix of a real proxy, which speaks TLS to both sides and verifies the peer.

    No proxy limits the size of a body or the time of an answer, unless `directives` say so.

    Attributes:
        program: the name of the program.
    """

    program: ClassVar[str]

    def __init__(
        self,
        authority: Authority,
        peer: FakePeer,
        prefix: str,
        *,
        request_buffering: bool = False,
        directives: str = "",
    ) -> None:
        """Prepare a front of a started peer of the same authority.

        Args:
            authority: signs the certificate of the front.
            peer: the peer behind it.
            prefix: like `/ops`.
            request_buffering: whether the proxy reads a body before it connects to the peer.
            directives: further lines of the proxy's own configuration, at the place that leads to
                the peer.

        Raises:
            ValueError: the prefix is not a path prefix.
        """
        super().__init__(peer, prefix)
        self._authority = authority
        self._request_buffering = request_buffering
        self._directives = directives
        self._cleanup = contextlib.ExitStack()

    @classmethod
    def is_available(cls) -> bool:
        """Whether the program is installed, on the path or in a directory of daemons."""
        return find_program(cls.program) is not None

    def start(self) -> Self:
        """Start the proxy and wait for one handshake.

        Raises:
            RuntimeError: it is not installed or did not start; the text shows its log.
        """
        program = find_program(self.program)
        if program is None:
            raise RuntimeError(f"no {self.program} on this machine: install it")
        with contextlib.ExitStack() as cleanup:
            directory = cleanup.enter_context(directory_for(self.program))
            key, chain = self._authority.leaf("127.0.0.1", "localhost")
            (directory / "front.pem").write_bytes(key + chain)
            self._authority.write(directory / "ca.pem")
            with reserved_port() as self._port:
                (directory / "front.conf").write_text(self._config(directory))
                command = [program, *self._arguments(directory)]
                cleanup.enter_context(
                    running(command, directory, self._shake_hands, self._environment(directory))
                )
            self._cleanup = cleanup.pop_all()
        return self

    def stop(self) -> None:
        """Stop the proxy and remove its directory; do nothing when already stopped."""
        self._cleanup.close()

    @abstractmethod
    def _config(self, directory: Path) -> str:
        """The text of `front.conf`; certificate and key are in front.pem, authorities in ca.pem."""

    @abstractmethod
    def _arguments(self, directory: Path) -> list[str]:
        """The arguments with which the program reads `front.conf` and stays in the foreground."""

    def _environment(self, _directory: Path) -> Mapping[str, str]:
        return {}

    @property
    def _peer_origin(self) -> str:
        """Scheme, host and port of the peer."""
        peer = urlsplit(self.peer.url)
        return f"{peer.scheme}://{peer.netloc}"

    def _shake_hands(self) -> None:
        context = self._authority.client_context()
        with (
            socket.create_connection(("127.0.0.1", self._port), _CONNECT) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1"),
        ):
            pass

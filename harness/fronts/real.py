"""A front by a real proxy, the base class of all of them."""

import socket
from abc import abstractmethod
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from deploy_relay_kit.harness.faults.checks import check_bool
from deploy_relay_kit.harness.fronts.daemon import RealProgram
from deploy_relay_kit.harness.fronts.front import Front
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.harness.peer.peer import FakePeer

_CONNECT = 10.0


class RealFront(RealProgram, Front):
    """A path prefix of a real proxy, which speaks TLS to both sides and verifies the peer.

    No proxy limits the size of a body or the time of an answer, unless `directives` say so.
    """

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
        check_bool.validate("request_buffering", request_buffering)
        RealProgram.__init__(self)
        Front.__init__(self, peer, prefix)
        self._authority = authority
        self._request_buffering = request_buffering
        self._directives = directives

    def start(self) -> Self:
        """Start the proxy and wait for one handshake.

        Raises:
            RuntimeError: it is not installed or did not start; the text shows its log.
        """
        self._run()
        return self

    def stop(self) -> None:
        """Stop the proxy and remove its directory; do nothing when already stopped."""
        self._end()

    def _prepared(self, directory: Path) -> list[str]:
        key, chain = self._authority.leaf("127.0.0.1", "localhost")
        (directory / "front.pem").write_bytes(key + chain)
        self._authority.write(directory / "ca.pem")
        (directory / "front.conf").write_text(self._config(directory))
        return self._arguments(directory)

    @abstractmethod
    def _config(self, directory: Path) -> str:
        """The text of `front.conf`; certificate and key are in front.pem, authorities in ca.pem."""

    @abstractmethod
    def _arguments(self, directory: Path) -> list[str]:
        """The arguments with which the program reads `front.conf` and stays in the foreground."""

    @property
    def _peer_origin(self) -> str:
        """Scheme, host and port of the peer."""
        peer = urlsplit(self.peer.url)
        return f"{peer.scheme}://{peer.netloc}"

    def _ready(self) -> None:
        context = self._authority.client_context()
        with (
            socket.create_connection(("127.0.0.1", self._port), _CONNECT) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1"),
        ):
            pass

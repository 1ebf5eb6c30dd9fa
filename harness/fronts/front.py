"""A front: a path prefix under which a proxy serves a peer."""

from abc import ABC, abstractmethod
from typing import Self

from deploy_relay_kit.harness.faults.checks import check_text
from deploy_relay_kit.harness.peer.peer import FakePeer, check_peer

_NOT_IN_A_PREFIX = set('"`{}\\$ \r\n')  # they have a meaning in some proxy's configuration


class Front(ABC):
    """Serves a peer's `/rest` as `https://…/prefix/rest`; a context manager.

    Attributes:
        peer: the peer behind it.
        name, username, password: those of the peer.
    """

    def __init__(self, peer: FakePeer, prefix: str) -> None:
        """Prepare a front of a peer; `prefix` like `/ops`.

        Raises:
            ValueError: the peer is no FakePeer, or the prefix not a path prefix.
        """
        check_peer.validate("peer", peer)
        check_text.validate("prefix", prefix)
        if not prefix.startswith("/") or prefix.endswith("/") or set(prefix) & _NOT_IN_A_PREFIX:
            raise ValueError(f"prefix must be a path such as /ops, not {prefix!r}")
        self.name, self.username, self.password = peer.name, peer.username, peer.password
        self.peer = peer
        self._prefix = prefix
        self._port = 0

    @property
    def url(self) -> str:
        """The URL of the peer's operations API behind the front."""
        return f"https://127.0.0.1:{self._port}{self._prefix}{self.peer.path}"

    @abstractmethod
    def start(self) -> Self: ...

    @abstractmethod
    def stop(self) -> None: ...

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.name} {self.url}>"

"""How the network of one connection behaves: a link as the faults of the network make it."""

from collections.abc import Callable
from dataclasses import dataclass

from deploy_relay_kit.harness.faults.answers import Script
from deploy_relay_kit.harness.witness.clock import now

_BLOCKS_PER_SECOND = 20  # small blocks, without long gaps between them


class Pace:
    """A limit of bytes per second in one direction; time without bytes is not saved up."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free_at = 0.0
        self.block = max(1, rate // _BLOCKS_PER_SECOND)

    def after(self, count: int) -> float:
        """How many seconds to wait after so many bytes."""
        self._free_at = max(self._free_at, now()) + count / self._rate
        return self._free_at - now()


@dataclass
class Link:
    """A link; without arguments, that of the loopback.

    Attributes:
        shape: changes the script of each answer.
        handshake_delay: called once, for the seconds between the ClientHello and its answer.
        receive: the limit for bytes from the client.
        send: the limit for bytes to the client.
        close_after: the seconds between an answer and the end of the connection that it announces;
            None announces no end.
        is_half_open: whether it is lost after one answer.
        ending: called when it ends as the last two say.
    """

    shape: Callable[[Script], Script] = lambda script: script
    handshake_delay: Callable[[], float] = lambda: 0.0
    receive: Pace | None = None
    send: Pace | None = None
    close_after: float | None = None
    is_half_open: bool = False
    ending: Callable[[], object] = lambda: None

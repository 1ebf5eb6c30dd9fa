"""Pure: timeouts and size limits. A whole upload has no time limit (HTTP-03)."""

from dataclasses import dataclass

from deploy_relay_kit.relay.errors import InputError, is_number

_INTEGERS = {"answer_bytes", "concurrency"}
_OPTIONAL = {"total", "concurrency", "rate"}


@dataclass(frozen=True)
class Limits:
    """Limits of one attempt; times in seconds, sizes in bytes.

    Args:
        connect: Name lookup, TCP connection and TLS handshake together. Default 10.
        mint: Getting a token. Default 30.
        stall: How long a peer may accept no data of an upload. Default 60.
        answer: From the last byte of an upload to the end of the answer; in an event stream, from
            one event to the next, whatever comments come in between. A peer installs dependencies
            in that time, by default for up to an hour (DEP-07). Default 3,720.
        answer_bytes: How much of an answer, or of one event, is read (BUG-30). Default 1,048,576.
        restart: Restarting one node (RST-02). Default 600.
        total: The whole deploy, with every wait and every attempt. By default none: a slow peer may
            take as long as it needs (HTTP-03).
        concurrency: How many nodes are served at the same time; None serves all (SEQ-03).
        rate: How many bytes of the payload are sent in a second, to all nodes together; by default
            without limit. One process then serves all nodes. `Node.rate` limits a single node.
    """

    connect: float = 10.0
    mint: float = 30.0
    stall: float = 60.0
    answer: float = 3_720.0
    answer_bytes: int = 1_048_576
    restart: float = 600.0
    total: float | None = None
    concurrency: int | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name in _OPTIONAL and value is None:
                continue
            what = "an integer" if name in _INTEGERS else "a number"
            is_right = type(value) is int if name in _INTEGERS else is_number(value)
            if not is_right or value <= 0:
                raise InputError(f"limit {name!r} must be {what} above 0, not {value!r}")

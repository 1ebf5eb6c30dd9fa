"""The loopback addresses that nodes of a cluster get."""

import socket
from functools import cache


def loopback_address(number: int) -> str:
    """An address for the node of this number: its own where the system has them, else 127.0.0.1."""
    return (
        f"127.0.{number // 250 % 250}.{number % 250 + 1}" if _has_many_addresses() else "127.0.0.1"
    )


@cache
def has_ipv6() -> bool:
    """Whether this machine has the address ::1."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@cache
def _has_many_addresses() -> bool:
    """Linux answers on all of 127.0.0.0/8; macOS on 127.0.0.1 alone."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.2", 0))
        except OSError:
            return False
    return True

"""The options --limit and --limit-rate."""

import argparse
import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.limits import Limits

_TIMES = ("connect", "mint", "stall", "answer", "restart", "total")
_UNITS = {"": 1, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_RATE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)([KMG]?)", re.ASCII | re.IGNORECASE)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add both options."""
    defaults = {name: vars(Limits())[name] for name in _TIMES}
    limits = ", ".join(
        f"{name} (default: {'none' if value is None else f'{value:g}'})"
        for name, value in defaults.items()
    )
    repeatable: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument(
        "--limit-rate",
        metavar="[NAME=]RATE",
        help="bytes per second, such as 50M, of the whole deploy or to one node; repeatable",
        **repeatable,
    )
    parser.add_argument(
        "--limit", metavar="NAME=SECONDS", help=f"time limits: {limits}; repeatable", **repeatable
    )


def rates_in(texts: Sequence[str], nodes: Collection[str] | None = None) -> dict[str | None, float]:
    """Bytes per second by the name of a node, or by None for the whole deploy.

    Without `nodes`, any name is known.

    Raises:
        InputError: A text is neither RATE nor NAME=RATE, or names an unknown node.
    """
    found: dict[str | None, float] = {}
    for text in texts:
        before, equals, rate = text.rpartition("=")
        name = before if equals else None
        parts = _RATE.fullmatch(rate)
        if parts is None or not float(parts[1]):
            raise InputError(
                f"--limit-rate {text!r} is not RATE or NAME=RATE; a RATE is a number of bytes per "
                "second above 0, such as 500K, 50M or 1.5G"
            )
        if nodes is not None and name is not None and name not in nodes:
            close = get_close_matches(name, nodes, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(nodes)}"
            raise InputError(f"--limit-rate {text!r}: unknown node; {hint}")
        if name in found:
            what = "the whole deploy" if name is None else f"node {name!r}"
            raise InputError(f"--limit-rate is given twice for {what}")
        found[name] = float(parts[1]) * _UNITS[parts[2].upper()]
    return found


def limits_in(arguments: argparse.Namespace) -> Limits:
    seconds: dict[str, Any] = {}
    for text in arguments.limit:
        name, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise InputError(f"--limit {text!r} is not NAME=SECONDS") from None
        if name not in _TIMES:
            raise InputError(f"--limit {text!r}: unknown limit; known are {', '.join(_TIMES)}")
        seconds[name] = number
        try:
            Limits(**seconds)
        except InputError as error:
            raise InputError(f"--limit {text!r}: {error}") from None
    rates = rates_in(arguments.limit_rate)
    return Limits(**seconds, concurrency=arguments.concurrency, rate=rates.get(None))

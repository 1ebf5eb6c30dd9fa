"""`relay serve` and `relay hash-password`: a node that takes deploys."""

import argparse
import asyncio
import getpass
import os
import sys
import threading
from contextlib import suppress
from functools import partial

from deploy_relay_kit.relay.command.interrupts import Interrupts
from deploy_relay_kit.relay.command.output import Output
from deploy_relay_kit.relay.errors import InputError


def run(arguments: argparse.Namespace, out: Output, interrupts: Interrupts) -> int:
    """Run the verb and return its exit code.

    Raises:
        InputError: The configuration, or the password, cannot be used.
    """
    if arguments.verb == "hash-password":
        return _hash(out)
    from deploy_relay_kit.relay.origin.config import read_config
    from deploy_relay_kit.relay.origin.server import serve

    node = _judged() if arguments.adapter else serve(read_config(arguments.config))
    try:
        interrupts.run(node, again=True)
    except KeyboardInterrupt:
        return 0  # a signal is how a node is stopped
    return 0


async def _judged() -> None:
    """A node that ends when the judge closes its standard input."""
    from deploy_relay_kit.relay.command.serving import adapter
    from deploy_relay_kit.relay.origin.server import serve

    start = adapter.read_start(sys.stdin.readline())
    look = partial(adapter.look_in, start.deploy_file)
    node = asyncio.create_task(serve(adapter.config_of(start), look, adapter.STARTED))
    loop = asyncio.get_running_loop()

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1_024):
            pass
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(node.cancel)

    threading.Thread(target=watch, daemon=True).start()
    with suppress(asyncio.CancelledError):
        await node


def _hash(out: Output) -> int:
    from deploy_relay_kit.relay.origin.access import hashed

    asks = sys.stdin.isatty()
    password = getpass.getpass() if asks else sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise InputError("the password is empty; type it, or send it to the standard input")
    out.say(hashed(password))
    out.check("hash")
    return 0

"""The program of one more process of a deploy: serves a share, and sends its events back."""

import asyncio
import contextlib
import functools
import os
import pickle
from typing import BinaryIO

from deploy_relay_kit.relay.errors import InputError, OriginError
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.fanout import serve_here
from deploy_relay_kit.relay.processes import LENGTH_BYTES, Share
from deploy_relay_kit.relay.report import failed_record


def main(channel: BinaryIO) -> None:
    """Read a pickled `Share` from a socket, and write its events there; stop when it is closed."""
    try:
        share: Share = pickle.load(channel)  # noqa: S301  the deploy itself has written it
    except (EOFError, pickle.UnpicklingError):  # which has ended before it needed this process
        return
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(share, channel.fileno()))


async def _serve(share: Share, channel: int) -> None:
    serving = asyncio.current_task()
    assert serving is not None
    asyncio.get_running_loop().add_reader(channel, serving.cancel)
    send_back = functools.partial(_send_back, channel)
    try:
        await serve_here(share, send_back)
    except InputError as error:  # nothing was sent yet
        for node in share.nodes:
            record = failed_record(node.name, [OriginError("resolve", str(error))])
            send_back(Event(node.name, "settled", {"record": record}))


def _send_back(channel: int, event: Event) -> None:
    data = pickle.dumps(event)
    left = memoryview(len(data).to_bytes(LENGTH_BYTES) + data)
    while left:
        left = left[os.write(channel, left) :]

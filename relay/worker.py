"""The program of one more process of a deploy: serves a share, and sends its events back."""

import asyncio
import contextlib
import os
import pickle
import sys

from deploy_relay_kit.relay.errors import InputError, OriginError
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.fanout import serve_here
from deploy_relay_kit.relay.processes import LENGTH_BYTES, Share
from deploy_relay_kit.relay.report import failed_record


def main() -> None:
    """Read a pickled `Share` from standard input; stop when that is closed."""
    share: Share = pickle.load(sys.stdin.buffer)  # noqa: S301  the deploy itself has written it
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(share))


async def _serve(share: Share) -> None:
    serving = asyncio.current_task()
    assert serving is not None
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), serving.cancel)
    try:
        await serve_here(share, _send_back)
    except InputError as error:  # nothing was sent yet
        for node in share.nodes:
            record = failed_record(node.name, [OriginError("resolve", str(error))])
            _send_back(Event(node.name, "settled", {"record": record}))


def _send_back(event: Event) -> None:
    data = pickle.dumps(event)
    left = memoryview(len(data).to_bytes(LENGTH_BYTES) + data)
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]

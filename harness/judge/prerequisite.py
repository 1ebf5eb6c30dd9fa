"""What must hold before a run is worth its time: the relay deploys to one healthy peer."""

import contextlib
import multiprocessing
import os
import signal
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from msgspec import Struct

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.judge.cases.control import Control, control
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.interrupts import interrupt
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.harness.peer.payloads import stage_payload
from deploy_relay_kit.harness.targets import Target, TargetBrokeError, open_target
from deploy_relay_kit.harness.targets.child import is_withheld
from deploy_relay_kit.harness.targets.messages import no_way_to_mint

CONTROL_BYTES = 200_000
"""Length of the payload of a control deploy."""
_ENDED = "the relay ended the process in which it ran"


class Prerequisite(Struct):
    """What is known of a relay before any case runs.

    Attributes:
        identity: name and version, as the target gives them.
        blocked_by: why nothing can be judged; empty when something can.
        unusable: why the target cannot be used: a mistake of the user.
    """

    identity: str = ""
    blocked_by: str = ""
    unusable: str = ""


def prerequisite(relay: str) -> Prerequisite:
    """Try the relay with one healthy peer.

    It runs in a process of its own: a function that ends its process ends only that.

    Args:
        relay: the target, as `--relay` takes it.

    Raises:
        InputError: there is no such target, or it cannot mint.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_try, args=(relay, theirs))
    process.start()
    theirs.close()
    try:
        found: Prerequisite | Exception = ours.recv()
    except EOFError:
        found = Prerequisite(relay, blocked_by=_ENDED)
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    if isinstance(found, Exception):
        raise found
    if found.unusable:
        raise InputError(found.unusable)
    return found


def _try(relay: str, result: Connection) -> None:
    signal.signal(signal.SIGTERM, interrupt)  # so that the target is closed
    for name in filter(is_withheld, dict(os.environ)):
        del os.environ[name]
    with contextlib.suppress(KeyboardInterrupt):
        try:
            result.send(_found(relay))
        except Exception as error:  # noqa: BLE001 - a defect of this kit: raised by the parent
            result.send(error)


def _found(relay: str) -> Prerequisite:
    authority = Authority()
    try:
        target = open_target(relay, authority.file)
    except InputError as error:
        return Prerequisite(unusable=str(error))
    try:
        if wrong := no_way_to_mint(list(target.capabilities)):
            return Prerequisite(unusable=f"{target.identity}: {wrong}")
        return Prerequisite(target.identity, try_healthy_deploy(target, authority).blocked_by)
    except TargetBrokeError as error:
        return Prerequisite(unusable=str(error))
    finally:
        target.close()


def try_healthy_deploy(target: Target, authority: Authority | None = None) -> Control:
    """How far the relay comes with a healthy peer."""
    with FakeCluster(authority=authority) as cluster, tempfile.TemporaryDirectory() as where:
        cluster.profile, cluster.judging = "witness", True
        payload = stage_payload(Path(where) / "package.tar.gz", CONTROL_BYTES)
        relay = Relay(target, ca_file=cluster.ca_file, payload=payload, cluster=cluster)
        return control(relay, cluster)

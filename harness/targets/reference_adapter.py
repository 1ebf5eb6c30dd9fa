"""The reference relay as a command adapter, for `python -m` and the name of this module.

Arguments are the capabilities that it declares, all by default. With fewer, the suite shows that it
demands of a relay no more than the relay declares.
"""

import contextlib
import sys
import traceback
from typing import IO, Any

from deploy_relay_kit.harness.targets import Target, messages
from deploy_relay_kit.harness.targets.capabilities import CAPABILITIES
from deploy_relay_kit.harness.targets.outcome import TargetSkippedError
from deploy_relay_kit.harness.targets.reference import ReferenceTarget

_THE_KIT_WAITS_LESS = 3_600.0  # seconds; it ends an adapter that is late


def serve(target: Target, stdin: IO[bytes], stdout: IO[bytes]) -> int:
    """Answer messages until `stop` or the end of the input; return the exit code.

    What the relay prints goes to standard error: standard output belongs to the protocol.
    """
    with contextlib.redirect_stdout(sys.stderr):
        for line in stdin:
            message = messages.decode_plain(line)
            reply = {"seq": message["seq"], **_reply(target, message)}
            stdout.write(messages.encode_plain(reply))
            stdout.flush()
            if "stopped" in reply:
                break
    return 0


def _reply(target: Target, message: dict[str, Any]) -> dict[str, Any]:
    match message["verb"]:
        case "start":
            # What JSON cannot express does not pass through an adapter.
            capabilities = sorted(
                CAPABILITIES.keys() & set(target.capabilities) - {"native_values"}
            )
            protocol = messages.PROTOCOL
            return {"relay": target.identity, "protocol": protocol, "capabilities": capabilities}
        case "stop":
            return {"stopped": True}
        case "deploy":
            return _deploy(target, message)
        case verb:
            return {"errored": f"unknown verb {verb!r}"}


def _deploy(target: Target, message: dict[str, Any]) -> dict[str, Any]:
    try:
        outcome = target.deploy(messages.command_from(message), _THE_KIT_WAITS_LESS)
    except TargetSkippedError as error:
        return {"skipped": str(error)}
    except Exception:  # noqa: BLE001 - the kit shows whatever it is
        return {"errored": traceback.format_exc()}
    if outcome.refused is not None:
        return {"refused": outcome.refused}
    if outcome.cancelled:
        return {"cancelled": True}
    return {"records": [dict(record.members) for record in outcome.records]}


if __name__ == "__main__":
    target = ReferenceTarget()
    target.capabilities = frozenset(sys.argv[1:]) or target.capabilities
    sys.exit(serve(target, sys.stdin.buffer, sys.stdout.buffer))

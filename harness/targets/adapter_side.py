"""The adapter's side of the protocol, for relays that Python can call."""

from __future__ import annotations

import contextlib
import sys
import traceback
from typing import IO

from harness.targets import Target, messages
from harness.targets.messages import Message, MessageError
from harness.targets.outcome import TargetSkippedError


def serve(target: Target, stdin: IO[bytes], stdout: IO[bytes]) -> int:
    """Answer messages until `stop` or the end of the input; return the exit code.

    What the relay prints meanwhile goes to standard error, since standard output is the protocol's.
    """
    with contextlib.redirect_stdout(sys.stderr):
        for line in stdin:
            message = _read(line)
            reply = _reply(target, message)
            stdout.write(messages.encode(_KINDS.get(message["verb"], "deployed"), reply))
            stdout.flush()
            if "stopped" in reply:
                return 0
    return 0


_KINDS: dict[str, messages.Kind] = {"start": "started", "stop": "stopped"}


def _read(line: bytes) -> Message:
    """A message, checked as far as it must be to reply to it."""
    message = messages.decode_any(line)
    if not isinstance(message.get("seq"), int) or not isinstance(message.get("verb"), str):
        raise MessageError(f"neither seq nor verb: {messages.show(line)}")
    return message


def _reply(target: Target, message: Message) -> Message:
    seq = message["seq"]
    match message["verb"]:
        case "start":
            return {
                "seq": seq,
                "relay": target.identity,
                "protocol": messages.PROTOCOL,
                # What JSON cannot express does not come through it.
                "capabilities": sorted(set(target.capabilities) - {"native_values"}),
            }
        case "stop":
            return {"seq": seq, "stopped": True}
        case "deploy":
            return {"seq": seq, **_deploy(target, message)}
        case verb:
            return {"seq": seq, "errored": f"unknown verb {verb!r}"}


def _deploy(target: Target, message: Message) -> Message:
    try:
        messages.check("deploy", message)
        outcome = target.deploy(messages.command_from(message))
    except TargetSkippedError as error:
        return {"skipped": str(error)}
    except Exception:  # noqa: BLE001 - whatever it is, it is told
        return {"errored": traceback.format_exc()}
    if outcome.refused is not None:
        return {"refused": outcome.refused}
    if outcome.cancelled:
        return {"cancelled": True}
    return {"records": [dict(record.members) for record in outcome.records]}

"""An adapter that misbehaves in one way: `hostile.py HOW [MARKER]`.

With a marker file it misbehaves once, the first time in any process, and well from then on. It is
no relay: where it behaves, it reports that every node has failed.
"""

from __future__ import annotations

import json
import os
import sys
import time

TYPE_CHECKING = False  # `typing`, and all else that is not always needed, costs each start its time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Message = dict[str, Any]

HOW, *REST = sys.argv[1:]
MARKER = REST[0] if REST else ""


def is_due(*how: str) -> bool:
    """Whether to misbehave now, which then has happened."""
    if HOW not in how or (MARKER and os.access(MARKER, os.F_OK)):
        return False
    if MARKER:
        os.close(os.open(MARKER, os.O_CREAT))
    return True


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def die(code: int) -> NoReturn:
    sys.stderr.write("last words\n")
    sys.stderr.flush()
    os._exit(code)


def hang() -> NoReturn:
    while True:
        time.sleep(60)


def said(text: str) -> Message:
    """A reply that is this text instead of JSON."""
    return {"raw": text}


def failures(message: Message) -> list[Message]:
    return [{"node": n["name"], "status": "failed", "reason": "none"} for n in message["nodes"]]


def behave(message: Message) -> Message:
    return {"records": failures(message)}


def print_first(message: Message) -> Message:
    say("deploying…\n")
    return behave(message)


def print_for_ever(_: Message) -> NoReturn:
    while True:
        say("x" * 65_536)


def close_output(_: Message) -> NoReturn:
    os.close(1)
    hang()


def be_killed(message: Message) -> Message:
    os.kill(os.getpid(), 9)
    return behave(message)


def say_half(_: Message) -> NoReturn:
    say('{"seq":')
    die(5)


def leave_half(_: Message) -> NoReturn:
    say('{"seq":')
    hang()


def count(message: Message) -> Message:
    message["seq"] += 1
    return behave(message)


def lie(message: Message) -> Message:
    return {"records": [{**record, "status": "success"} for record in failures(message)]}


def show_password(message: Message) -> Message:
    sys.stderr.write(f"{[node['mint'] for node in message['nodes']]}\n")
    sys.stderr.flush()
    return behave(message)


def pass_password_on(message: Message) -> Message:
    for node in message["nodes"]:
        code = "import time; time.sleep(.2)"
        os.spawnl(os.P_WAIT, sys.executable, "python", "-SIc", code, node["mint"]["password"])
    return behave(message)


DEPLOYS: dict[str, Callable[[Message], Message]] = {
    "dies at deploy": lambda _: die(4),
    "is killed at deploy": be_killed,
    "hangs at deploy": lambda _: hang(),
    "closes its output at deploy": close_output,
    "prints before the reply": print_first,
    "prints without an end": print_for_ever,
    "says half a line": say_half,
    "leaves it at half a line": leave_half,
    "is not JSON at deploy": lambda _: said("{'records': []}"),
    "says NaN": lambda m: said(f'{{"seq": {m["seq"]}, "records": [{{"took": NaN}}]}}'),
    "says a list": lambda _: said("[]"),
    "forgets the seq": lambda m: said(json.dumps(behave(m))),
    "counts by itself": count,
    "says records and errored": lambda m: {**behave(m), "errored": "both"},
    "misspells": lambda m: {"record": failures(m)},
    "skips": lambda _: {"skipped": "not today"},
    "errs": lambda _: {"errored": "Traceback: it went wrong"},
    "turns the order": lambda m: {"records": failures(m)[::-1]},
    "says neither success nor failed": lambda m: {
        "records": [{"node": node["name"], "status": "ok"} for node in m["nodes"]]
    },
    "lies": lie,
    "shows a password": show_password,
    "passes a password on": pass_password_on,
}


def start() -> Message:
    if is_due("dies at start"):
        die(3)
    if is_due("hangs at start"):
        hang()
    if is_due("says hello first"):
        say("Hello, I am an adapter.\n")
    identity = {"relay": "hostile", "protocol": 1, "capabilities": ["mint.operations"]}
    if is_due("declares what nobody knows"):
        identity["capabilities"] = ["mint.by_magic"]
    if is_due("cannot mint"):
        identity["capabilities"] = []
    if is_due("speaks another protocol"):
        identity["protocol"] = 2
    return identity


def deploy(message: Message) -> Message:
    if message["seq"] > 2 and is_due("dies at the second deploy"):
        die(4)
    if message["seq"] > 2 and is_due("hangs at the second deploy"):
        hang()
    return DEPLOYS[HOW](message) if is_due(*DEPLOYS) else behave(message)


def reply_to(message: Message) -> Message:
    match message["verb"]:
        case "start":
            return start()
        case "deploy":
            return deploy(message)
        case "stop":
            return {"stopped": True}
    if HOW == "dies of what it does not know":
        die(6)
    if HOW == "takes every verb for stop":
        return {"stopped": True}
    return {"errored": "unknown verb"}


def end() -> None:
    if HOW == "does not end":
        hang()
    if HOW == "ends badly":
        die(8)
    if HOW == "leaves a child":
        os.spawnl(os.P_NOWAIT, sys.executable, "python", "-SIc", "import time; time.sleep(60)")


for line in sys.stdin:
    asked = json.loads(line)
    reply = reply_to(asked)
    say((reply.get("raw") or json.dumps({"seq": asked["seq"], **reply})) + "\n")
    if asked["verb"] == "deploy" and is_due("prints after the reply"):
        say("deployed.\n")
    if asked["verb"] == "deploy" and is_due("dies after the reply"):
        die(7)
    if asked["verb"] == "stop":
        break
end()

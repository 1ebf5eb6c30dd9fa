"""`relay deployments` and `relay deployment ID`: the record of deploys of one node."""

import argparse
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from deploy_relay_kit.relay.answer import EVENT_STREAM, is_event_stream, parse_json, success_members
from deploy_relay_kit.relay.command import credentials
from deploy_relay_kit.relay.command.interrupts import Interrupts
from deploy_relay_kit.relay.command.output import Output, printable, printable_line
from deploy_relay_kit.relay.deadline import Deadline
from deploy_relay_kit.relay.errors import AttemptError, InputError, PeerError
from deploy_relay_kit.relay.events import EventParser
from deploy_relay_kit.relay.fanout import FanOut
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.tls import Tls
from deploy_relay_kit.relay.urls import resolve, without_user_info

_COLUMNS = ("deployment_id", "project", "status", "started_at", "user", "error")
_LOG = "event_log"
_LATEST = 10**14  # milliseconds since 1970; Python knows no later year
Show = Callable[[str, Mapping[str, Any]], None]


def run(arguments: argparse.Namespace, out: Output, err: Output, interrupts: Interrupts) -> int:
    """Ask the node and print; 1 if it refuses, or if the deployment has failed.

    Raises:
        InputError: The input is invalid; nothing was sent.
    """
    node = Node("node", arguments.via, verify=not arguments.insecure)
    where = f"--via {without_user_info(arguments.via)!r}"
    try:
        resolve(node, allow_http=arguments.allow_http)
    except (AttemptError, InputError) as error:
        raise InputError(f"{where}: {error}") from error
    mint = credentials.mint_in(arguments, err.say)
    fan = FanOut([node], mint=mint, tls=Tls(arguments.ca), allow_http=arguments.allow_http)
    found: list[Mapping[str, Any]] = []

    def show(name: str, data: Mapping[str, Any]) -> None:
        if not arguments.json:
            out.say(event_line(name, data))

    async def work(peer: Peer) -> Mapping[str, object]:
        found.append(peer.secrets.hide(await _asked(arguments, peer, show)))
        return {}

    (record,) = interrupts.run(fan.run(work)).records
    if record["status"] != "success":
        err.say(f"relay: {where}: {printable(record['reason'])}")
        return 1
    (answer,) = found
    lines = [json.dumps(answer, indent=2)] if arguments.json else _shown(answer, arguments)
    for line in lines:
        out.say(line)
    if not lines:
        err.say("relay: no deploys match")
    return 1 if arguments.verb == "deployment" and answer.get("status") == "failed" else 0


async def _asked(arguments: argparse.Namespace, peer: Peer, show: Show) -> Mapping[str, Any]:
    if arguments.verb == "deployments":
        names = ("project", "status", "limit")
        filters = {it: getattr(arguments, it) for it in names if getattr(arguments, it) is not None}
        return await peer.query({"operation": "list_deployments", **filters})
    request = {"operation": "get_deployment", "deployment_id": arguments.id}
    if not arguments.follow:
        return await peer.query(request)
    token, body = await peer.token(), json.dumps(request).encode()
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {token}",
        "Accept": EVENT_STREAM,
    }
    parser, most = EventParser(), peer.limits.mint
    try:
        async with Deadline(most) as deadline, peer.post(headers, body) as reply:
            if not is_event_stream(reply.status, reply.headers.get("Content-Type", "")):
                return success_members(await peer.read(reply))
            most = peer.limits.answer
            deadline.start(most)
            async for block in reply:
                for name, text in parser.feed(block):
                    deadline.start(most)  # a comment is no event
                    data = peer.secrets.hide(parse_json(text))
                    if name == "done" and isinstance(data, dict):  # SSE-11
                        row = data.get("result")
                        return row if isinstance(row, dict) else data
                    if isinstance(data, dict):
                        show(name, data)
                if parser.pending > peer.limits.answer_bytes:
                    raise PeerError("answer", "an event is too long")
    except TimeoutError:
        raise PeerError("answer", f"no answer in {most:g} s") from None
    raise PeerError("answer", "the event stream ended without a result")


def event_line(name: str, data: Mapping[str, Any]) -> str:
    """Pure: an event of a deployment in one line."""
    match name, data:
        case "phase", {"phase": phase, "status": status}:
            text = f"phase {phase}: {status}"
        case "install", {"line": line}:
            text = f"| {line}"
        case "peer", {"node": node, "status": status}:
            reason = f": {data['reason']}" if "reason" in data else ""
            text = f"{node}: {status}{reason}"
        case "replicate", {"node": node, "event": event, "data": dict(inner)}:
            text = f"{node}: {event_line(str(event), inner)}"
        case _:
            text = f"{name} {json.dumps(data)}" if data else name
    return printable(text)


def _shown(answer: Mapping[str, Any], arguments: argparse.Namespace) -> list[str]:
    if arguments.verb == "deployment":
        return _lines(answer, with_log=not arguments.follow)
    rows = answer.get("deployments")
    return [
        printable_line("\t".join(_text(row, name) for name in _COLUMNS))
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
    ]


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if name.endswith("_at") and type(value) is int and 0 <= value < _LATEST:
        moment = datetime.fromtimestamp(value / 1_000, UTC)
        return moment.isoformat(" ", timespec="seconds")
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _lines(row: Mapping[str, Any], *, with_log: bool) -> list[str]:
    """A deployment: its members, then its events."""
    lines = [f"{printable(name)}\t{printable(_text(row, name))}" for name in row if name != _LOG]
    log = row.get(_LOG)
    for entry in log if with_log and isinstance(log, list) else []:
        match entry:
            case {"event": str(name), "data": dict(data)}:
                lines.append(f"event\t{event_line(name, data)}")
    return lines

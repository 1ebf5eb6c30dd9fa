"""What is right and wrong with an adapter, message by message, for the person who writes it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.cli.transcript import Talk, WrongError
from harness.cluster import FakeCluster
from harness.faults.kinds import ReadSlowly, Refuse
from harness.judge.leaks import leaked
from harness.peer.payloads import stage_payload
from harness.targets import messages
from harness.targets.child import ChildError, ChildHungError
from harness.targets.deploy_command import no_way_to_mint
from harness.targets.hang_budget import Patience
from harness.targets.messages import MessageError
from harness.targets.processes import watch_processes

_END_SECONDS = 5.0
_HANGS = 2  # deploys that may hang before one is answered
_PAYLOAD = 200_000  # bytes
_RATE = 400_000  # bytes per second of a slow peer, so that there is something to look at

# -- the checks, in order; each returns what is right, or raises ---------------------------------


def _starts(talk: Talk) -> str:
    started = talk.begin()
    declared = started["capabilities"]
    if wrong := no_way_to_mint(declared):
        raise WrongError(wrong)
    return f"{started['relay']!r} speaks protocol {started['protocol']}, can {', '.join(declared)}"


def _no_nodes(talk: Talk) -> str:
    talk.deploy()
    return "no records"


def _two_nodes(talk: Talk) -> str:
    peers = [talk.cluster.peer(), talk.cluster.peer()]
    records = talk.deploy(*peers)
    for peer, record in zip(peers, records, strict=True):
        if record["status"] != "success":
            raise WrongError(f"{peer.name} would have taken it; the record says {record}")
        if not any(upload.complete for upload in peer.uploads):
            raise WrongError(f"the record of {peer.name} says success, but it saw no whole upload")
        file = peer.uploads[-1].file
        if file is None or file.sha256 != talk.payload.sha256:
            raise WrongError(f"{peer.name} received another payload")
    findings = [str(finding) for peer in peers for finding in peer.uploads[-1].findings]
    if findings:
        raise WrongError(f"the relay broke the wire format, which is for the cases: {findings[0]}")
    return "two successes, and both nodes have the payload"


def _failing_node(talk: Talk) -> str:
    down, up = talk.cluster.peer(fault=Refuse()), talk.cluster.peer()
    statuses = [record["status"] for record in talk.deploy(down, up)]
    if statuses != ["failed", "success"]:
        raise WrongError(f"the first node refuses connections, the second is fine: {statuses}")
    return "a failed record and a success"


def _missing_payload(talk: Talk) -> str:
    peer = talk.cluster.peer()
    [record] = talk.deploy(peer, payload=talk.payload.path.with_name("missing.tar.gz"))
    if record["status"] != "failed":
        raise WrongError(f"nothing is there to be sent; the record says {record}")
    return "a failed record"


def _pieces(talk: Talk) -> str:
    peer = talk.cluster.peer()
    message = talk.deploy_message(peer)
    # JSON leaves room for spaces, and a line is as long as it is.
    encoded = messages.encode("deploy", message).replace(b"{", b"{" + b" " * 300_000, 1)
    reply = talk.ask("deployed", message, encoded=encoded)
    if "records" not in reply:
        raise WrongError("expected records")
    return "read whole"


def _unknown_verb(talk: Talk) -> str:
    message = {"seq": talk.next_seq(), "verb": "of-a-later-kit"}
    reply = talk.ask("deployed", message, encoded=messages.plain(message))
    if "errored" not in reply:
        raise WrongError("a verb that nobody knows is answered with errored")
    talk.deploy()
    return "errored, and it goes on"


def _arguments(talk: Talk) -> str:
    peer = talk.cluster.peer(fault=ReadSlowly(_RATE))
    message = talk.deploy_message(peer)
    with watch_processes(talk.child.pid) as shown:
        talk.ask("deployed", message)
    if not shown.arguments:
        return "not looked at: this system has no /proc"
    if any(leaked(peer, line) for line in shown.arguments):
        raise WrongError("a password or token stands in an argument list (BUG-41)")
    return f"no credentials in {len(shown.arguments)} of them"


def _stops(talk: Talk) -> str:
    talk.ask("stopped", messages.stop(talk.next_seq()))
    return f"replied, {_ending(talk)}"


def _hung_up(talk: Talk) -> str:
    talk.begin()
    return _ending(talk)


def _ending(talk: Talk) -> str:
    code = talk.child.hang_up(_END_SECONDS)
    if code is None:
        raise WrongError(f"still running {_END_SECONDS:g} s after its input was closed")
    if code != 0:
        raise WrongError(f"expected exit code 0, came {code}")
    if talk.child.has_children:
        raise WrongError("left children running")
    return "exited with 0"


_CHECKS: tuple[tuple[str, Callable[[Talk], str]], ...] = (
    ("start", _starts),
    ("deploy to no nodes", _no_nodes),
    ("deploy to two nodes", _two_nodes),
    ("deploy to two nodes, one of them down", _failing_node),
    ("deploy a payload that is not there", _missing_payload),
    ("deploy, in a very long line", _pieces),
    ("a verb that nobody knows", _unknown_verb),
    ("argument lists during a deploy", _arguments),
    ("stop", _stops),
    ("the kit is gone: its input ends without stop", _hung_up),
)


def lint(command: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """Check an adapter; yield for each check whether it is right, and the lines to be shown."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-lint-"))
        payload = stage_payload(Path(directory) / "package.tar.gz", _PAYLOAD)
        talk = Talk(command, stack.enter_context(FakeCluster()), payload)
        stack.callback(talk.end)
        patience = Patience(_HANGS)
        for name, check in _CHECKS:
            deploys = check not in (_starts, _stops, _hung_up)
            if deploys and patience.is_over:
                yield False, f"wrong  {name}: not asked; no deploy before was answered in time"
                continue
            try:
                if check is not _starts:
                    talk.begin_unless_begun()
                talk.lines.clear()
                talk.asked.clear()
                yield True, f"right  {name}: {check(talk)}"
                if deploys:
                    patience.came_back()
                continue
            except (WrongError, MessageError) as error:
                wrong = str(error)
                if deploys:
                    patience.came_back()
            except ChildError as error:
                wrong = f"the adapter {error}"
                if isinstance(error, ChildHungError):
                    patience.hung()
            stderr = talk.stderr.splitlines()
            talk.end()  # whatever comes next gets a fresh process
            shown = [*talk.lines, *(f"| {talk.cluster.redacted(line)}" for line in stderr[-20:])]
            shown += [line for peer in talk.asked for line in peer.timeline().splitlines()]
            lines = [
                f"wrong  {name}: {talk.cluster.redacted(str(wrong))}",
                *(f"       {line}" for line in shown),
            ]
            yield False, "\n".join(lines)
            if check is _starts:
                return

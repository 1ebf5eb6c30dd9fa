"""`relay-harness lint`: what is right and wrong with an adapter, message by message."""

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import UNSET

from deploy_relay_kit.harness.cli.transcript import Transcript, WrongError
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.kinds import CertificateFlaw, ReadSlowly, Refuse
from deploy_relay_kit.harness.judge.cases.leaks.search import leaked
from deploy_relay_kit.harness.peer.payloads import stage_payload
from deploy_relay_kit.harness.targets import messages
from deploy_relay_kit.harness.targets.child import ChildError, ChildHungError
from deploy_relay_kit.harness.targets.messages import (
    Deployed,
    MessageError,
    Stop,
    Stopped,
    no_way_to_mint,
)
from deploy_relay_kit.harness.targets.processes import watch_processes

_END_SECONDS = 5.0
_HANGS = 2  # deploys that may hang before one is answered
_PAYLOAD = 200_000  # bytes
_RATE = 400_000  # bytes per second of a slow peer, so that processes can be watched
_SHOWN = 20  # lines of standard error

# -- the checks, in order; each returns what is right, or raises ---------------------------------


def _starts(transcript: Transcript) -> str:
    started = transcript.begin()
    if wrong := no_way_to_mint(started.capabilities):
        raise WrongError(wrong)
    declared = ", ".join(started.capabilities)
    return f"{started.relay!r} speaks protocol {started.protocol}, can {declared}"


def _no_nodes(transcript: Transcript) -> str:
    transcript.deploy()
    return "no records"


def _two_nodes(transcript: Transcript) -> str:
    peers = [transcript.cluster.peer(), transcript.cluster.peer()]
    records = transcript.deploy(*peers)
    for peer, record in zip(peers, records, strict=True):
        if record["status"] != "success":
            raise WrongError(f"{peer.name} is healthy; the record is {record}")
        if not any(upload.complete for upload in peer.uploads):
            raise WrongError(f"the record of {peer.name} says success, but it saw no whole upload")
        file = peer.uploads[-1].file
        if not file or file.sha256 != transcript.payload.sha256:
            raise WrongError(f"{peer.name} received another payload")
    findings = [finding.explained for peer in peers for finding in peer.uploads[-1].findings]
    if findings:
        raise WrongError(f"the relay broke the wire format (the cases judge that): {findings[0]}")
    return "two successes, and both nodes have the payload"


def _failing_node(transcript: Transcript) -> str:
    down, up = transcript.cluster.peer(fault=Refuse()), transcript.cluster.peer()
    statuses = [record["status"] for record in transcript.deploy(down, up)]
    if statuses != ["failed", "success"]:
        raise WrongError(f"the first node refuses connections, the second is healthy: {statuses}")
    return "a failed record and a success"


def _missing_payload(transcript: Transcript) -> str:
    peer = transcript.cluster.peer()
    missing = transcript.payload.path.with_name("missing.tar.gz")
    [record] = transcript.deploy(peer, payload=missing)
    if record["status"] != "failed":
        raise WrongError(f"the payload does not exist; the record is {record}")
    return "a failed record"


def _ca_file(transcript: Transcript) -> str:
    """`ca_file` is what makes the relay trust a node, and not a disabled verification."""
    peer = transcript.cluster.peer()
    [record] = transcript.deploy(peer)
    if not any(seen.requests for seen in peer.live_connections):
        raise WrongError(
            f"no request reached {peer.name}; trust the certificates in ca_file. The record is "
            f"{record}"
        )
    stranger = transcript.cluster.peer(fault=CertificateFlaw.WRONG_AUTHORITY)
    transcript.deploy(stranger)
    if any(seen.requests for seen in stranger.live_connections):
        raise WrongError(
            f"a request reached {stranger.name}, whose certificate is of an authority outside "
            "ca_file; verify certificates (TLS-01)"
        )
    return "its nodes are trusted, and no others"


def _long_line(transcript: Transcript) -> str:
    command = transcript.command_for(transcript.cluster.peer())
    # JSON allows spaces anywhere between values, and a line has no maximum length.
    line = messages.encode(command).replace(b"{", b"{" + b" " * 300_000, 1)
    if transcript.ask(Deployed, command, line).records is UNSET:
        raise WrongError("expected records")
    return "read whole"


def _unknown_verb(transcript: Transcript) -> str:
    seq = transcript.next_seq()
    line = messages.encode_plain({"seq": seq, "verb": "of-a-later-kit"})
    try:
        is_errored = transcript.send(Deployed, line, seq).errored is not UNSET
    except MessageError as error:
        raise WrongError(f"answer an unknown verb with errored; {error}") from None
    if not is_errored:
        raise WrongError("answer an unknown verb with errored")
    transcript.deploy()
    return "errored, and the next deploy works"


def _arguments(transcript: Transcript) -> str:
    peer = transcript.cluster.peer(fault=ReadSlowly(_RATE))
    command = transcript.command_for(peer)
    with watch_processes(transcript.child.pid) as shown:
        transcript.ask(Deployed, command)
    if any(leaked(peer, line) for line in shown.arguments):
        raise WrongError("a password or token stands in an argument list (BUG-41)")
    return f"no credentials in {len(shown.arguments)} of them"


def _stops(transcript: Transcript) -> str:
    transcript.ask(Stopped, Stop(transcript.next_seq()))
    return f"replied, {_ending(transcript)}"


def _hung_up(transcript: Transcript) -> str:
    transcript.begin()
    return _ending(transcript)


def _ending(transcript: Transcript) -> str:
    code = transcript.child.hang_up(_END_SECONDS)
    if code is None:
        raise WrongError(f"still running {_END_SECONDS:g} s after its input was closed")
    if code != 0:
        raise WrongError(f"expected exit code 0, got {code}")
    if transcript.child.has_children:
        raise WrongError("left children running")
    return "exited with 0"


_CHECKS: tuple[tuple[str, Callable[[Transcript], str]], ...] = (
    ("start", _starts),
    ("deploy to no nodes", _no_nodes),
    ("trust of ca_file", _ca_file),
    ("deploy to two nodes", _two_nodes),
    ("deploy to two nodes, one of them down", _failing_node),
    ("deploy a payload that does not exist", _missing_payload),
    ("deploy, in a very long line", _long_line),
    ("an unknown verb", _unknown_verb),
    ("argument lists during a deploy", _arguments),
    ("stop", _stops),
    ("the end of the input without stop", _hung_up),
)


def lint(command: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """Check an adapter; yield for each check whether it is right, and the lines to show."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-lint-"))
        payload = stage_payload(Path(directory) / "package.tar.gz", _PAYLOAD)
        transcript = Transcript(command, stack.enter_context(FakeCluster()), payload)
        stack.callback(transcript.end)
        left: float = _HANGS  # hangs of an adapter that has answered no deploy yet
        for name, check in _CHECKS:
            deploys = check not in (_starts, _stops, _hung_up)
            if deploys and not left:
                yield False, f"wrong  {name}: not asked; no deploy so far was answered in time"
                continue
            try:
                if check is not _starts:
                    transcript.begin_once()
                transcript.lines.clear()
                transcript.peers.clear()
                yield True, f"right  {name}: {check(transcript)}"
            except (WrongError, MessageError) as error:
                wrong, hung = str(error), False
            except ChildError as error:
                wrong, hung = f"the adapter {error}", isinstance(error, ChildHungError)
            else:
                wrong, hung = "", False
            if deploys:
                left = left - 1 if hung else math.inf
            if not wrong:
                continue
            transcript.stop()
            yield False, "\n       ".join([f"wrong  {name}: {wrong}", *_shown(transcript)])
            transcript.end()  # the next check gets a fresh process
            if check is _starts:
                return


def _shown(transcript: Transcript) -> list[str]:
    """The messages, the end of standard error, and what the peers saw."""
    redacted = transcript.cluster.redacted
    lines = [*transcript.lines]
    lines += [f"| {redacted(line)}" for line in transcript.stderr.splitlines()[-_SHOWN:]]
    return lines + [line for peer in transcript.peers for line in peer.timeline().splitlines()]

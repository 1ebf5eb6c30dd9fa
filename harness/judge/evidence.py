"""What is known of a failed case: what it asked, what came, what the relay told, what peers saw."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import pytest

from harness.cluster import FakeCluster
from harness.judge.relay import Relay
from harness.targets import messages
from harness.targets.deploy_command import DeployCommand, Limits
from harness.targets.outcome import TargetBrokeError, TargetSkippedError
from harness.witness.timeline import ConnectionTimeline

_HINT = "Use -v to get more diff"
_LONGEST = 4_000  # characters of what came, of what the relay was told, and of one outcome
_LONGEST_VALUE = 200  # characters of one text in what the relay was told
# A JSON Web Token by how it begins, also where pytest has cut out its middle.
_TOKEN = re.compile(r"eyJhb[\w.-]*")


class Evidence(TypedDict):
    """The evidence as JSON; the credentials of the fake peers are left out of it.

    where: file and line of the case that failed.
    expected: the statement there that did not hold, as it stands in the source.
    came: what there was instead.
    told: what the relay was told, an item for each deploy of the case that was begun.
    reported: what the relay reported, an item for each of them.
    wrote: the end of what the target wrote during the last of them: a command to its standard
        error, a function to standard output, standard error and the log.
    seen: the timeline of each peer.
    findings: ids of the rules that the uploads broke on the wire.
    timelines: each connection that the peers saw.
    broke: whether the target broke, so that the case came to no judgement of its own.
    trace: the traceback of what is neither an assertion of the case nor an error of the target.
    """

    where: str
    expected: str
    came: str
    told: list[str]
    reported: list[str]
    wrote: str
    seen: str
    findings: list[str]
    timelines: list[ConnectionTimeline]
    broke: bool
    trace: str


def gather(
    item: pytest.Item,
    failure: pytest.ExceptionInfo[BaseException],
    trace: str,
    clusters: Sequence[FakeCluster],
    relay: Relay | None,
    *,
    captured: str = "",
) -> Evidence:
    """The evidence of a case that has just failed, while its peers are still up.

    Args:
        item: the case.
        failure: what it raised.
        trace: pytest's traceback of it.
        clusters: those that the case used.
        relay: the relay under test, as the case spoke to it; None in a test that has none.
        captured: what was written in this process meanwhile.

    """

    def hide(text: str) -> str:
        for cluster in clusters:
            text = cluster.redacted(text)
        text = _TOKEN.sub("[token]", text)
        return text.encode("utf-8", "backslashreplace").decode()  # what came may be no Unicode

    where, expected = _failed_statement(item, failure)
    peers = [peer for cluster in clusters for peer in cluster.peers]
    return Evidence(
        where=where,
        expected=hide(expected),
        # What is cut is cut last: half a secret would stay.
        came=_bounded(hide(_message(failure))),
        told=[_bounded(hide(_told(command, hide))) for command in relay.asked] if relay else [],
        reported=[_bounded(hide(it)) for it in _reported(relay)] if relay else [],
        wrote=(hide(relay.target.stderr) or hide(captured)[-_LONGEST:]) if relay else "",
        seen="\n".join(cluster.timelines() for cluster in clusters),
        findings=sorted(
            {it.id for peer in peers for up in peer.live_uploads for it in up.findings}
        ),
        timelines=[it for cluster in clusters for it in cluster.connection_timelines()],
        broke=_is_of_target(failure),
        trace="" if _says_enough(failure) else hide(trace),
    )


def _told(command: DeployCommand, hide: Callable[[str], str]) -> str:
    """What an adapter would read, without what is the same in every case; long texts are cut."""
    message = messages.deploy(0, command)
    left_out = {"verb", "seq", "payload", "ca_file"}
    if command.limits == Limits():
        left_out.add("limits")
    told = {name: value for name, value in message.items() if name not in left_out}
    return json.dumps(_shortened(told, hide), ensure_ascii=False, default=repr)


def _shortened(value: Any, hide: Callable[[str], str]) -> Any:
    match value:
        case str() if len(value) > _LONGEST_VALUE:
            return f"{hide(value)[:_LONGEST_VALUE]}… ({len(value):,} characters)"
        case dict():
            return {name: _shortened(item, hide) for name, item in value.items()}
        case list():
            return [_shortened(item, hide) for item in value]
    return value


def _reported(relay: Relay) -> list[str]:
    reported = [str(outcome) for outcome in relay.outcomes]
    return [*reported, "nothing"] if len(relay.asked) > len(reported) else reported


def _failed_statement(
    item: pytest.Item, failure: pytest.ExceptionInfo[BaseException]
) -> tuple[str, str]:
    """Where a case failed, in its own file: helpers of the kit are not where a reader looks."""
    in_case = [entry for entry in failure.traceback if Path(entry.path) == item.path]
    if not in_case:
        return item.path.name, ""
    entry = in_case[-1]
    return f"{item.path.name}:{entry.lineno + 1}", textwrap.dedent(str(entry.statement)).strip()


def _is_of_target(failure: pytest.ExceptionInfo[BaseException]) -> bool:
    return isinstance(failure.value, (TargetBrokeError, TargetSkippedError))


def _says_enough(failure: pytest.ExceptionInfo[BaseException]) -> bool:
    return failure.errisinstance(AssertionError) or _is_of_target(failure)


def _message(failure: pytest.ExceptionInfo[BaseException]) -> str:
    """What an exception says; of a plain assertion, both sides of it without the hints."""
    if _is_of_target(failure):
        return str(failure.value)
    if not failure.errisinstance(AssertionError):
        return failure.exconly()
    lines = str(failure.value).removeprefix("assert ").splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip() not in {"", _HINT})


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"

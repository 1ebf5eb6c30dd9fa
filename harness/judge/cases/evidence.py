"""What is known of a case that did not pass: commands, records, output, what the peers saw."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.model import Check, Evidence
from deploy_relay_kit.harness.targets import messages
from deploy_relay_kit.harness.targets.deploy_command import DeployCommand, Limits
from deploy_relay_kit.harness.targets.outcome import Outcome

_LONGEST = 4_000  # characters of a command, and of the records of a deploy
_LONGEST_VALUE = 200  # characters of one text in a command
# A JSON Web Token by how it begins, also where something has cut out its middle.
_TOKEN = re.compile(r"eyJhb[\w.-]*")
_FIRST = "(the records that the failure is about come first)"
_THE_SAME_IN_EVERY_CASE = {"verb", "seq", "payload", "ca_file"}


def hider(clusters: Sequence[FakeCluster]) -> Callable[[str], str]:
    """A function that takes the credentials of these clusters' peers out of a text."""

    def hide(text: str) -> str:
        for cluster in clusters:
            text = cluster.redacted(text)
        text = _TOKEN.sub("[token]", text)
        return text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate is no Unicode

    return hide


def gather(clusters: Sequence[FakeCluster], relay: Relay, checks: Sequence[Check] = ()) -> Evidence:
    """The evidence of a case, while its peers are still up.

    Args:
        clusters: those that the case used.
        relay: the relay under test.
        checks: what the case looked at; the nodes that a failed one is about come first.
    """
    hide = hider(clusters)
    names = [node.name for command in relay.commands for node in command.nodes]
    first = _subjects(checks, dict.fromkeys(names)) or _exceptions(relay.outcomes)
    reported = [_reported(outcome, first) for outcome in relay.outcomes]
    if len(relay.commands) > len(reported):
        reported.append("nothing")
    return Evidence(
        # Secrets are hidden before a text is cut: half a secret would stay.
        commands=[_bounded(hide(_shown(command, hide))) for command in relay.commands],
        reported=[_bounded(hide(text)) for text in reported],
        wrote=end_of(relay.target.stderr, clusters),
        seen="\n".join(_seen(cluster.timelines(), first) for cluster in clusters),
        timelines=[it for cluster in clusters for it in cluster.connection_timelines()],
    )


def _subjects(checks: Iterable[Check], names: Iterable[str]) -> list[str]:
    """The names of nodes in the texts of failed checks, if these single some of the nodes out."""
    failed = [it for it in checks if it.verdict.has_failed]
    text = "\n".join(
        part
        for it in failed
        for part in (it.subject, it.expected, it.got, it.reason, it.blocked_by)
    )
    every = [name for name in names if name]
    named = [name for name in every if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]
    return named if 2 * len(named) <= len(every) else []


def _exceptions(outcomes: Iterable[Outcome]) -> list[str]:
    """The nodes whose records have another status than most of their deploy."""
    found = []
    for outcome in outcomes:
        statuses = [str(record.members.get("status")) for record in outcome.records]
        usual = [status for status, _ in Counter(statuses).most_common(1)]
        pairs = zip(outcome.records, statuses, strict=True)
        found += [str(record.node) for record, status in pairs if status not in usual]
    return found


def _reported(outcome: Outcome, first: Sequence[str]) -> str:
    """The text of an outcome, with the records of some nodes first."""
    if not outcome.records:
        return str(outcome)
    ordered = sorted(outcome.records, key=lambda record: record.node not in first)
    lines = [*map(str, ordered)]
    fitting = max(1, sum(length <= _LONGEST for length in accumulate(map(len, lines))))
    if left := len(lines) - fitting:
        lines[fitting:] = [f"… and {left} more record{'s' * (left > 1)}"]
    return "\n".join(lines if ordered == list(outcome.records) else [_FIRST, *lines])


def _seen(timelines: str, first: Sequence[str]) -> str:
    """The timelines of a cluster, with those of some nodes first."""
    blocks = re.split(r"\n(?=\S)", timelines)  # the lines of a block are indented
    return "\n".join(sorted(blocks, key=lambda block: block.partition(" ")[0] not in first))


def end_of(output: str, clusters: Sequence[FakeCluster]) -> str:
    """The end of what a relay wrote, without the credentials of these clusters' peers."""
    return hider(clusters)(output)[-_LONGEST:]


def _shown(command: DeployCommand, hide: Callable[[str], str]) -> str:
    """The message that an adapter reads, without members that are the same in every case."""
    left_out = set(_THE_SAME_IN_EVERY_CASE)
    if command.limits == Limits():
        left_out.add("limits")
    plain = messages.plain(command)
    # Where a text is cut, its beginning stays: the shortest member first, the longest last.
    first, last = {"limits": plain.pop("limits")}, {"nodes": plain.pop("nodes")}
    members = {k: v for k, v in {**first, **plain, **last}.items() if k not in left_out}
    return json.dumps(_shortened(members, hide), ensure_ascii=False, default=_native)


def _native(value: object) -> str:
    """A value of the relay's own language, which has no JSON form."""
    return f"a value of the type {type(value).__name__}"


def _shortened(value: Any, hide: Callable[[str], str]) -> Any:
    match value:
        case str() if len(value) > _LONGEST_VALUE:
            return f"{hide(value)[:_LONGEST_VALUE]}… ({len(value):,} characters)"
        case dict():
            return {name: _shortened(item, hide) for name, item in value.items()}
        case list():
            return [_shortened(item, hide) for item in value]
    return value


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"

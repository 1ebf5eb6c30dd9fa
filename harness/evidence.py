"""What is known of a failed case: what it asked, what came, what the relay told, what peers saw."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from harness.cluster import FakeCluster
    from harness.targets.relay import Relay
    from harness.witness import Lane

_HINT = "Use -v to get more diff"
_LONGEST = 4_000  # characters of what came, and of one outcome


class Evidence(TypedDict):
    """The evidence as JSON; the credentials of the fake peers are left out of it.

    where: file and line of the case that failed.
    expected: the statement there that did not hold, as it stands in the source.
    came: what there was instead.
    reported: what the relay told, an item for each deploy of the case that was begun.
    stderr: the end of what the target wrote to its standard error during the last of them.
    seen: the timeline of each peer.
    findings: ids of the rules that the uploads broke on the wire.
    lanes: each connection that the peers saw.
    trace: the traceback of what is neither an assertion of the case nor an error of the target.
    """

    where: str
    expected: str
    came: str
    reported: list[str]
    stderr: str
    seen: str
    findings: list[str]
    lanes: list[Lane]
    trace: str


def gather(
    item: pytest.Item,
    failure: pytest.ExceptionInfo[BaseException],
    trace: str,
    clusters: Sequence[FakeCluster],
    relay: Relay | None,
) -> Evidence:
    """The evidence of a case that has just failed, while its peers are still up.

    Args:
        item: the case.
        failure: what it raised.
        trace: pytest's traceback of it.
        clusters: those that the case used.
        relay: the relay under test, as the case spoke to it; None in a test that has none.

    """

    def hide(text: str) -> str:
        for cluster in clusters:
            text = cluster.redacted(text)
        return text

    where, expected = _failed_statement(item, failure)
    peers = [peer for cluster in clusters for peer in cluster.peers]
    return Evidence(
        where=where,
        expected=hide(expected),
        came=hide(_bounded(_message(failure))),
        reported=[hide(_bounded(told)) for told in _reported(relay)] if relay else [],
        stderr=hide(relay.target.stderr) if relay else "",
        seen="\n".join(cluster.timelines() for cluster in clusters),
        findings=sorted(
            {it.id for peer in peers for up in peer.live_uploads for it in up.findings}
        ),
        lanes=[lane for cluster in clusters for lane in cluster.lanes()],
        trace="" if _says_enough(failure) else hide(trace),
    )


def _reported(relay: Relay) -> list[str]:
    told = [str(outcome) for outcome in relay.outcomes]
    return [*told, "nothing"] if told and relay.asked > len(told) else told


def _failed_statement(
    item: pytest.Item, failure: pytest.ExceptionInfo[BaseException]
) -> tuple[str, str]:
    """Where a case failed, in its own file: helpers of the kit are not where a reader looks."""
    in_case = [entry for entry in failure.traceback if Path(entry.path) == item.path]
    if not in_case:
        return item.path.name, ""
    entry = in_case[-1]
    return f"{item.path.name}:{entry.lineno + 1}", textwrap.dedent(str(entry.statement)).strip()


def _says_enough(failure: pytest.ExceptionInfo[BaseException]) -> bool:
    return failure.errisinstance(AssertionError) or hasattr(failure.value, "verdict")


def _message(failure: pytest.ExceptionInfo[BaseException]) -> str:
    """What an exception says; of a plain assertion, both sides of it without the hints."""
    if not failure.errisinstance(AssertionError):
        return failure.exconly()
    lines = str(failure.value).removeprefix("assert ").splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip() not in {"", _HINT})


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"

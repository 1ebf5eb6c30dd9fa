"""Pure: what is known of each node so far, and the records of an interrupted deploy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.report import Record, Report


@dataclass
class Progress:
    """The records of a deploy and of its restarts so far, kept from their events."""

    nodes: Sequence[str]
    restarts: bool
    _deployed: dict[str, Record] = field(default_factory=dict)
    _restarted: dict[str, Record] = field(default_factory=dict)
    _uncertain: set[str] = field(default_factory=set)
    _retry_reasons: dict[str, str] = field(default_factory=dict)  # of nodes that wait for a retry

    def listen(self, event: Event) -> None:
        if event.node not in self.nodes:  # an origin names its nodes as it reaches them
            self.nodes = [*self.nodes, event.node]
        _track_uncertain(event, self._uncertain)
        match event.name, event.data:
            case "settled", {"record": record}:
                self._deployed[event.node] = record
            case "restarted", {"record": record}:
                self._restarted[event.node] = record
            case "retry", {"reason": reason}:
                self._retry_reasons[event.node] = reason
            case "mint", _:
                self._retry_reasons.pop(event.node, None)

    def interrupt(self) -> Iterator[Event]:
        """Give a failed record to every node without a record, and yield its event."""
        has_deployed = len(self._deployed) == len(self.nodes)
        yield from self._fail("settled", self.nodes, self._deployed)
        if self.restarts and has_deployed:
            took = [name for name in self.nodes if self._deployed[name]["status"] == "success"]
            yield from self._fail("restarted", took, self._restarted)

    @property
    def reports(self) -> list[Report]:
        """Of the deploy, and of the restarts if there are any, in the order of the nodes."""
        parts = [self._deployed] + ([self._restarted] if self._restarted else [])
        return [Report([part[name] for name in self.nodes if name in part]) for part in parts]

    def _fail(
        self, last_event: str, names: Sequence[str], records: dict[str, Record]
    ) -> Iterator[Event]:
        for name in names:
            if name not in records:
                reason = "interrupted"
                if name in self._retry_reasons:
                    reason += f" while waiting to retry: {self._retry_reasons[name]}"
                record: Record = {"node": name, "status": "failed", "reason": reason}
                records[name] = record | ({"uncertain": True} if name in self._uncertain else {})
                yield Event(name, last_event, {"record": records[name]})


def _track_uncertain(event: Event, uncertain: set[str]) -> None:
    """Keep the names of the nodes that may have done all the same, if no more is heard of them.

    The last part of a body is sent after the event that all of the payload is.
    """
    match event.name, event.data:
        case "sent", {"bytes": sent, "total": total} if sent == total:
            uncertain.add(event.node)
        case ("retry", {"uncertain": True}) | ("restarting", _):
            uncertain.add(event.node)
        case ("retry", {"uncertain": False}) | ("settled", _):  # the node refused, or has a record
            uncertain.discard(event.node)

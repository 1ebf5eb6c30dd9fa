"""How far a deploy has come, and so what is known of each node when it is interrupted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from relay.events import Event
from relay.report import Record, Report


@dataclass
class Course:
    """The records of the nodes of these names so far, of the deploy and of the restarts."""

    nodes: Sequence[str]
    restarts: bool
    _settled: dict[str, Record] = field(default_factory=dict)
    _restarted: dict[str, Record] = field(default_factory=dict)
    _uncertain: set[str] = field(default_factory=set)
    _waiting: dict[str, str] = field(default_factory=dict)  # for another attempt, and why

    def listen(self, event: Event) -> None:
        match event.name, event.data:
            case "settled", {"record": record}:
                self._settled[event.node] = record
                self._uncertain.discard(event.node)
            case "restarted", {"record": record}:
                self._restarted[event.node] = record
            case "retry", {"reason": reason, "uncertain": uncertain}:
                self._waiting[event.node] = reason
                if not uncertain:  # it had it all, and has refused it
                    self._uncertain.discard(event.node)
            case "mint", _:
                self._waiting.pop(event.node, None)
            case "restarting", _:
                self._uncertain.add(event.node)
            case "sent", {"bytes": sent, "total": total} if sent == total:
                self._uncertain.add(event.node)  # it may have deployed what it has had

    def interrupt(self) -> Iterator[Event]:
        """Settle every node that is not, and tell of it."""
        has_deployed = len(self._settled) == len(self.nodes)
        yield from self._settle("settled", self.nodes, self._settled)
        if self.restarts and has_deployed:
            yield from self._settle("restarted", self._took, self._restarted)

    @property
    def reports(self) -> list[Report]:
        """Of the deploy, and of the restarts if there are any, in the order of the nodes."""
        told = [self._settled] + ([self._restarted] if self._restarted else [])
        return [Report([records[it] for it in self.nodes if it in records]) for records in told]

    @property
    def _took(self) -> list[str]:
        return [name for name in self.nodes if self._settled[name]["status"] == "success"]

    def _settle(
        self, last: str, names: Sequence[str], records: dict[str, Record]
    ) -> Iterator[Event]:
        for name in names:
            if name not in records:
                reason = "interrupted"
                if name in self._waiting:
                    reason += f" while waiting to try again: {self._waiting[name]}"
                record: Record = {"node": name, "status": "failed", "reason": reason}
                records[name] = record | ({"uncertain": True} if name in self._uncertain else {})
                yield Event(name, last, {"record": records[name]})

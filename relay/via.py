"""A deploy by way of an origin: one upload, which the origin fans out to its nodes."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Unpack

from deploy_relay_kit.relay.answer import PROGRESS, readable
from deploy_relay_kit.relay.errors import AttemptError
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.fanout import ONCE, FanOut, Reach
from deploy_relay_kit.relay.node import AnyPath, Node
from deploy_relay_kit.relay.payload import measure
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Record, Report
from deploy_relay_kit.relay.request import forwarded_fields
from deploy_relay_kit.relay.restarts import end_of_rolling
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.upload import Upload, send

_FROM_ORIGIN = PROGRESS | {"peer", "replicate"}  # SSE-08, SSE-19
_UNKNOWN = "the origin did not say how it ended"


async def deploy_via(
    via: Node,
    request: Mapping[str, object],
    payload: AnyPath,
    *,
    retry: Retry = ONCE,
    ask_for_events: bool = True,
    **reach: Unpack[Reach],
) -> Report:
    """Stream a payload to one origin, which deploys it and sends it to the nodes that it knows.

    Events of these nodes reach `on_event` as those of a direct deploy do, with their names.

    Args:
        via: The origin.
        request: The deploy request. `replicated` is sent as true, and what only an origin acts on,
            such as `ignore_replication_errors`, counts.
        payload: Path of the payload, a gzipped tar file.
        retry: Which failures are tried again.
        ask_for_events: Without them, the records come at the end.
        **reach: As for `deploy`.

    Returns:
        A record of the origin, then one for each of its nodes, in the order of the origin. If only
        other nodes failed, the origin itself is a success, and its message says so (DEP-15).

    Raises:
        InputError: The input is invalid; nothing was sent.
    """
    heard = _Heard(via.name, reach.get("on_event"))
    fan = FanOut([via], **(reach | Reach(on_event=heard.listen)))
    fields = {**forwarded_fields(request), "replicated": True}
    try:
        staged = measure(Path(payload))
    except AttemptError as failure:
        return fan.fail(failure)
    upload = Upload(fields, staged, ask_for_events, progress=_FROM_ORIGIN)

    async def work(peer: Peer) -> Mapping[str, object]:
        heard.forget()
        try:
            members = await send(upload, peer)
        except AttemptError as failure:
            members = peer.secrets.hide(failure.members)
            heard.take(members.get("replicated"), uncertain=failure.uncertain)
            if not heard.blame(members.get("failed_peers")):
                raise
            return {"message": failure.reason, "deployment_id": members.get("deployment_id")}
        heard.take(peer.secrets.hide(members.get("replicated")))
        if (job := members.pop("restartJobId", None)) is not None:
            await end_of_rolling(job, peer, nodes=1 + len(heard.records))
        return {name: it for name, it in members.items() if name != "replicated"}

    report = await fan.run(work, retry)
    return Report([*report.records, *heard.records.values()])


class _Heard:
    """What an origin tells about other nodes, as events and records of these nodes."""

    def __init__(self, origin: str, on_event: Callable[[Event], None] | None) -> None:
        self._origin, self._on_event = origin, on_event
        self.records: dict[str, Record] = {}
        self._names: dict[str, bool] = {}  # whether the node may have deployed

    def forget(self) -> None:
        """Begin another attempt."""
        self.records.clear()

    def listen(self, event: Event) -> None:
        if event.name == "peer":
            self._settle(event.data)
        elif event.name == "replicate":
            self._pass_on(event.data)
        else:
            self._tell(event)

    def take(self, replicated: object, *, uncertain: bool = False) -> None:
        """The records of an answer; a node without one, which had events, gets a failed one."""
        told = self.records.copy()
        self.records.clear()
        for found in replicated if isinstance(replicated, list) else told.values():
            self._settle(found, told)
        for name in self._names.keys() - self.records.keys():
            missing: Record = {"node": name, "status": "failed", "reason": _UNKNOWN}
            missing |= {"uncertain": True} if uncertain or self._names[name] else {}
            self.records[name] = missing
            self._tell(Event(name, "settled", {"record": missing}))

    def blame(self, failed: object) -> bool:
        """Whether the answer names nodes that failed; each of them then has a failed record."""
        if not isinstance(failed, list) or not failed:
            return False
        for found in failed:
            record = record_of({"node": found} if isinstance(found, str) else found)
            if record is None or record["node"] == self._origin:
                continue
            known = self.records.get(record["node"])
            if known is None or known["status"] != "failed":
                self._settle({"reason": _UNKNOWN, **record, "status": "failed"})
        return any(record["status"] == "failed" for record in self.records.values())

    def _settle(self, found: object, told: Collection[str] = ()) -> None:
        """Keep a record; its node is new to the listener unless it was told of it before."""
        record = record_of(found)
        if record is not None and record["node"] != self._origin:
            self.records[record["node"]] = record
            if record["node"] not in told:
                self._tell(Event(record["node"], "settled", {"record": record}))

    def _pass_on(self, data: Mapping[str, Any]) -> None:
        match data:
            case {"node": str(node), "event": str(name), "data": dict(members)}:
                if node != self._origin and name not in {"settled", "restarted"}:
                    all_sent = name == "sent" and members.get("bytes") == members.get("total")
                    self._names[node] = self._names.get(node, False) or all_sent
                    self._tell(Event(node, name, members))

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)  # the caller of `listen` ignores its exceptions


def record_of(found: object) -> Record | None:
    """Pure: a record of an origin in the form of ours (DEP-17); None without the name of a node."""
    if not isinstance(found, Mapping):
        return None
    names = [found[it] for it in ("node", "name", "hostname") if isinstance(found.get(it), str)]
    if not names:
        return None
    status = found.get("status") or "success"
    reason = found.get("error") or found.get("reason")
    record: Record = {"node": names[0], "status": "success", **found}
    if found.get("error") or status == "failed":
        record |= {"status": "failed", "reason": readable(reason or _UNKNOWN)}
    elif status == "success":
        record["status"] = "success"
    else:  # a word that we do not know is no success
        said = f"the origin reports the status {readable(status)!r}"
        record |= {"status": "failed", "reason": readable(reason or said)}
    return record | {"node": names[0]}

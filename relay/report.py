"""Pure: the records of a deploy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy_relay_kit.relay.answer import GATEWAY
from deploy_relay_kit.relay.errors import AttemptError

Record = dict[str, Any]

_OURS = {"node", "status", "reason", "statusCode", "hint", "stage", "uncertain", "attempts"}
_MOVED = "redirects are not followed; give the URL of the redirect's target"
_HINTS = {
    **dict.fromkeys((301, 302, 303, 307, 308), _MOVED),  # HTTP-04
    **dict.fromkeys((502, 504), "a proxy got no answer of the node, or not in its own time limit"),
    404: "the URL may not be that of the operations API",
    413: "a proxy in front of the node limits the size of a body",
}


@dataclass(frozen=True)
class Report:
    """One record for each node, in the order of the nodes (AGG-01).

    A success is `{"node", "status": "success", …members of the peer's answer}`, a failure `{"node",
    "status": "failed", "reason", "statusCode"?, "hint"?, "stage", "uncertain"?}`; both have
    `attempts` if there were several. `statusCode` is the HTTP status of a refusal, or the code of
    an error event; `hint` names its usual cause. `uncertain: True` means that the node may have
    deployed anyway: it got the whole payload and did not answer, or reported a success too early.
    """

    records: list[Record]

    @property
    def succeeded(self) -> bool:
        """Whether every node succeeded; False without nodes (DEP-16)."""
        return bool(self.records) and not self.failed

    @property
    def failed(self) -> list[Record]:
        return [record for record in self.records if record["status"] != "success"]


def success_record(node: str, members: Mapping[str, object], attempts: int = 1) -> Record:
    """The peer's members never replace those of the relay (RES-01, RES-02)."""
    theirs = {name: value for name, value in members.items() if name not in _OURS}
    return {"node": node, "status": "success", **theirs, **_attempts(attempts)}


def failed_record(node: str, failures: Sequence[AttemptError]) -> Record:
    """The record of the latest failure; it is uncertain if any attempt was."""
    latest = failures[-1]
    record: Record = {"node": node, "status": "failed", "reason": latest.reason}
    if latest.status_code is not None:
        record["statusCode"] = latest.status_code
    if (hint := _hint(latest)) is not None:
        record["hint"] = hint
    record["stage"] = latest.stage
    if any(failure.uncertain for failure in failures):
        record["uncertain"] = True
    return record | _attempts(len(failures))


def _hint(failure: AttemptError) -> str | None:
    # The node took the deploy, so URL and version are right.
    is_of_deploy = failure.uncertain and failure.status_code not in GATEWAY
    if failure.hint is not None or failure.in_stream or is_of_deploy:
        return failure.hint
    return _HINTS.get(failure.status_code or 0)


def _attempts(count: int) -> Record:
    return {"attempts": count} if count > 1 else {}

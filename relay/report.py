"""Pure: the records of a deploy, built in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay.errors import AttemptError

Record = dict[str, Any]

_OURS = {"node", "status", "reason", "statusCode", "hint", "stage", "uncertain", "attempts"}
_MOVED = "redirects are not followed; give the URL to which it leads"
_HINTS = {
    **dict.fromkeys((301, 302, 303, 307, 308), _MOVED),  # HTTP-04
    404: "is this the URL of its operations API?",
    413: "a proxy before the node limits the size of a body",
    415: "it takes no streamed deploys, as Harper does from 5.1 on",  # VER-04, BUG-24
}


@dataclass(frozen=True)
class Report:
    """What came of it: one record per node, in the order of the nodes (AGG-01).

    A success is `{"node", "status": "success", …members of the peer's answer}`, a failure `{"node",
    "status": "failed", "reason", "statusCode"?, "hint"?, "stage", "uncertain"?}`; either has
    `attempts` when there were more than one. `statusCode` is that of the HTTP answer that refused,
    or the code in a stream's error, and `hint` what the relay makes of it. `uncertain: True` says
    that the peer may have deployed all the same: it has had a whole payload and did not answer, or
    claims a success too early.
    """

    records: list[Record]

    @property
    def succeeded(self) -> bool:
        """Whether every node succeeded; without nodes nothing did, so it is False (DEP-16)."""
        return bool(self.records) and not self.failed

    @property
    def failed(self) -> list[Record]:
        return [record for record in self.records if record["status"] != "success"]


def success_record(node: str, members: Mapping[str, object], attempts: int = 1) -> Record:
    """What is the relay's own to say stays so, whatever the peer says (RES-01, RES-02)."""
    theirs = {name: value for name, value in members.items() if name not in _OURS}
    return {"node": node, "status": "success", **theirs, **_attempts(attempts)}


def failed_record(node: str, failures: Sequence[AttemptError]) -> Record:
    """The latest failure counts; but what an earlier attempt left uncertain stays so."""
    latest = failures[-1]
    record: Record = {"node": node, "status": "failed", "reason": latest.reason}
    if latest.status_code is not None:
        record["statusCode"] = latest.status_code
    was_understood = latest.uncertain or latest.in_stream
    if latest.status_code in _HINTS and not was_understood:
        record["hint"] = _HINTS[latest.status_code]
    record["stage"] = latest.stage
    if any(failure.uncertain for failure in failures):
        record["uncertain"] = True
    return record | _attempts(len(failures))


def _attempts(count: int) -> Record:
    return {"attempts": count} if count > 1 else {}

"""Pure: the records of a deploy, built in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.errors import AttemptError

Record = dict[str, object]


@dataclass(frozen=True)
class Report:
    """What came of a deploy: one record per node, in the order of the nodes (AGG-01).

    A success is `{"node", "status": "success", …members of the peer's answer}`, a failure `{"node",
    "status": "failed", "reason", "statusCode"?, "stage", "uncertain"?}`. `statusCode` is that of
    the HTTP answer that refused; `uncertain: True` says that the peer has the whole payload and may
    have deployed it.
    """

    records: list[Record]

    @property
    def succeeded(self) -> bool:
        """Whether every node succeeded; without nodes nothing did, so it is False (DEP-16)."""
        return bool(self.records) and all(record["status"] == "success" for record in self.records)


def success_record(node: str, members: Mapping[str, object]) -> Record:
    """`node` and `status` come first and stay ours, whatever the peer says (RES-01, RES-02)."""
    ours: Record = {"node": node, "status": "success"}
    return ours | {name: value for name, value in members.items() if name not in ours}


def failed_record(node: str, failure: AttemptError) -> Record:
    record: Record = {"node": node, "status": "failed", "reason": failure.reason}
    if failure.status_code is not None:
        record["statusCode"] = failure.status_code
    record["stage"] = failure.stage
    if failure.uncertain:
        record["uncertain"] = True
    return record

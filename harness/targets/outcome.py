"""The outcome of one deploy, as the target reports it. Pure."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from deploy_relay_kit.harness.errors import Unseen

STATUSES = ("success", "failed")
"""What the status of a record can be (KIT-07)."""

DEADLINE = 30.0
"""Seconds after which a target that has not answered a deploy counts as hanging."""


class TargetBrokeError(Exception):
    """The target crashed, hung, broke the adapter protocol or reported an error of its own.

    It costs the case that was running, and no other.
    """


class TargetHungError(TargetBrokeError):
    """The target did not answer a deploy in time."""


class TargetSkippedError(Exception):
    """The target did not do a deploy although it declares what it takes, or never answers."""


class HangBudget:
    """Tolerates a few hangs of a target that never answered, and any number after an answer.

    So nobody waits half a minute for each of hundreds of cases.
    """

    def __init__(self, limit: int = 3) -> None:
        """`limit`: hangs of a target that has not answered yet."""
        self._limit = limit
        self._left: float = limit

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask for a deploy inside.

        Raises:
            TargetSkippedError: the budget is spent.
        """
        if not self._left:
            raise TargetSkippedError(
                f"not asked: none of the first {self._limit} deploys was answered in time"
            )
        try:
            yield
        except TargetHungError:
            self._left -= 1
            raise
        except Exception:
            self._left = math.inf
            raise
        self._left = math.inf


class Named(Protocol):
    """Anything with the name of a node."""

    @property
    def name(self) -> str: ...


class Failure(str):
    """The status of a failed record.

    Attributes:
        reason: the relay's own reason; empty without one.
    """

    __slots__ = ("reason",)
    reason: str

    def __new__(cls, status: str, reason: object) -> Self:
        made = super().__new__(cls, status)
        made.reason = reason if isinstance(reason, str) else ""
        return made


@dataclass(frozen=True, slots=True)
class Record:
    """One record that the target returned."""

    members: Mapping[str, Any]

    @property
    def node(self) -> Any:
        return self.members.get("node")

    @property
    def status(self) -> str:
        """Success or failed; Unseen when it is anything else, which breaks KIT-07 alone.

        A failure knows its reason, for the message of a check.
        """
        __tracebackhide__ = True
        status = self.members.get("status")
        if status not in STATUSES:
            text = json.dumps(status, ensure_ascii=False, default=str)
            raise Unseen(f"the status of the record of {self.node} is {text} (KIT-07)")
        return Failure(status, self.members.get("reason")) if status == "failed" else str(status)

    @property
    def reason(self) -> str:
        """The reason of a failed record; Unseen without one (KIT-07), or if not failed."""
        __tracebackhide__ = True
        if self.status != "failed":
            raise Unseen(f"the record of {self.node} has the status {self.status}, not failed")
        reason = self.members.get("reason")
        if not isinstance(reason, str) or not reason:
            raise Unseen(f"the reason in the record of {self.node} is {json.dumps(reason)}")
        return reason

    @property
    def status_code(self) -> Any:
        """`statusCode` of a failed record, None without; Unseen when the record is not failed."""
        __tracebackhide__ = True
        if self.status != "failed":
            raise Unseen(f"the record of {self.node} has the status {self.status}, not failed")
        return self.members.get("statusCode")

    def __contains__(self, member: str) -> bool:
        return member in self.members

    def __getitem__(self, member: str) -> Any:
        """A member; an AssertionError when the record has none of that name."""
        __tracebackhide__ = True
        if member not in self.members:
            names = ", ".join(self.members)
            raise AssertionError(f'expected a member "{member}" in the record, got {names}')
        return self.members[member]

    def __str__(self) -> str:
        return json.dumps(dict(self.members), ensure_ascii=False, default=str)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The records of one deploy, in the order in which the target returned them.

    Attributes:
        records: one for each node; none when the deploy was refused or cancelled.
        refused: why the relay did not begin: the command makes no sense to it.
        cancelled: whether the deploy was cancelled, as the command said.
    """

    records: tuple[Record, ...] = ()
    refused: str | None = None
    cancelled: bool = False

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> Outcome:
        """The outcome of a deploy that ran to its end."""
        return cls(tuple(Record(members) for members in records))

    def __getitem__(self, node: Named) -> Record:
        """The record of a node; Unseen when there is not exactly one."""
        __tracebackhide__ = True
        if self.refused is not None:
            raise Unseen(f"the relay refused the deploy: {self.refused}")
        found = [record for record in self.records if record.node == node.name]
        if len(found) != 1:
            named = [name if isinstance(name, str) else "no name" for name in self.nodes]
            names = ", ".join(named) or "none"
            raise Unseen(f"{len(found)} records name {node.name}, not one; the names: {names}")
        return found[0]

    def fails(self, node: Named) -> bool:
        """Whether the relay refused the deploy, or failed it for this node."""
        return self.refused is not None or self[node].status == "failed"

    def __str__(self) -> str:
        if self.refused is not None:
            return f"refused the deploy: {self.refused}"
        if self.cancelled:
            return "cancelled the deploy, as it was told to"
        return "\n".join(map(str, self.records)) or "no records"

    @property
    def nodes(self) -> list[Any]:
        return [record.node for record in self.records]

    @property
    def statuses(self) -> list[Any]:
        return [record.status for record in self.records]

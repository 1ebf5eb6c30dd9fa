"""What came of one deploy, as the target tells it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class TargetBrokeError(Exception):
    """The target crashed, hung, broke the adapter protocol or reported an error of its own.

    It costs the case that was running, and no other.
    """

    verdict = "failed"
    """Of the case, also when the target broke while the case was set up."""


class TargetHungError(TargetBrokeError):
    """The target has not answered a deploy in time."""


class TargetSkippedError(Exception):
    """The target would not do a deploy for which it declares every capability, or never answers."""

    verdict = "untestable"


class Named(Protocol):
    """Whatever has the name of a node."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Record:
    """One record that the target returned, with its common members at hand."""

    members: Mapping[str, Any]

    @property
    def status(self) -> Any:
        return self.members.get("status")

    @property
    def reason(self) -> str:
        """The reason; an empty text when the record gives none, an AssertionError if it is none."""
        __tracebackhide__ = True
        reason = self.members.get("reason", "")
        if not isinstance(reason, str):
            raise AssertionError(f"the reason is {json.dumps(reason)}, which is no text")  # noqa: TRY004
        return reason

    @property
    def status_code(self) -> Any:
        """`statusCode`; None when the record has none."""
        return self.members.get("statusCode")

    def __contains__(self, member: str) -> bool:
        return member in self.members

    def __getitem__(self, member: str) -> Any:
        """A member; an AssertionError when the record has none of that name."""
        __tracebackhide__ = True
        if member not in self.members:
            raise AssertionError(f"the record has no member {member!r}: {self}")
        return self.members[member]

    def __str__(self) -> str:
        return json.dumps(dict(self.members), ensure_ascii=False, default=repr)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The records of one deploy, in the order in which the target returned them.

    Attributes:
        records: one for each node; none when the deploy was refused or given up.
        refused: why the relay would not begin, when the command itself made no sense to it.
        cancelled: whether the deploy was given up, as the command had said.

    """

    records: tuple[Record, ...] = ()
    refused: str | None = None
    cancelled: bool = False

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> Outcome:
        """The outcome of a deploy that ran to its end."""
        return cls(tuple(Record(members) for members in records))

    def __getitem__(self, node: Named) -> Record:
        """The record of a node; an AssertionError when there is not exactly one."""
        __tracebackhide__ = True
        if self.refused is not None:
            raise AssertionError(f"the target refused the deploy: {self.refused}")
        found = [record for record in self.records if record.members.get("node") == node.name]
        if len(found) != 1:
            names = [record.members.get("node") for record in self.records]
            raise AssertionError(f"{len(found)} records of {node.name!r}, not one, among {names}")
        return found[0]

    def __str__(self) -> str:
        if self.refused is not None:
            return f"refused the deploy: {self.refused}"
        if self.cancelled:
            return "gave the deploy up, as it was told to"
        return "\n".join(map(str, self.records)) or "no records"

    @property
    def nodes(self) -> list[Any]:
        return [record.members.get("node") for record in self.records]

    @property
    def statuses(self) -> list[Any]:
        return [record.status for record in self.records]

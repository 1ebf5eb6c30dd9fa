"""Pure: what a deploy tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Event:
    """Something that happened on the way to one node.

    The names, with their data: `mint` (none; an attempt begins), `sent` (`bytes` of the payload
    handed to the connection, `total`), `settled` (`record`; the last event of a node, one for each,
    AGG-08).
    """

    node: str
    name: str
    data: Mapping[str, object] = field(default_factory=dict)

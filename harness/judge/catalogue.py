"""The requirements that a relay is judged by, read from `requirements.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Level = Literal["must", "should", "may"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that is asked of a relay.

    Attributes:
        id: as in the protocol description, or `KIT-…` when only this kit asks for it.
        level: how binding it is.
        sentence: what is asked, in one sentence.
        why: what goes wrong otherwise.
        source: where it comes from.
        capabilities: a target needs any one of these to be judged by it; none are needed if empty.

    """

    id: str
    level: Level
    sentence: str
    why: str
    source: str
    capabilities: tuple[str, ...] = ()


@cache
def _catalogue() -> dict[str, Any]:
    text = Path(__file__).with_name("requirements.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def requirements() -> dict[str, Requirement]:
    """Every requirement by id, in the order of the catalogue."""
    return {id_: _requirement(id_, entry) for id_, entry in _catalogue()["requirements"].items()}


@cache
def capabilities() -> dict[str, str]:
    """What a target may declare that it can do, by name, with a sentence each."""
    return dict(_catalogue()["capabilities"])


@cache
def sources() -> dict[str, str]:
    """What the words in a requirement's source mean."""
    return dict(_catalogue()["sources"])


@cache
def excluded() -> dict[str, str]:
    """Statements of the protocol that a relay's behaviour cannot show, with the reason, by id."""
    return {id_: entry["reason"] for entry in _catalogue()["excluded"] for id_ in entry["ids"]}


def _requirement(id_: str, entry: dict[str, Any]) -> Requirement:
    needed = entry.get("capability", ())
    return Requirement(
        id_,
        entry["level"],
        entry["sentence"],
        entry["why"],
        entry["source"],
        (needed,) if isinstance(needed, str) else tuple(needed),
    )

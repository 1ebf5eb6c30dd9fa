"""The requirements that a relay is judged by, read from `requirements.toml`."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import msgspec
from msgspec import Struct

Level = Literal["must", "should", "may"]
LEVELS: tuple[str, ...] = get_args(Level)
"""From the strictest on."""


class Requirement(Struct, frozen=True, forbid_unknown_fields=True):
    """One demand on a relay.

    Attributes:
        level: how binding it is.
        sentence: the demand, in one sentence.
        why: what goes wrong otherwise.
        source: where it comes from.
        capability: a target needs any one of these to be judged by it; empty: none.
        stricter: why it demands more than Harper's own relay does; empty when it does not.
    """

    level: Level
    sentence: str
    why: str
    source: str
    capability: str | tuple[str, ...] = ()
    stricter: str = ""

    @property
    def capabilities(self) -> tuple[str, ...]:
        return (self.capability,) if isinstance(self.capability, str) else self.capability


class Exclusion(Struct, frozen=True, forbid_unknown_fields=True):
    """Statements of the protocol that the behaviour of a relay cannot show.

    Attributes:
        ids: the statements.
        reason: why.
    """

    ids: tuple[str, ...]
    reason: str


class _Catalogue(Struct, frozen=True, forbid_unknown_fields=True):
    sources: dict[str, str]
    requirements: dict[str, Requirement]
    excluded: tuple[Exclusion, ...]


@cache
def _catalogue() -> _Catalogue:
    text = Path(__file__).with_name("requirements.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _Catalogue)


def requirements() -> dict[str, Requirement]:
    """Every requirement by its id, in the order of the catalogue."""
    return _catalogue().requirements


def sources() -> dict[str, str]:
    """What the words in a requirement's source mean."""
    return _catalogue().sources


@cache
def excluded() -> dict[str, str]:
    """The reason for each excluded statement, by its id."""
    return {id_: entry.reason for entry in _catalogue().excluded for id_ in entry.ids}

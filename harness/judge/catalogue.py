"""The requirements of relays and of origins: `requirements.toml` and `origins.toml`."""

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
    """One demand on a relay, or on an origin.

    Attributes:
        level: how binding it is.
        sentence: the demand, in one sentence.
        why: what goes wrong otherwise.
        source: where it comes from.
        capability: a target needs any one of these to be judged by it; empty: none.
        stricter: what the original relay of Harper does instead, where it fails; empty when it
            does not.
        stricter_in: the cases in which it fails, a function or one row of its table; empty: it
            does not meet the sentence at all.
    """

    level: Level
    sentence: str
    why: str
    source: str
    capability: str | tuple[str, ...] = ()
    stricter: str = ""
    stricter_in: tuple[str, ...] = ()

    @property
    def capabilities(self) -> tuple[str, ...]:
        return (self.capability,) if isinstance(self.capability, str) else self.capability

    def is_stricter_in(self, case: str) -> bool:
        """Whether the original fails, too, in a case of this name, with its parameters."""
        cases = self.stricter_in or (case,)
        return bool(self.stricter) and bool({case, case.partition("[")[0]} & set(cases))


class Exclusion(Struct, frozen=True, forbid_unknown_fields=True):
    """Statements of the protocol that the behaviour of a relay cannot show.

    Attributes:
        ids: the statements.
        reason: why.
    """

    ids: tuple[str, ...]
    reason: str


class _Catalogue(Struct, frozen=True, forbid_unknown_fields=True):
    requirements: dict[str, Requirement]
    sources: dict[str, str] = {}
    excluded: tuple[Exclusion, ...] = ()


@cache
def _catalogue(name: str) -> _Catalogue:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _Catalogue)


def requirements() -> dict[str, Requirement]:
    """Every requirement of a relay by its id, in the order of the catalogue."""
    return _catalogue("requirements.toml").requirements


def requirements_of_origins() -> dict[str, Requirement]:
    """What only an origin can meet, by its id; an origin must meet those of a relay, too."""
    return _catalogue("origins.toml").requirements


@cache
def every_requirement() -> dict[str, Requirement]:
    """The requirements of relays, then those of origins."""
    return requirements() | requirements_of_origins()


def asked_of(relay: str) -> dict[str, Requirement]:
    """The requirements of a target, as `--relay` names it."""
    return every_requirement() if is_origin(relay) else requirements()


def is_origin(relay: str) -> bool:
    """Whether `--relay` names an origin."""
    return relay.startswith("origin:")


def sources() -> dict[str, str]:
    """What the words in a requirement's source mean."""
    return _catalogue("requirements.toml").sources


@cache
def excluded() -> dict[str, str]:
    """The reason for each excluded statement, by its id."""
    return {
        id_: entry.reason for entry in _catalogue("requirements.toml").excluded for id_ in entry.ids
    }

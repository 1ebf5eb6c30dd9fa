"""The requirements that a relay is judged by, read from `requirements.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

Level = Literal["must", "should", "may"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement: its id, how binding it is, and its sentence."""

    id: str
    level: Level
    sentence: str


@cache
def requirements() -> dict[str, Requirement]:
    """Every requirement by id, in the order of the catalogue."""
    text = Path(__file__).with_name("requirements.toml").read_text(encoding="utf-8")
    return {
        id_: Requirement(id_, entry["level"], entry["sentence"])
        for id_, entry in tomllib.loads(text).items()
    }

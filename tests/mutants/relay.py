"""The reference relay with one known bug, as a relay that anybody can judge.

    python -m tests.mutants.relay                     # the names of all bugs, with what each breaks
    relay-harness run --relay "cmd:python -m tests.mutants.relay nulls_are_left_out"

Two files may have a mutant of one name: then give the file, too, as in `of_wire.NAME`. The names of
odd but correct relays are listed, too, as `correct`. With several names, it does all that they say.
"""

from __future__ import annotations

import difflib
import sys

import pytest

from deploy_relay_kit.harness.targets.reference import ReferenceTarget
from deploy_relay_kit.harness.targets.reference_adapter import serve
from tests.mutants.catalogue import BY_PLACE
from tests.mutants.mutant import Mutant, Patch
from tests.mutants.odd_groups import ODD_BY_NAME


def mutants_named(name: str) -> list[Mutant]:
    """The mutants with this name, or at this place."""
    return [mutant for place, mutant in BY_PLACE.items() if name in (place, mutant.name)]


def main(names: list[str]) -> int:
    """Serve as the adapter of the relay with these names; without a name, list all.

    Returns:
        the exit code: 2 if a name means no relay, or several.
    """
    if not names:
        for place, mutant in sorted(BY_PLACE.items()):
            sys.stdout.write(f"{place:70} {' '.join(mutant.requirements)}\n")
        for name in sorted(ODD_BY_NAME):
            sys.stdout.write(f"{name:70} correct\n")
        return 0
    patches: list[Patch] = []
    for name in names:
        found = mutants_named(name)
        named = [mutant.apply for mutant in found]
        named += [ODD_BY_NAME[name].apply] if name in ODD_BY_NAME else []
        if len(named) != 1:
            known = [*(it.name for it in BY_PLACE.values()), *ODD_BY_NAME]
            near = difflib.get_close_matches(name, known)
            near = [place for place, it in BY_PLACE.items() if it in found] or near
            sys.stderr.write(f"{name}: not one mutant; did you mean one of {near}?\n")
            return 2
        patches += named
    with pytest.MonkeyPatch.context() as patch:
        for apply in patches:
            apply(patch)
        return serve(ReferenceTarget(), sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

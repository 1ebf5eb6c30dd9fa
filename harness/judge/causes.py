"""What several failures share: one cause for many checks. Pure."""

import re
from collections import Counter
from collections.abc import Hashable

from msgspec import Struct

from deploy_relay_kit.harness.judge.catalogue import LEVELS, asked_of, every_requirement
from deploy_relay_kit.harness.judge.model import Case, Check, Result, Verdict, is_stricter

STRICTER = ", stricter than upstream"
"""Behind the verdict of a check that the original relay of Harper fails, too."""


_VARIES = re.compile(r"0x[0-9a-f]+|\d[\d,.]*|node-\w+|'[^']*'|\"[^\"]*\"|/[\w./-]+")
_KIND = 20  # characters in which the texts of two causes differ
_ORDER = (
    Verdict.FAILED,
    Verdict.HARNESS_ERROR,
    Verdict.UNTESTABLE,
    Verdict.KNOWN_FAILURE,
    Verdict.KNOWN_FLAKY,
)


class Cause(Struct):
    """Red checks that share a cause.

    Attributes:
        looks: the checks, each with its case; those of the simplest cases first.
    """

    looks: list[tuple[Case, Check]]

    @property
    def case(self) -> Case:
        """The example: the simplest case."""
        return self.looks[0][0]

    @property
    def check(self) -> Check:
        """The example: the first check of the simplest case."""
        return self.looks[0][1]

    @property
    def others(self) -> list[Check]:
        """The checks that differ from this example, one of each kind."""
        found: dict[Hashable, Check] = {}
        for _, check in self.looks:
            seen = check.requirement, _VARIES.sub("…", check.subject)
            found.setdefault(seen if check.expected else (*seen, check.got[:_KIND]), check)
        return [check for check in found.values() if check is not self.check]

    @property
    def requirements(self) -> list[str]:
        """The requirements that fail because of it, in the order of the catalogue."""
        ids = {check.requirement for _, check in self.looks}
        return [id_ for id_ in every_requirement() if id_ in ids]

    @property
    def level(self) -> str:
        """The strictest level among these requirements; those of `stricter` count if all are."""
        counted = set(self.requirements) - set(self.stricter) or self.requirements
        levels = {every_requirement()[id_].level for id_ in counted}
        return next(level for level in LEVELS if level in levels)

    @property
    def stricter(self) -> list[str]:
        """The requirements that it costs only where the original relay of Harper fails, too."""
        counted = {check.requirement for case, check in self.looks if not is_stricter(case, check)}
        return [id_ for id_ in self.requirements if id_ not in counted]

    @property
    def is_stricter(self) -> bool:
        """Whether the original relay of Harper fails wherever this was seen, too."""
        return self.stricter == self.requirements

    @property
    def title(self) -> str:
        """Its verdict; says so if the original relay fails, too."""
        return f"{self.check.verdict}{STRICTER if self.is_stricter else ''}"

    @property
    def ids(self) -> str:
        """The requirements that it costs, with those that ask more than the original apart."""
        words = " ".join(self.requirements)
        apart = bool(self.stricter) and not self.is_stricter
        return f"{words} (stricter than upstream: {' '.join(self.stricter)})" if apart else words

    @property
    def cases(self) -> list[Case]:
        return list({case.id: case for case, _ in self.looks}.values())

    @property
    def weight(self) -> tuple[int, int, bool, int, int]:
        """Sorts what matters most first: failures before blocked checks, musts before shoulds.

        What only this kit demands comes last in its level.
        """
        return (
            _ORDER.index(self.check.verdict),
            LEVELS.index(self.level),
            self.is_stricter,
            -len(self.requirements),
            -len(self.cases),
        )


def causes(result: Result, *, known: bool = False) -> list[Cause]:
    """The causes of everything red in a run, what matters most first; `known` adds the baseline."""
    found: dict[Hashable, Cause] = {}
    for case, check in result.looks():
        if check.verdict.is_red or (known and check.verdict.has_failed):
            found.setdefault(_key(check), Cause([])).looks.append((case, check))
    _join(found)
    for cause in found.values():
        cause.looks.sort(key=lambda look: (not look[1].hint, _deploys(look[0])))
    return sorted(found.values(), key=lambda cause: cause.weight)


def _join(found: dict[Hashable, Cause]) -> None:
    """Add checks that share only their requirement to the one cause that they belong to.

    That is the one known mistake of the requirement, or the one cause that all their cases show.
    """
    for id_ in every_requirement():
        mistakes = [key for key in found if isinstance(key, tuple) and key[0] == id_]
        if len(mistakes) == 1:
            of_it = [it for it in found if it == id_ or _is_reason_for(it, found[it], id_)]
            for key in of_it:
                found[mistakes[0]].looks += found.pop(key).looks
    for id_ in every_requirement():
        cases = {case.id for case, _ in found[id_].looks} if id_ in found else set[str]()
        beside = [it for key, it in found.items() if key != id_ and it.requirements == [id_]]
        around = [it for it in beside if cases and cases <= {case.id for case, _ in it.looks}]
        if len(around) == 1:
            around[0].looks += found.pop(id_).looks


def _deploys(case: Case) -> int:
    """How much there is to read in a case."""
    return len(case.evidence.commands) if case.evidence else 0


def _is_reason_for(key: Hashable, cause: Cause, id_: str) -> bool:
    """Whether a reason of the relay is all that these checks share, beside their requirement."""
    return isinstance(key, tuple) and key[0] == "reason" and cause.requirements == [id_]


def _key(check: Check) -> Hashable:
    """What checks of one cause have in common."""
    if check.known:
        return "known", check.known
    if check.rule:
        return "rule", check.rule
    if check.blocked_by:
        return "blocked", _VARIES.sub("…", check.blocked_by)
    if check.hint:
        return check.requirement, check.hint
    if check.reason:
        return "reason", _VARIES.sub("…", check.reason)
    return check.requirement


def summary(result: Result) -> str:
    """One line: how much was judged, what failed, why the rest was not judged, the exit code."""
    verdicts = result.verdicts
    tally = Counter(verdicts.values())
    unjudged = tally[Verdict.NOT_APPLICABLE] + tally[Verdict.UNTESTABLE]
    words = [f"judged {len(verdicts) - unjudged} of {len(asked_of(result.relay))} requirements"]
    words.append(f"{tally[Verdict.PASSED]} passed")
    words += failures(result)
    for verdict in (Verdict.KNOWN_FAILURE, Verdict.KNOWN_FLAKY, Verdict.HARNESS_ERROR):
        if tally[verdict]:
            words.append(count(tally[verdict], verdict.value))
    if found := causes(result):
        words.append(count(len(found), "cause"))
    if tally[Verdict.UNTESTABLE]:
        words.append(f"{tally[Verdict.UNTESTABLE]} untestable ({_why_untestable(result)})")
    if tally[Verdict.NOT_APPLICABLE]:
        why = "needs a capability that is not declared"
        words.append(f"{tally[Verdict.NOT_APPLICABLE]} not applicable ({why})")
    if result.stale:
        words.append(f"{len(result.stale)} stale in the baseline")
    text = ", ".join(words)
    ran = f"{text} ({count(len(result.cases), 'case')}, {result.seconds:.0f} s)"
    why = why_red(result)
    return f"{ran}; exit code 1: {why}" if why else ran


def _why_untestable(result: Result) -> str:
    """Nothing showed these requirements broken; some of them may hold wherever they were seen."""
    looks = result.by_requirement
    ids = [id_ for id_, verdict in result.verdicts.items() if verdict is Verdict.UNTESTABLE]
    held = sum(any(it.verdict is Verdict.PASSED for _, it in looks[id_]) for id_ in ids)
    elsewhere = f"; {held} of them held in other cases" if held else ""
    return f"what a case looks at did not happen{elsewhere}"


def failures(result: Result) -> list[str]:
    """How many requirements failed, in words, from the strictest level on."""
    tally = failed(result)
    words = [f"{count(tally[level], level)} failed" for level in LEVELS if tally[level]]
    if tally["stricter"]:
        words.append(f"{tally['stricter']} failed that are stricter than upstream")
    return words


def failed(result: Result) -> dict[str, int]:
    """How many requirements failed at each level; those of `stricter` count there alone."""
    stricter = result.stricter
    levels = Counter[str](
        every_requirement()[id_].level
        for id_, verdict in result.verdicts.items()
        if verdict is Verdict.FAILED and id_ not in stricter
    )
    return {**{level: levels[level] for level in LEVELS}, "stricter": len(stricter)}


def why_red(result: Result) -> str:
    """Why a run without a failed requirement fails nevertheless; empty when it does not."""
    tally = Counter(result.verdicts.values())
    if result.passed or tally[Verdict.FAILED]:
        return ""
    if result.prerequisite:
        return "the relay does not deploy to a healthy node"
    if result.broken:
        return "the cases could not run"
    if not result.ran:
        return "nothing was judged"
    reasons = [f"{tally[it]} {it.value}" for it in Verdict if it.is_red and tally[it]]
    if result.stale:
        reasons.append(f"{len(result.stale)} stale in the baseline")
    return ", ".join(reasons)


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless there is one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"

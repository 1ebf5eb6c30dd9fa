"""What a run says: verdicts, the checks of each case, the result. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct, field

from deploy_relay_kit.harness.judge.catalogue import every_requirement
from deploy_relay_kit.harness.witness.timeline import ConnectionTimeline


class Verdict(StrEnum):
    """What is said of a check, a case or a requirement, in ascending weight."""

    NOT_APPLICABLE = "not applicable"
    """The target does not declare a capability that it takes."""
    PASSED = "passed"
    """A peer witnessed what the sentence demands."""
    KNOWN_FLAKY = "known flaky"
    """It failed, and the baseline says that it may."""
    KNOWN_FAILURE = "known failure"
    """It failed, and the baseline says that it does."""
    UNTESTABLE = "untestable"
    """What it is about did not happen."""
    FAILED = "failed"
    """A peer witnessed, or the relay reported, what the sentence forbids."""
    HARNESS_ERROR = "harness error"
    """The fault of this kit."""

    @property
    def weight(self) -> int:
        return _WEIGHTS[self]

    @property
    def is_red(self) -> bool:
        """Whether it makes the run fail."""
        return self.weight >= Verdict.UNTESTABLE.weight

    @property
    def has_failed(self) -> bool:
        """Whether the demand was not met, known or not."""
        return self.weight > Verdict.PASSED.weight


_WEIGHTS = {verdict: weight for weight, verdict in enumerate(Verdict)}


class Check(Struct, omit_defaults=True):
    """One look of a case at one requirement.

    Attributes:
        requirement: its id.
        verdict: of this look.
        subject: what was looked at, such as `the path of the request`.
        expected: what a conforming relay shows there.
        got: what was seen instead.
        where: file and line of the case.
        rule: the broken rule of the wire format, as `Rule` names it.
        reason: the relay's own reason, where it reported a failure instead of a success.
        blocked_by: for an untestable or not applicable check, what stood in the way.
        hint: a likely mistake and its remedy.
        known: the reason in the baseline.
    """

    requirement: str
    verdict: Verdict
    subject: str = ""
    expected: str = ""
    got: str = ""
    where: str = ""
    rule: str = ""
    reason: str = ""
    blocked_by: str = ""
    hint: str = ""
    known: str = ""


class Evidence(Struct, omit_defaults=True):
    """What is known of a case that did not pass, without the fake peers' credentials.

    Attributes:
        commands: the deploy commands that the relay got, an item for each deploy.
        reported: what the relay reported, an item for each deploy.
        wrote: the end of what the target wrote during the last deploy: a command to its standard
            error, a function to standard output, standard error and the log.
        seen: the timeline of each peer, as text.
        timelines: each connection that the peers saw.
        trace: the traceback of a harness error.
    """

    commands: list[str] = []
    reported: list[str] = []
    wrote: str = ""
    seen: str = ""
    timelines: list[ConnectionTimeline] = []
    trace: str = ""


class Case(Struct, omit_defaults=True):
    """One case that ran, or was to run.

    Attributes:
        id: pytest's node id.
        title: its docstring, the demand in plain words.
        checks: its looks, in order.
        seconds: how long it took, with set-up and tear-down.
        evidence: of a case that did not pass.
        error: what went wrong in this kit, or why the case did not run.
    """

    id: str
    title: str = ""
    checks: list[Check] = []
    seconds: float = 0.0
    evidence: Evidence | None = None
    error: str = ""

    @property
    def file(self) -> str:
        """The name of its file, with the folder of the cases of origins."""
        folder, _, file = self.id.partition("::")[0].rpartition("/")
        return f"origins/{file}" if folder.rpartition("/")[2] == "origins" else file

    @property
    def name(self) -> str:
        """The name of its function, with its parameters."""
        return self.id.partition("::")[2]

    @property
    def function(self) -> str:
        """The name of its function."""
        return self.name.partition("[")[0]

    @property
    def place(self) -> str:
        """File and name, as `--case` takes them."""
        return f"{self.file}::{self.name}"

    @property
    def verdict(self) -> Verdict:
        """The verdict of its heaviest check; a case without any is not applicable."""
        verdicts = [check.verdict for check in self.checks]
        return max(verdicts, key=lambda it: it.weight, default=Verdict.NOT_APPLICABLE)


def is_stricter(case: Case, check: Check) -> bool:
    """Whether the original relay of Harper fails this check of a case, too."""
    failed = check.verdict is Verdict.FAILED
    return failed and every_requirement()[check.requirement].is_stricter_in(case.name)


class Result(Struct, omit_defaults=True):
    """The result of one run.

    Attributes:
        relay: the target, as `--relay` names it.
        kit: version of the kit.
        started: when the run began, UTC, ISO 8601.
        seconds: how long it took.
        format: version of this document's shape.
        identity: name and version of the relay, as the target gives them.
        selection: what was selected, as options; empty when every case ran.
        prerequisite: why no case could be judged; empty when cases were judged.
        cases: in the order of their ids.
        broken: what kept cases from running: collection and internal errors.
        stale: what in the baseline no longer holds.
    """

    relay: str
    kit: str
    started: str
    seconds: float
    format: int = field(default_factory=lambda: FORMAT)
    identity: str = ""
    selection: str = ""
    prerequisite: str = ""
    cases: list[Case] = []
    broken: list[str] = []
    stale: list[str] = []

    @property
    def passed(self) -> bool:
        """Whether a requirement was judged, nothing broke, nothing is stale, and none is red."""
        return self.ran and not any([self.broken, self.stale, self.prerequisite, *self.red])

    @property
    def ran(self) -> bool:
        """Whether any case applied to the relay."""
        return any(case.verdict is not Verdict.NOT_APPLICABLE for case in self.cases)

    @property
    def red(self) -> list[Case]:
        """The cases that failed unexpectedly."""
        return [case for case in self.cases if case.verdict.is_red]

    def looks(self) -> Iterator[tuple[Case, Check]]:
        """Every check, with its case."""
        for case in self.cases:
            for check in case.checks:
                yield case, check

    @property
    def by_requirement(self) -> dict[str, list[tuple[Case, Check]]]:
        """The checks of each requirement that has any, in the order of the catalogue."""
        looks = defaultdict(list)
        for case, check in self.looks():
            looks[check.requirement].append((case, check))
        return {id_: looks[id_] for id_ in every_requirement() if id_ in looks}

    @property
    def stricter(self) -> set[str]:
        """The requirements that failed only where the original relay of Harper fails, too."""
        failed = defaultdict(list)
        for case, check in self.looks():
            if check.verdict is Verdict.FAILED:
                failed[check.requirement].append(is_stricter(case, check))
        return {id_ for id_, stricter in failed.items() if all(stricter)}

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of each requirement: the heaviest of its checks."""
        return {
            id_: max((check.verdict for _, check in looks), key=lambda it: it.weight)
            for id_, looks in self.by_requirement.items()
        }


FORMAT = 2
"""Version of the result's shape; raised when a reader of the old one would go wrong."""

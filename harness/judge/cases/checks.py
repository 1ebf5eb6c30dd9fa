"""The looks of one case: `with check("URL-08"): assert peer.upload.path == "/ops/"`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.judge.cases.wording import Comparison
from deploy_relay_kit.harness.judge.catalogue import every_requirement
from deploy_relay_kit.harness.judge.model import Check, Verdict
from deploy_relay_kit.harness.targets.outcome import Failure, TargetBrokeError
from deploy_relay_kit.harness.witness.requests import UploadWitness
from deploy_relay_kit.harness.witness.wire.finding import Rule

CUT = {Rule.BODY_LENGTH, Rule.CHUNK_CUT, Rule.LAST_CHUNK, Rule.LAST_CHUNK_END}
"""What is missing at the end of an upload that the client has cut, as it may after a refusal."""

last_comparison: list[Comparison] = []
"""The comparison that pytest explained last; a hook of the judge's plugin fills it."""


class CaseOver(Exception):  # noqa: N818 - it ends a case that has nothing left to look at
    """The relay did not answer inside a check: the rest of the case has nothing to look at."""


class Checks:
    """Collects the looks of one case.

    Called with an id, it is a context in which plain assertions state what the requirement
    demands. A failed one is charged to that requirement alone, and the case goes on. What a peer
    did not see (`Unseen`) makes the check untestable. Compare as `actual == expected`; give any
    other assertion a message that says what was expected and what was seen.

    Attributes:
        checks: the looks so far.
    """

    def __init__(self, path: Path | None = None) -> None:
        """`path`: the file of the case, for the line of a failure."""
        self.checks: list[Check] = []
        self._path = path

    @contextlib.contextmanager
    def __call__(self, requirement: str, subject: str = "") -> Iterator[None]:
        """Look at one requirement.

        Args:
            requirement: its id.
            subject: what is looked at, such as `the path of the request`.
        """
        assert requirement in every_requirement(), f"{requirement} is not in the catalogue"
        last_comparison.clear()
        verdict, expected, got, blocked_by, where = Verdict.PASSED, "", "", "", ""
        broke: TargetBrokeError | None = None
        try:
            yield
        except Unseen as missing:
            verdict, blocked_by = Verdict.UNTESTABLE, str(missing)
        except (AssertionError, TimeoutError, TargetBrokeError) as error:
            verdict, where = Verdict.FAILED, self._where(error.__traceback__)
            expected, got = _sides(error) if isinstance(error, AssertionError) else ("", str(error))
            broke = error if isinstance(error, TargetBrokeError) else None
        check = Check(requirement, verdict, subject, expected, got, where, blocked_by=blocked_by)
        if verdict is Verdict.FAILED and last_comparison:
            check.reason = _reason_of(last_comparison[-1])
        self.checks.append(check)
        if broke:
            raise CaseOver(str(broke).partition("\n")[0]) from broke

    def wire(self, *uploads: UploadWitness) -> None:
        """Look at every rule of the wire format; a broken rule charges its own requirement.

        Raises:
            Unseen: an upload is not whole, and the rules that it broke do not say why.
        """
        for upload in uploads:
            broken = {finding.rule.id for finding in upload.findings}
            if upload.complete:
                passed = sorted({rule.id for rule in Rule} - broken)
                self.checks += [Check(id_, Verdict.PASSED, "the upload") for id_ in passed]
                continue
            cut = [it for it in upload.findings if it.rule in CUT and upload.answer_status is None]
            self.checks += [
                Check(it.id, Verdict.FAILED, "the upload", it.expected, it.got, rule=it.rule.name)
                for it in cut
            ]
            self.need(cut, "the upload is not whole, so its other rules cannot be judged")

    def need(self, held: object, otherwise: str) -> None:
        """Raise Unseen with a text unless something held that the next checks take."""
        if not held:
            raise Unseen(otherwise)

    def _where(self, trace: TracebackType | None) -> str:
        """File and line in the case's own file."""
        where = ""
        while trace is not None:
            if self._path and Path(trace.tb_frame.f_code.co_filename) == self._path:
                where = f"{self._path.name}:{trace.tb_lineno}"
            trace = trace.tb_next
        return where


def _reason_of(comparison: Comparison) -> str:
    """The relay's own reason for a failure where a success was expected; empty otherwise."""
    is_unexpected = isinstance(comparison.left, Failure) and comparison.right == "success"
    return comparison.left.reason if is_unexpected else ""


def _sides(error: AssertionError) -> tuple[str, str]:
    """What was expected and what was seen; an assertion's own message says both."""
    text = str(error).partition("\nassert ")[0]
    if last_comparison and text.startswith("assert "):
        comparison = last_comparison[-1]
        return comparison.expected, comparison.got
    return "", text.removeprefix("assert ")

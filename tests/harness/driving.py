"""What several tests of the judge build."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme  # noqa: F401  pytester forgets what a run imports, and cryptography bears one import

from deploy_relay_kit.harness.judge.collector import Collector
from deploy_relay_kit.harness.judge.model import Case, Check, Evidence, Result, Verdict


def case(name: str = "test_one", *checks: Check, evidence: Evidence | None = None) -> Case:
    return Case(f"t/test_x.py::{name}", checks=list(checks), evidence=evidence)


def failed(requirement: str = "WIRE-03", **members: str) -> Check:
    return Check(requirement, Verdict.FAILED, **members)


def result_of(*cases: Case, **members: str) -> Result:
    return Result("reference", "0", "2027-01-01", 1.0, cases=list(cases), **members)  # type: ignore[arg-type]


def judged_in_here(cases: Path, *options: str) -> Collector:
    """What another pytest in this very process says of cases."""
    collector = Collector()
    quiet = [f"-pno:{plugin}" for plugin in ("terminal", "cacheprovider", "unraisableexception")]
    pytest.main(
        [str(cases), *quiet, "-pharness.judge.cases.plugin", "--import-mode=importlib", *options],
        plugins=[collector],
    )
    return collector

"""The pytest plugin of the conformance cases: which relay they judge, and what they check.

Loaded by whoever runs them (`-p harness.judge.plugin`), and in nobody else's tests.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest

from harness.judge.interrupts import interrupt
from harness.judge.leaks import TaintError
from harness.targets import RELAY_VARIABLE
from harness.targets.outcome import TargetBrokeError, TargetSkippedError


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("deploy relay kit")
    group.addoption(
        "--relay",
        metavar="TARGET",
        default=os.environ.get(RELAY_VARIABLE) or "reference",
        help=f"the relay that the cases judge (default: ${RELAY_VARIABLE}, or reference)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # a worker of xdist: nobody there handles it
        signal.signal(signal.SIGTERM, interrupt)
    config.addinivalue_line(
        "markers", "requirement(*ids): the requirements of the catalogue that a case checks"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # User properties travel with the reports, also from the workers of pytest-xdist.
    for item in items:
        for marker in item.iter_markers("requirement"):
            item.user_properties += [("requirement", id_) for id_ in marker.args]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """An error of a target says what it makes of the case, whenever it happens."""
    report = yield
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, (TargetBrokeError, TargetSkippedError)):
        report.user_properties.append(("verdict", error.verdict))
    elif isinstance(error, TaintError):
        report.user_properties.append(("leaked", str(error)))
    return report

"""The pytest plugin of the kit: the option `--relay`, the marker `requirement`.

It is loaded in every pytest run where the kit is installed, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("deploy relay kit")
    group.addoption(
        "--relay",
        metavar="TARGET",
        default="reference",
        help="the relay to judge by the conformance cases (default: reference)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "requirement(*ids): the requirements of the catalogue that a case checks"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # User properties travel with the reports, also from the workers of pytest-xdist.
    for item in items:
        for marker in item.iter_markers("requirement"):
            item.user_properties += [("requirement", id_) for id_ in marker.args]

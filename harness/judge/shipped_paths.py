"""Where the conformance cases and fixtures lie: inside an installed wheel, or in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]  # in a checkout, past a link
_SHIPPED = _PACKAGE / "shipped"


def conformance_cases() -> Path:
    """The directory of the conformance cases."""
    return _SHIPPED / "conformance" if _SHIPPED.is_dir() else _PACKAGE.parent / "tests/conformance"


def origin_cases() -> Path:
    """The directory of the cases that judge origins alone, inside that of all cases."""
    return conformance_cases() / "origins"


def sample_component() -> Path:
    """The directory of the sample component."""
    return _SHIPPED / "component" if _SHIPPED.is_dir() else _PACKAGE.parent / "fixtures/component"

"""The causes of failures as annotations of a pull request. Pure."""

import hashlib
import json
from collections.abc import Iterator
from typing import Literal

from deploy_relay_kit.harness.judge.causes import Cause, causes
from deploy_relay_kit.harness.judge.model import Check, Result
from deploy_relay_kit.harness.witness.printable import printable

Format = Literal["github", "gitlab"]


def render(result: Result, format_: Format) -> Iterator[str]:
    """The lines for the log of GitHub Actions, or the Code Quality report of GitLab."""
    found = causes(result)
    if format_ == "github":
        yield from map(_command, found)
    else:
        yield json.dumps(list(map(_issue, found)), indent=2)


def _command(cause: Cause) -> str:
    """A workflow command of GitHub Actions: one line, whatever a relay has said."""
    level = "error" if cause.level == "must" else "warning"
    title = _encoded(_title(cause)).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={title}::{_encoded(_text(cause))}"


def _encoded(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _issue(cause: Cause) -> dict[str, object]:
    """An issue of GitLab's Code Quality report; it has no file, so it names the case."""
    kind = f"{cause.ids} {cause.case.id} {cause.check.subject}"
    return {
        "description": f"{_title(cause)}: {_text(cause)}",
        "check_name": cause.ids,
        "fingerprint": hashlib.sha256(kind.encode("utf-8", "replace")).hexdigest(),
        "severity": "major" if cause.level == "must" else "minor",
        "location": {"path": printable(cause.case.file), "lines": {"begin": 1}},
    }


def _title(cause: Cause) -> str:
    return printable(f"{cause.title}: {cause.ids} ({cause.level})")


def _text(cause: Cause) -> str:
    lines = [_said(cause.check)]
    if cause.check.hint:
        lines.append(f"hint: {cause.check.hint}")
    lines.append(f"case: {cause.case.id}")
    return printable("\n".join(lines))


def _said(check: Check) -> str:
    if check.blocked_by:
        return f"blocked: {check.blocked_by}"
    sides = f"expected {check.expected}, got {check.got}" if check.expected else check.got
    return f"{check.subject}: {sides}" if check.subject else sides

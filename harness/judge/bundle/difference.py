"""How two runs of one case differ, without what differs in each run. Pure."""

import difflib
import re
from collections.abc import Iterator
from itertools import islice

from deploy_relay_kit.harness.judge.bundle.document import Bundle, BundledRequest
from deploy_relay_kit.harness.judge.model import Check

_LINES = 200  # of the difference, after which the rest is counted
_LONGEST = 200  # characters of a line
_MOST = 20_000  # lines of a bundle that are compared
_READ = 4_000  # characters of a line that are read
_TIME = re.compile(r"^ +[\d.]+ ms  ")
_PORT = re.compile(r"(127\.\d+\.\d+\.\d+|\[::1\]|localhost):\d+")
_SECONDS = re.compile(r"\b\d+\.\d+ s\b")
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w.-]+")
_BASIC = re.compile(r"(?i)(authorization: basic )\S+")
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_BOUNDARY = re.compile(rb'boundary="?([^";\r\n]+)')


def difference(then: Bundle, now: Bundle) -> list[str]:
    """The lines that differ between two bundles of one case; empty when none does.

    Times, ports, tokens, passwords and boundaries are left out: they differ in each run.
    """
    before, after = list(_lines(then)), list(_lines(now))
    found = list(difflib.unified_diff(before, after, "then", "now", n=2, lineterm=""))
    if len(found) > _LINES:
        return [*found[:_LINES], f"… {len(found) - _LINES} more lines"]
    return found


def _lines(bundle: Bundle) -> Iterator[str]:
    """The lines of a bundle that are compared; of a stranger's bundle, no more than can be."""
    passwords = {re.escape(node.password) for node in bundle.nodes if node.password}
    password = re.compile("|".join(sorted(passwords)) or r"(?!)")  # nothing is a password
    for line in islice(_of_case(bundle), _MOST):
        text = _steady(password.sub("[password]", line[:_READ]))
        yield text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _of_case(bundle: Bundle) -> Iterator[str]:
    yield "checks:"
    yield from map(_said, bundle.case.checks)
    if bundle.case.error:
        yield from bundle.case.error.splitlines()
    evidence = bundle.case.evidence
    if evidence is not None:
        for title, texts in (
            ("the relay was told:", evidence.commands),
            ("the relay reported:", evidence.reported),
            ("the peers saw:", [evidence.seen]),
        ):
            yield title
            for text in texts:
                yield from (f"  {line}" for line in text.splitlines())
    for request in bundle.requests:
        yield f"bytes that {request.node} read on connection {request.connection}:"
        yield from (f"  {line}" for line in _bytes_of(request))


def _said(check: Check) -> str:
    sides = f"expected {check.expected}, got {check.got}" if check.expected else check.got
    words = (check.subject, sides, check.blocked_by, check.reason)
    said = "; ".join(filter(None, words)).replace("\n", "; ")
    return f"  {check.requirement} {check.verdict}: {said}"


def _bytes_of(request: BundledRequest) -> Iterator[str]:
    """The bytes as lines of text; a line for neighbours that are no text, as in a payload."""
    boundary = _BOUNDARY.search(request.head)
    was_text = True
    for part in (request.head, request.begin, request.end):
        if boundary:
            part = part.replace(boundary[1], b"[boundary]")  # noqa: PLW2901 - the same bytes
        for line in _LINE.findall(part):
            text = line.decode("utf-8", "surrogateescape")
            is_text = text.rstrip("\r\n").isprintable()
            if is_text:
                yield repr(text)[1:-1]
            elif was_text:
                yield "(binary)"
            was_text = is_text
    yield f"{request.body} bytes of body"


def _steady(text: str) -> str:
    """A text without what differs in each run."""
    text = _TIME.sub("  ", text)
    text = _SECONDS.sub("… s", _PORT.sub(r"\1:PORT", text))
    return _BASIC.sub(r"\1[credentials]", _TOKEN.sub("[token]", text))

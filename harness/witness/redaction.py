"""Credentials cut out of raw request heads. Pure."""

import re

_NAMES = rb"token|password|secret|credential|authorization|cookie|api-?key"
# With the folded lines that continue it. A known scheme of a credential is shown.
_CREDENTIAL_LINE = re.compile(
    rb"^([ \t]*[^\s:]{0,64}(?:"
    + _NAMES
    + rb")[^\s:]{0,64}[ \t]*:[ \t]*(?:(?:basic|bearer|digest)\b)?)"
    rb"[^\n]*?(?=\r?$)(?:\r?\n[ \t][^\n]*?(?=\r?$))*",
    re.IGNORECASE | re.MULTILINE,
)
_CREDENTIAL_IN_TARGET = re.compile(
    rb"(?<=//)[^/@\s]+(?=@)|(?<=[?&;])([^=&;\s]{0,64}(?:" + _NAMES + rb")[^=&;\s]{0,64}=)[^&;\s]*",
    re.IGNORECASE,
)


def redacted(head: bytes) -> bytes:
    """A raw request head without the credentials in its target and its headers."""
    lines, end, rest = head.lstrip(b"\r\n").partition(b"\n")
    first = _CREDENTIAL_IN_TARGET.sub(_without_value, lines)
    return first + end + _CREDENTIAL_LINE.sub(_without_value, rest)


def redacted_target(target: str) -> str:
    """A request target without its credentials, printable."""
    text = _CREDENTIAL_IN_TARGET.sub(_without_value, target.encode("latin-1")).decode("latin-1")
    return text.encode("unicode_escape").decode()


def _without_value(match: re.Match[bytes]) -> bytes:
    return (match[1] or b"") + b"(redacted)"

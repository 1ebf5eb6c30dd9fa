"""Text of a stranger, made safe for a terminal and for the log of a CI server. Pure."""

import re
import unicodedata

_ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, bidirectional marks, surrogates, line ends
_KEPT = {"\n", "\t"}
# Lines that a CI server takes for commands: GitHub Actions (`::error::` at the start of a line,
# `##[…]` anywhere), Azure Pipelines (`##vso[…]`), TeamCity (`##teamcity[…]`).
_COMMAND = re.compile(r"^([ \t]*):(?=:)|#(?=#(?:\[|vso\[|teamcity\[))", re.MULTILINE)


def printable(text: str) -> str:
    """The text with what would act on a terminal or on a CI server escaped, and no surrogates."""
    if not text.isprintable():
        text = "".join(
            repr(it)[1:-1] if it not in _KEPT and unicodedata.category(it) in _ESCAPED else it
            for it in text
        )
    return _COMMAND.sub(lambda found: f"{found[1] or ''}\\x{ord(found[0][-1]):02x}", text)

"""The `.deployignore` of a directory, matched in time that does not explode."""

import os
import re
from pathlib import Path

from pathspec import GitIgnoreSpec

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.files import read_text

IGNORE_FILE = ".deployignore"

# How pathspec writes `*` in a name, and `/**` between names, as regular expressions.
_STAR, _ANY_NAMES = "[^/]*", "(?:/.+)?"
_ITEM = r"(?:\\.|\[\^?\]?(?:\\.|[^\]\\])*\](?!\*)|[^\\\[\]()/|?*+.^$])"  # one character of a name
_STARS = re.compile(rf"(?:{re.escape(_STAR)})+")
_BETWEEN_STARS = re.compile(rf"{re.escape(_STAR)}({_ITEM}+)(?={re.escape(_STAR)})")


def ignored_by(directory: Path) -> GitIgnoreSpec:
    """What the file of a directory leaves out, in the syntax of a `.gitignore`.

    Raises:
        InputError: It cannot be read or used.
    """
    file = directory / IGNORE_FILE
    if not os.path.lexists(file):
        return GitIgnoreSpec.from_lines([])
    if not file.is_file():  # without its patterns, files would be sent that it leaves out
        raise InputError(f"{str(file)!r} is not a file, or links to nothing")
    return compiled(read_text(file, IGNORE_FILE).splitlines(), str(file))


def compiled(lines: list[str], source: str) -> GitIgnoreSpec:
    """The patterns of these lines.

    Raises:
        InputError: A line is no pattern; the text names it and the source.
    """
    try:
        spec = GitIgnoreSpec.from_lines(lines)
    except ValueError:  # which does not say where
        number, line = next(it for it in enumerate(lines, 1) if not _is_pattern(it[1]))
        raise InputError(f"{source}:{number}: {line!r} is not a pattern") from None
    for pattern in spec.patterns:
        if pattern.regex is not None:
            pattern.regex = re.compile(without_backtracking(pattern.regex.pattern))
    return spec


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def without_backtracking(regex: str) -> str:
    """The same regular expression, in which only the last wildcard of a kind tries again.

    `a*a*a*b` takes exponential time otherwise. The first match of what stands between two wildcards
    is as good as a later one, because the second wildcard takes what is between them.
    """
    regex = _STARS.sub(lambda _: _STAR, regex)
    regex = _BETWEEN_STARS.sub(r"(?>[^/]*?\1)", regex)
    first, *others = regex.split(_ANY_NAMES)
    if not others:
        return regex
    if first.startswith("^(?:.+/)?"):
        first = f"^(?>(?:.+?/)??{first.removeprefix('^(?:.+/)?')}(?=/))"
    *middle, last = others
    return "".join([first, *(f"(?>(?:/.+?)??{it}(?=/))" for it in middle), _ANY_NAMES, last])

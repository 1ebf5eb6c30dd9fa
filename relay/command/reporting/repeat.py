"""The command that repeats a deploy for the nodes that failed."""

import shlex
from collections.abc import Sequence


def repeat_line(argv: Sequence[str], failed: Sequence[str] = ()) -> str:
    """The same command line with `--only` for each failed node, if any, quoted for a shell.

    A command line holds no secrets: the parser refuses them.
    """
    kept: list[str] = []
    words = iter(argv[1:])
    for word in words:
        if word == "--only":
            next(words, None)
        elif not word.startswith("--only="):
            kept.append(word)
    return shlex.join(["relay", *argv[:1], *(f"--only={name}" for name in failed), *kept])

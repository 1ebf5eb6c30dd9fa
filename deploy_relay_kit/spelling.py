"""Commands and options that are misspelled or empty, for both commands of the kit."""

import argparse
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

_NUMBER = re.compile(r"-\d*\.?\d+$")


def not_empty(text: str) -> str:
    """The type of an option whose empty value would be taken for none."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; is a variable not set?")
    return text


def at_least_one(text: str) -> int:
    """The type of a count."""
    with suppress(ValueError):
        if (number := int(text)) >= 1:
            return number
    raise argparse.ArgumentTypeError(f"give an integer of 1 or more, not {text!r}")


def a_path(text: str) -> Path:
    """The type of a path; `Path("")` would be the working directory."""
    return Path(not_empty(text))


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands of a parser, by their names."""
    actions = parser._actions  # noqa: SLF001  argparse has no public way
    (commands,) = (it for it in actions if isinstance(it, argparse._SubParsersAction))  # noqa: SLF001
    return dict(commands.choices)


def surplus(parser: argparse.ArgumentParser, command: str) -> str:
    """What a command takes, for the error about an argument too many."""
    actions = commands_of(parser)[command]._actions  # noqa: SLF001  argparse has no public way
    [*names] = (str(it.metavar or it.dest) for it in actions if not it.option_strings)
    what = f"one {names[-1]}" if names else "options only"
    prog = f"{parser.prog} {command}"
    return f"{prog} takes {what}; see {prog} --help"


def misspelled(parser: argparse.ArgumentParser, words: Sequence[str]) -> str:
    """What is wrong with an unknown command or option, and the nearest one; empty if all are known.

    argparse would first say what else is missing. Values are not shown: one may be a secret.
    """
    commands = commands_of(parser)
    first = next(iter(words), "-")
    options = words[: words.index("--")] if "--" in words else words
    if first.startswith("-"):
        return _unknown_option(parser, options[:1], commands)
    if first in commands:
        return _unknown_option(commands[first], options, {})
    close = get_close_matches(first, commands, 1)
    remedy = f"did you mean {close[0]}?" if close else f"see {parser.prog} --help"
    return f"unknown command {first!r}; {remedy}"


def _unknown_option(
    parser: argparse.ArgumentParser,
    words: Sequence[str],
    others: Mapping[str, argparse.ArgumentParser],
) -> str:
    """`others`: the commands that may have the option instead."""
    spelled = _options_of(parser)
    for word in words:
        if not _is_option(word):
            continue
        is_long = word.startswith("--")
        name = word.partition("=")[0] if is_long else word[:2]
        is_short = is_long and parser.allow_abbrev and any(it.startswith(name) for it in spelled)
        if name in spelled or is_short:
            continue
        for command, other in others.items():
            if name in _options_of(other):
                return f"{name} belongs after the command, as in {parser.prog} {command} {name}"
        shown = [it for it, action in spelled.items() if action.help != argparse.SUPPRESS]
        close = get_close_matches(name, shown, 1) if is_long else []
        near = f" (did you mean {close[0]}?)" if close else ""
        return f"unknown option {name}{near}; see {parser.prog} --help"
    return ""


def _is_option(word: str) -> bool:
    """Whether argparse takes a word for an option: not `-`, a number, or a text with blanks."""
    return word.startswith("-") and len(word) > 1 and " " not in word and not _NUMBER.match(word)


def _options_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    actions = parser._actions  # noqa: SLF001  argparse has no public way
    return {spelling: action for action in actions for spelling in action.option_strings}

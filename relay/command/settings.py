"""Options that are not on the command line: from the environment and two TOML files.

If several sources set an option, the first of these counts: the command line, a variable of the
environment, the project's file, the user's file. Inside a file, the profile counts first.

The project's file is `relay.toml` in the working directory, or the file that --config names. The
working directory may be a repository that somebody else wrote. So the file may set every option
only if --config names it. Otherwise it must not set where credentials go, which certificates are
trusted, or which files are read or written.
"""

import argparse
import os
import shlex
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.files import read_text

PROJECT_FILE = Path("relay.toml")
_SWITCHES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_TABLES = {"nodes": "node", "limits": "limit", "fields": "field"}  # of NAME = VALUE, by option
_RIVALS = (  # pairs that exclude each other: the one from the earlier source counts
    ("node", "nodes"),
    ("node", "via"),
    ("nodes", "via"),
    ("json", "events"),
    ("probe", "legacy"),
    ("verbose", "quiet"),
    ("token_file", "password_file"),
    ("token_file", "user"),
)
_CREDENTIALS = {"RELAY_TOKEN", "RELAY_PASSWORD"}  # count before a file that settings name
_NOT_IN_SETTINGS = {"help", "password", "token", "path", "profile", "config", "dry_run"}
_HARMLESS = {  # what a file may say that nobody named
    *("attempts", "concurrency", "events", "exclude", "json", "legacy", "limit", "only", "probe"),
    *("limit_rate", "threads"),
    *("project", "quiet", "restart", "skip_node_modules", "verbose"),
}


@dataclass
class Settings:
    """Settings, as arguments for the front of a command line.

    Attributes:
        arguments: Without those that another source replaces.
        sources: Where the value of each option comes from.
        unnamed: The project's file, if it was read without --config.
    """

    arguments: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    unnamed: Path | None = None


@dataclass(frozen=True)
class _Setting:
    """The value of an option, as arguments of the command line, and where it is from."""

    arguments: list[str]
    source: str


_Layer = dict[str, _Setting]  # what one source says, by option


def read_settings(parser: argparse.ArgumentParser, argv: Sequence[str]) -> Settings:
    """The settings for these arguments of `relay deploy`.

    Raises:
        InputError: A file or a variable is wrong.
    """
    actions = parser._actions  # noqa: SLF001  argparse has no public way to list them
    options = {
        action.dest: action
        for action in actions
        if action.option_strings and action.dest not in _NOT_IN_SETTINGS
    }
    spelled = {text: action.dest for action in actions for text in action.option_strings}
    words = argv[: argv.index("--")] if "--" in argv else argv
    names = (word.partition("=")[0] for word in words)
    given = {spelled[name] for name in names if name in spelled}
    profile = _last(words, "--profile")
    if profile is None:  # an empty one is unknown
        profile = os.environ.get("RELAY_PROFILE") or None
    named = _last(words, "--config") or os.environ.get("RELAY_CONFIG")
    found = Settings(sources=dict.fromkeys(sorted(given - {"help"}), "command line"))
    decided = given
    for layer in (_variables(options), *_files(options, profile, named, found)):
        for dest, setting in layer.items():
            if dest not in decided and not _rivals(dest) & decided:
                found.arguments += setting.arguments
                found.sources[dest] = setting.source
        decided = decided | layer.keys()
        if any(os.environ.get(name) for name in _CREDENTIALS):
            decided |= {"token_file", "password_file"}
    return found


def _rivals(dest: str) -> set[str]:
    return {other for pair in _RIVALS if dest in pair for other in pair} - {dest}


def _last(words: Sequence[str], option: str) -> str | None:
    """The last value of an option."""
    found = None
    for word, following in pairwise([*words, ""]):
        if word == option:
            found = following
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found


def _variables(options: Mapping[str, argparse.Action]) -> _Layer:
    found: _Layer = {}
    for dest, action in options.items():
        variable = f"RELAY_{dest.upper()}"
        if text := os.environ.get(variable):  # in a CI job, an unset variable may be empty
            values: Any = text
            if isinstance(action.nargs, int):
                values = _SWITCHES.get(text.lower(), text)
            elif action.default == []:
                values = _split(variable, text)
            found[dest] = _Setting(_arguments(variable, action, values, Path()), variable)
    return found


def _split(variable: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(f"{variable}: {error}; separate its values with spaces") from error


def _files(
    options: Mapping[str, argparse.Action], profile: str | None, named: str | None, found: Settings
) -> Iterator[_Layer]:
    project = Path(named) if named else PROJECT_FILE
    known: set[str] = set()
    layers: list[_Layer] = []
    for file in (project, user_file()):
        is_named = file == project and bool(named)
        document = _read(file, is_named=is_named)
        if file == project and document and not is_named:
            found.unnamed = file
        allowed = _HARMLESS if file == found.unnamed else options.keys()
        profiles = document.pop("profiles", {})
        tables_of = profiles.values() if isinstance(profiles, dict) else [profiles]
        if not all(isinstance(it, dict) for it in tables_of):
            raise InputError(f"{str(file)!r}: profiles must be tables, as in [profiles.NAME]")
        known |= {*profiles}
        if profile in profiles:
            source = f"{file}, profile {profile}"
            layers.append(_layer(source, file, profiles[profile], options, allowed))
        layers.append(_layer(str(file), file, document, options, allowed))
    if profile is not None and profile not in known:
        names = ", ".join(sorted(known)) or "none"
        raise InputError(
            f"unknown profile {profile!r}; known are {names} (of {project} and {user_file()})"
        )
    yield from layers


def _layer(
    source: str,
    file: Path,
    table: Mapping[str, Any],
    options: Mapping[str, argparse.Action],
    allowed: Collection[str],
) -> _Layer:
    found: _Layer = {}
    for key, value in table.items():
        is_table = isinstance(value, dict)
        dest = _TABLES.get(key, key) if is_table else key.replace("-", "_")
        if dest not in options:
            raise InputError(f"{source}: {_unknown(key, options)}")
        if dest not in allowed:
            raise InputError(
                f"{source} sets {key}, which counts only in a file that you name, because others "
                f"may have written what is in this directory; give --config {file} if you trust it"
            )
        if dest in found:
            raise InputError(f"{source} sets {key} twice")
        values = [f"{name}={it}" for name, it in value.items()] if is_table else value
        arguments = _arguments(f"{source}: {key}", options[dest], values, file.parent)
        found[dest] = _Setting(arguments, source)
    return found


def _unknown(key: str, options: Mapping[str, object]) -> str:
    if key in {"password", "token"}:
        return f"{key} is never read from a file of settings; use {key}_file"
    close = get_close_matches(key.replace("-", "_"), [*options, *_TABLES], 1, 0.7)
    return f"unknown key {key!r}" + (f"; did you mean {close[0]}?" if close else "")


def _read(file: Path, *, is_named: bool) -> dict[str, Any]:
    if not (is_named or file.is_file()):
        return {}
    try:
        return tomllib.loads(read_text(file, "--config" if is_named else "settings"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{str(file)!r} is not TOML: {error}") from error


def user_file() -> Path:
    """As the XDG Base Directory Specification says."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    try:
        return Path(base).expanduser() / "relay" / "config.toml"
    except RuntimeError:  # the user has no home directory
        return Path("/nonexistent/relay/config.toml")


def _arguments(source: str, action: argparse.Action, value: Any, base: Path) -> list[str]:
    """A value as arguments, checked here so that an error names its source."""
    option = action.option_strings[-1]
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise InputError(f"{source} must be true or false, not {value!r}")
        return [option] if value else []
    if isinstance(value, list) and action.default != []:
        raise InputError(f"{source} must be one value, not a list")
    if action.nargs == "?" and isinstance(value, bool):  # --restart
        return [option] if value else []
    return [
        f"{option}={_text(source, action, it, base)}"
        for it in (value if isinstance(value, list) else [value])
    ]


def _text(source: str, action: argparse.Action, value: Any, base: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise InputError(f"{source} must be text or a number, not {value!r}")
    text = str(value)
    if action.metavar == "FILE" and text != "-":
        text = str(base / Path(text).expanduser())
    try:
        converted = action.type(text) if callable(action.type) else text
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise InputError(
            f"{source}: {text!r} is not valid for {action.option_strings[-1]}"
        ) from error
    if action.choices is not None and converted not in action.choices:
        raise InputError(f"{source}: {text!r} must be one of {', '.join(action.choices)}")
    return text

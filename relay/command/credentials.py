"""The credentials of `relay deploy`: from files, the environment or a prompt, not from options."""

import argparse
import getpass
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.files import STANDARD_INPUT, read_text
from deploy_relay_kit.relay.node import Mint
from deploy_relay_kit.relay.token import GivenToken, OperationsMint

_SECRET_BYTES = 65_536


def files_in(arguments: argparse.Namespace) -> list[Path]:
    files = (arguments.password_file, arguments.token_file, arguments.key, arguments.cert)
    return [file for file in files if file is not None]


def mint_in(arguments: argparse.Namespace, warn: Callable[[str], None]) -> Mint:
    """How to mint; `warn` gets a line about a file that other users can read.

    Raises:
        InputError: There are no credentials, or they cannot be read.
    """
    if arguments.token_file is not None:
        if arguments.password_file is not None:
            raise InputError("--token-file and --password-file exclude each other")
        token = _secret(arguments.token_file, "--token-file", warn)
        return _token(token, f"--token-file {arguments.token_file}")
    # In a CI job, the variable of an unset secret may be empty.
    if arguments.password_file is None and (token := _variable("RELAY_TOKEN")):
        return _token(token, "RELAY_TOKEN")
    if not arguments.user:
        raise InputError("no credentials; give --user and a password, or a token (see --help)")
    if arguments.password_file is not None:
        password = _secret(arguments.password_file, "--password-file", warn)
    else:
        password = _variable("RELAY_PASSWORD") or _typed_password(arguments.user)
    if not password:
        raise InputError("no password; give --password-file or RELAY_PASSWORD")
    return OperationsMint(arguments.user, password)


def _typed_password(user: str) -> str:
    """Ask for the password at the terminal, if there is one."""
    if sys.stdin is None or not sys.stdin.isatty():
        return ""
    try:
        return getpass.getpass(f"Password of {user}: ")
    except EOFError:
        return ""
    except UnicodeDecodeError as error:
        raise InputError("the password is not valid in this terminal's encoding") from error


def _token(token: str, where: str) -> Mint:
    try:
        return GivenToken(token)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _variable(name: str) -> str:
    """An environment variable, without a line end."""
    return os.environ.get(name, "").rstrip("\r\n")


def _secret(path: Path, option: str, warn: Callable[[str], None]) -> str:
    """The content of a credential file, without the line end that an editor adds."""
    if secret := read_text(path, option, most=_SECRET_BYTES).rstrip("\r\n"):
        if path != STANDARD_INPUT and _is_public(path):
            warn(f"relay: {option}: other users can read {str(path)!r}; chmod 600 it")
        return secret
    raise InputError(f"{option} {str(path)!r} is empty")


def _is_public(path: Path) -> bool:
    """Whether all users may read the file; a pipe of the shell, as of `<(…)`, does not count."""
    mode = path.stat().st_mode
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)

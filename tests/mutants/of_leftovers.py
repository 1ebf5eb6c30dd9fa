"""Mutants that leave a secret in a rare place: a file for a moment, another node, a long text."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.relay import fanout, tls, urls
from deploy_relay_kit.relay.errors import InputError, OriginError
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.redact import Secrets
from deploy_relay_kit.relay.upload import _Sending
from tests.conformance import test_plain, test_quotes, test_secrets, test_url
from tests.mutants.mutant import alike, case, mutant

OF_FILES = case(test_secrets.test_no_file_with_a_credential_is_left_behind)
OF_THE_KEY = case(test_secrets.test_the_key_of_the_relay_is_shown_nowhere)
OF_OTHERS = case(test_secrets.test_no_peer_is_sent_a_credential_of_another)
OF_NAMES = case(test_plain.test_plain_http_to_a_name_that_looks_like_this_machine_is_refused)
OF_A_TOKEN = case(test_quotes.test_a_token_that_a_peer_quotes_is_in_no_record)

# -- files that are removed again ------------------------------------------------------------------


@contextmanager
def a_file(data: bytes) -> Iterator[None]:
    """A file in the temporary directory."""
    with tempfile.NamedTemporaryFile(prefix="relay-") as file:
        file.write(data)
        file.flush()
        yield


@contextmanager
def a_file_in_a_directory(data: bytes) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="relay-") as directory:
        (Path(directory) / "settings").write_bytes(data)
        yield


@contextmanager
def a_file_of_the_home(data: bytes) -> Iterator[None]:
    path = Path("~/.cache").expanduser() / f"relay-{os.getpid()}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    yield
    path.unlink()


def keep_token(
    patch: pytest.MonkeyPatch, kept: Callable[[bytes], AbstractContextManager[None]]
) -> None:
    """Have the token in a file for the time of the upload, as settings for another program."""
    outcome = _Sending.outcome

    async def changed(self: _Sending) -> dict[str, object]:
        with kept(f'header = "Authorization: Bearer {self.token}"'.encode()):
            return await outcome(self)

    patch.setattr(_Sending, "outcome", changed)


alike(
    keep_token,
    "BUG-41",
    killed_by=OF_FILES,
    a_file_of_an_upload_has_its_token=a_file,
    a_directory_of_an_upload_has_its_token=a_file_in_a_directory,
    a_cache_of_an_upload_has_its_token=a_file_of_the_home,
    a_file_of_an_upload_has_its_token_in_base64=lambda data: a_file(base64.b64encode(data)),
)


def in_binary_form(pem: bytes) -> AbstractContextManager[None]:
    """A file with the key as a store of keys has it."""
    return a_file(base64.b64decode(b"".join(pem.split(b"-----")[2].split())))


@contextmanager
def an_environment(data: bytes) -> Iterator[None]:
    """A program with this in its environment."""
    command = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
    environment = {**os.environ, "KEY": data.decode()}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment):
        yield


def keep_key(
    patch: pytest.MonkeyPatch, kept: Callable[[bytes], AbstractContextManager[None]]
) -> None:
    """Have the key of the relay somewhere from when it is read to the end of the deploy."""
    load, run, stack = tls.load_certificate, fanout.FanOut.run, ExitStack()

    def changed(context: Any, certificate: Any, key: Any) -> None:
        stack.enter_context(kept(Path(key or certificate).read_bytes()))
        load(context, certificate, key)

    async def to_its_end(self: fanout.FanOut, *work: Any) -> Any:
        with stack:
            return await run(self, *work)

    patch.setattr(tls, "load_certificate", changed)
    patch.setattr(fanout.FanOut, "run", to_its_end)


alike(
    keep_key,
    "BUG-41",
    killed_by=OF_THE_KEY,
    a_file_of_a_deploy_has_the_key=a_file,
    a_file_of_a_deploy_has_the_key_in_binary_form=in_binary_form,
    a_program_has_the_key_in_its_environment=an_environment,
)


# -- other nodes, and texts of a node --------------------------------------------------------------


def add_headers(patch: pytest.MonkeyPatch, more: Callable[[str, bool], Mapping[str, str]]) -> None:
    """Add headers that follow from the last token of the process, and whether this is an upload."""
    post, last = Peer.post, [""]

    def changed(self: Peer, headers: Mapping[str, str], *how: Any) -> Any:
        is_upload = "Authorization" in headers
        last[0] = headers.get("Authorization", last[0])
        return post(self, {**headers, **more(last[0], is_upload)}, *how)

    patch.setattr(Peer, "post", changed)


alike(
    add_headers,
    "BUG-41",
    killed_by=OF_OTHERS,
    a_mint_has_the_authorization_of_the_last_upload=lambda last, is_upload: (
        {"Authorization": last} if last and not is_upload else {}
    ),
    an_id_of_a_request_is_made_of_the_last_token=lambda last, _: {
        "X-Request-Id": base64.b64encode(last.encode()).decode()
    },
    an_id_of_a_request_is_the_end_of_the_last_token=lambda last, _: {"X-Request-Id": last[-10:]},
)


@mutant("BUG-41", killed_by=OF_A_TOKEN)
def long_texts_are_not_searched_for_secrets(patch: pytest.MonkeyPatch) -> None:
    hide = Secrets._hide
    patch.setattr(
        Secrets, "_hide", lambda self, text: hide(self, text) if len(text) <= 4_096 else text
    )


@mutant("BUG-41", killed_by=OF_A_TOKEN)
def values_below_ten_levels_are_not_searched_for_secrets(patch: pytest.MonkeyPatch) -> None:
    def hide(self: Secrets, value: Any, level: int = 0) -> Any:
        if isinstance(value, str):
            return self._hide(value)
        if level < 10 and isinstance(value, dict):
            return {hide(self, name): hide(self, it, level + 1) for name, it in value.items()}
        if level < 10 and isinstance(value, list):
            return [hide(self, it, level + 1) for it in value]
        return value

    patch.setattr(Secrets, "hide", hide)


@mutant("BUG-41", killed_by=case(test_url.test_a_password_in_a_url_stands_in_no_record))
def the_reason_quotes_the_url_of_a_socket(patch: pytest.MonkeyPatch) -> None:
    parse = urls._parse

    def changed(node: Any, url: str, schemes: Any, **how: Any) -> urls.Endpoint:
        try:
            return parse(node, url, schemes, **how)
        except InputError as error:
            if url.startswith("wss:"):
                raise OriginError("resolve", f"cannot use the URL {url}") from error
            raise

    patch.setattr(urls, "_parse", changed)


def allow_http_to(patch: pytest.MonkeyPatch, is_near: Callable[[str], bool]) -> None:
    """Take hosts for this machine for which this is true, too."""
    is_loopback = urls.is_loopback
    patch.setattr(urls, "is_loopback", lambda host: is_loopback(host) or is_near(host))


alike(
    allow_http_to,
    "TLS-06",
    killed_by=OF_NAMES,
    a_name_without_a_dot_is_this_machine=lambda host: not set(host) & {".", ":"},
    a_name_that_ends_in_localhost_is_this_machine=lambda host: host.endswith("localhost"),
)

"""Passwords and tokens of fake peers, searched for wherever they do not belong (BUG-41)."""

import contextlib
import functools
import itertools
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.targets import Outcome
from deploy_relay_kit.harness.witness.requests import UploadWitness

_LARGEST = 1_000_000  # bytes of a file that are searched
_MOST = 200  # new files that are searched
_OF_PYTEST = "pytest-of-"


def leaked(peer: FakePeer, text: str) -> bool:
    """Whether a text holds a token of a peer, or its password.

    A password is found as it is, inside JSON text, and as the scheme Basic sends it.
    """
    forms = (*_forms(peer.password), peer.node.basic)
    return any(form in text for form in forms) or peer.tokens.appear_in(text)


@functools.lru_cache(maxsize=1_000)  # every text of a case is searched for every peer of it
def _forms(password: str) -> frozenset[str]:
    in_json = (json.dumps(password, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False))
    return frozenset((password, *in_json))


def reported_by(outcome: Outcome) -> str:
    """All texts of an outcome, unescaped: an escape could hide a secret."""
    return "\n".join(_texts([outcome.refused, *(record.members for record in outcome.records)]))


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case bytes():
            yield value.decode("utf-8", "replace")
        case Mapping():
            yield from _texts([*value.keys(), *value.values()])
        case list() | tuple():
            for item in value:
                yield from _texts(item)


def received_by(peer: FakePeer) -> str:
    """Everything that a peer was sent so far, except payloads."""
    texts = []
    for request in peer.live_requests:
        texts.append(request.raw_head.decode("latin-1"))
        texts += _texts(getattr(request, "body", None))
        if isinstance(request, UploadWitness):
            texts += _texts([(part.name, part.value) for part in request.field_parts])
    return "\n".join(texts)


Files = dict[str, tuple[int, int]]
"""Paths of files and directories, each with its modification time and its size."""


def files_in_reach() -> Files:
    """Where a relay may leave something: the temporary directory and its own directory.

    Its own directory is the one in which it was started. Files of pytest are left out.
    """
    # Asked twice for each case; with Path it would take as long as a small upload.
    with os.scandir(tempfile.gettempdir()) as temporary, os.scandir(Path.cwd()) as own:
        near = [entry for entry in temporary if not entry.name.startswith(_OF_PYTEST)]
        near += [entry for entry in own if entry.is_file()]
    states = {}
    for entry in near:
        with contextlib.suppress(OSError):  # removed in between
            status = entry.stat(follow_symlinks=False)
            states[entry.path] = (status.st_mtime_ns, status.st_size)
    return states


def changed_since(before: Files) -> set[Path]:
    """The files that are new or changed."""
    return {Path(path) for path, state in files_in_reach().items() if before.get(path) != state}


def leaks(peers: Sequence[FakePeer], relay: Relay, files: Iterable[Path]) -> Iterator[str]:
    """Where a secret of a peer stands although it does not belong there, in words.

    Args:
        peers: every peer of the case.
        relay: what it reported, and what it wrote to its standard output and error.
        files: where the relay may have left something.
    """
    reported = "\n".join(map(reported_by, relay.outcomes))
    texts: list[tuple[str, FakePeer | None, str]] = [
        ("a record shows", None, reported),
        ("the output of the relay shows", None, relay.target.output),
    ]
    texts += [(f"{peer.name} was sent", peer, received_by(peer)) for peer in peers]
    texts += [(f"{path} holds", None, text) for path, text in _contents(files)]
    for where, receiver, text in texts:
        for owner in peers:
            # Peers to which a case gives the same user may see the same password.
            belongs = receiver is not None and receiver.password == owner.password
            if not belongs and leaked(owner, text):
                yield f"{where} a password or token of {owner.name}"


def _contents(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    for file in itertools.islice(_files(paths), _MOST):
        with contextlib.suppress(OSError):  # not readable, or removed
            if file.is_file() and file.stat().st_size <= _LARGEST:
                yield file, file.read_text(errors="replace")


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield path
        for directory, _, names in os.walk(path):
            yield from (Path(directory) / name for name in names)

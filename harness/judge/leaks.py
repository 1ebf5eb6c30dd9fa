"""Credential taint: the passwords and tokens of peers are canaries, looked for everywhere else."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.judge.relay import Relay
from harness.peer.peer import FakePeer
from harness.targets import Outcome
from harness.witness.requests import UploadWitness

_LARGEST = 1_000_000  # bytes of a file that are looked at
_MOST = 200  # new files that are looked at
_OF_PYTEST = "pytest-of-"


def leaked(peer: FakePeer, text: str) -> bool:
    """Whether a text holds any token of a peer, or its password.

    The password is known as it is, as it stands inside JSON text, and as it is sent as Basic.
    """
    forms = (*_written(peer.password), peer.node.basic)
    return any(form in text for form in forms) or peer.tokens.appear_in(text)


@functools.lru_cache(maxsize=1_000)  # every text of a case is searched for every peer of it
def _written(password: str) -> frozenset[str]:
    """How it may be written: as it is, and inside JSON text; mostly that is the same."""
    in_json = (json.dumps(password, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False))
    return frozenset((password, *in_json))


def told_by(outcome: Outcome) -> str:
    """All texts that a relay reported, as they are: an escape could hide a canary."""
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


def received(peer: FakePeer) -> str:
    """All that a peer was sent so far, its payload aside."""
    told = []
    for request in (it for seen in peer.http.connections for it in seen.requests):
        told.append(request.raw_head.decode("latin-1"))
        told += _texts(getattr(request, "body", None))
        if isinstance(request, UploadWitness):
            told += _texts([(part.name, part.value) for part in request.field_parts])
    return "\n".join(told)


class TaintError(AssertionError):
    """A credential stands where it does not belong, whatever else the case is of (BUG-41)."""


Files = dict[str, tuple[int, int]]
"""Paths of files and directories, each with its modification time and its size."""


def files_in_reach() -> Files:
    """Where a relay may leave something: temporary files, without those of pytest, and its own.

    Its own are those in the directory in which it was started.
    """
    # Asked twice for every case; by way of Path it would cost as much as a small upload.
    with os.scandir(tempfile.gettempdir()) as temporary, os.scandir(Path.cwd()) as own:
        near = [entry for entry in temporary if not entry.name.startswith(_OF_PYTEST)]
        near += [entry for entry in own if entry.is_file()]
    states = {}
    for entry in near:
        with contextlib.suppress(OSError):  # gone meanwhile
            status = entry.stat(follow_symlinks=False)
            states[entry.path] = (status.st_mtime_ns, status.st_size)
    return states


def changed_since(before: Files) -> set[Path]:
    """What is new, or not as it was."""
    return {Path(path) for path, state in files_in_reach().items() if before.get(path) != state}


def taints(peers: Sequence[FakePeer], relay: Relay, files: Iterable[Path]) -> Iterator[str]:
    """Where a canary of a peer stands though it does not belong there, in words.

    Args:
        peers: all that the relay had to do with.
        relay: what it reported, and what it wrote to its standard output and error.
        files: in which the relay may have left something.

    """
    reported = "\n".join(map(told_by, relay.outcomes))
    texts: list[tuple[str, FakePeer | None, str]] = [
        ("the relay reported", None, reported),
        ("the relay wrote", None, relay.target.output),
    ]
    texts += [(f"{peer.name} was sent", peer, received(peer)) for peer in peers]
    texts += [(f"{path} holds", None, text) for path, text in _contents(files)]
    for where, receiver, text in texts:
        for owner in peers:
            # Peers that a case gives the same user may see the same password.
            belongs = receiver is not None and receiver.password == owner.password
            if not belongs and leaked(owner, text):
                yield f"{where} a password or token of {owner.name}"


def _contents(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    for file in itertools.islice(_files(paths), _MOST):
        with contextlib.suppress(OSError):  # of somebody else, or gone
            if file.is_file() and file.stat().st_size <= _LARGEST:
                yield file, file.read_text(errors="replace")


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield path
        for directory, _, names in os.walk(path):  # passes over what it may not see, or is gone
            yield from (Path(directory) / name for name in names)

"""Passwords and tokens of fake peers, searched for wherever they do not belong (BUG-41)."""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.targets import Outcome
from deploy_relay_kit.harness.witness.requests import UploadWitness
from deploy_relay_kit.harness.witness.secrets import escapes_in, forms_of, kinds_of

_LARGEST = 1_000_000  # bytes of a file that are searched
_MOST_ESCAPES = 8  # that a message shows
_MOST = 200  # new files that are searched
# Of pytest, Python, and the tools of a project, which write while a case runs.
OF_OTHERS = ("pytest-of-", "__pycache__", ".pytest", ".git", ".venv", ".mypy", ".ruff", ".cov")
_WHAT = "a password or token of"
_PIECE = 8  # characters of a token that are not in a text by chance
_MIDDLE = 16  # characters of a piece from the middle of a token
_PIECE_OF_A_PASSWORD = 12  # some end in words


def leaked(peer: FakePeer, text: str) -> str:
    """The first token of a peer, or its password, in a text, in words; empty without one.

    The forms are: as it is, as in JSON, a URL or HTML, in hexadecimal digits, and in base64, alone
    or in the scheme Basic; each also with line ends in it.
    The words show no more than its first escapes: "the password with the escapes of a URL (%20)".
    """
    return " ".join(filter(None, _leaked(peer, text)))


def _leaked(peer: FakePeer, text: str) -> tuple[str, str]:
    """What of a peer stands in a text, and in which form, in words; both empty without a secret."""
    if (found := _found(peer, text)) is None and (unbroken := _unbroken(text)) != text:
        found = _found(peer, unbroken)
    return found or ("", "")


def _found(peer: FakePeer, text: str) -> tuple[str, str] | None:
    for secret in filter(None, [peer.password, *peer.tokens.issued]):
        if secret in text:
            return _name_of(secret, peer), ""
        if found := [form for form in forms_of(secret) if form in text]:
            return _name_of(secret, peer), _in_words(
                secret, max(found, key=lambda it: (len(it), it))
            )
    return ("the password", "in the scheme Basic") if peer.node.basic in text else None


def _unbroken(text: str) -> str:
    """A text without line ends, which base64 has after every 76 characters."""
    return text.replace("\r", "").replace("\n", "")


def _in_words(secret: str, form: str) -> str:
    """The kind of a form, and its first escapes, without those that the secret itself has."""
    kind = kinds_of(secret)[form]
    escapes = [it for it in escapes_in(form) if it not in secret] if "escapes" in kind else []
    if not escapes:
        return kind
    more = " …" if len(escapes) > _MOST_ESCAPES else ""
    return f"{kind} ({' '.join(escapes[:_MOST_ESCAPES])}{more})"


def _name_of(secret: str, peer: FakePeer) -> str:
    if secret == peer.password:
        return "the password"
    is_refresh = peer.tokens.worth(f"Bearer {secret}") == "refresh"
    return "the refresh token" if is_refresh else "the token"


def leaked_in_part(peer: FakePeer, text: str) -> bool:
    """Whether a text holds a long piece of a token of a peer, or of its password.

    Ask it only about what the relay writes itself: all tokens begin with the same characters.
    """
    if leaked(peer, text):
        return True
    tokens = peer.tokens.issued
    pieces = [it for token in tokens for it in (token[:_PIECE], token[-_PIECE:])]
    pieces += [
        it[at : at + _MIDDLE] for it in tokens for at in range(0, len(it) - _MIDDLE, _MIDDLE)
    ]
    if len(peer.password) >= 2 * _PIECE_OF_A_PASSWORD:
        pieces.append(peer.password[-_PIECE_OF_A_PASSWORD:])
    return any(piece in text for piece in pieces)


def leaked_to_another(peer: FakePeer, text: str) -> bool:
    """Whether what another peer was sent holds a token of a peer, the end of one, or its password.

    The ends of tokens differ.
    """
    return bool(leaked(peer, text)) or any(it[-_PIECE:] in text for it in peer.tokens.issued)


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


def _places() -> dict[str, str]:
    """Each place, and which directories in it count: those that are new, or also changed ones."""
    places = {str(Path("~").expanduser()): "none", str(Path.cwd()): "new"}
    return {**places, tempfile.gettempdir(): "changed"}


def files_in_reach() -> Files:
    """Where a relay may leave something: the temporary directory, its home, and its own directory.

    Its own directory is the one in which it was started. Files of pytest are left out.
    """
    states = {}
    # Asked twice for each case; with Path it would take as long as a small upload.
    for place, directories in _places().items():
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if not entry.name.startswith(OF_OTHERS):
                    with contextlib.suppress(OSError):  # removed in between
                        if entry.is_file(follow_symlinks=False) or directories == "changed":
                            status = entry.stat(follow_symlinks=False)
                            states[entry.path] = (status.st_mtime_ns, status.st_size)
                        elif directories == "new":
                            states[entry.path] = (0, 0)
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
    if any(leaked_in_part(it, reported) for it in peers):  # one search for all the records
        for outcome in relay.outcomes:
            yield from _shown("the refusal of the deploy", outcome.refused, peers)
            for record in outcome.records:
                yield from _shown(f"the record of {record.node}", record.members, peers)
    yield from _shown("the output of the relay", relay.output, peers)
    written = list(_contents(files))  # of other processes, too
    together = "\n".join(text for _, text in written)  # one search for all of them
    owners = [it for it in peers if leaked(it, together)]
    for path, text in written:
        yield from (f"{path} holds {_WHAT} {it.name}" for it in owners if leaked(it, text))
    for owner, other in sent_elsewhere(peers):
        yield f"{other.name} was sent {_WHAT} {owner.name}"


def sent_elsewhere(peers: Sequence[FakePeer]) -> list[tuple[FakePeer, FakePeer]]:
    """The peers with a secret that another peer was sent, each with that other peer."""
    sent, found = [(peer, received_by(peer)) for peer in peers], []
    for owner in peers:
        # Peers to which a case gives the same user may see the same password.
        others = [(it, text) for it, text in sent if it.password != owner.password]
        if leaked(owner, "\n".join(text for _, text in others)):
            found += [(owner, it) for it, text in others if leaked(owner, text)]
    return found


def _shown(where: str, said: object, peers: Sequence[FakePeer]) -> Iterator[str]:
    """What the relay itself shows in one place. Many tokens begin alike: a piece has no owner."""
    text = "\n".join(_texts(said))
    found = [(it.name, what, form) for it in peers for what, form in [_leaked(it, text)] if what]
    for owner, what, form in found:
        yield f"{where} shows {what} of {owner}{form and f', {form}'}"
    if not found and any(leaked_in_part(it, text) for it in peers):
        yield f"{where} shows a piece of a password or token"


def contents(paths: Iterable[Path]) -> str:
    """The text of these files, and of those in these directories."""
    return "\n".join(text for _, text in _contents(paths))


def _contents(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    for file in itertools.islice(files_below(paths), _MOST):
        with contextlib.suppress(OSError):  # not readable, or removed
            if file.is_file() and file.stat().st_size <= _LARGEST:
                yield file, file.read_text(errors="replace")


def files_below(paths: Iterable[Path]) -> Iterator[Path]:
    """The paths, and the files in those that are directories."""
    for path in paths:
        yield path
        for directory, _, names in os.walk(path):
            yield from (Path(directory) / name for name in names)

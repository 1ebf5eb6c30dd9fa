"""A bundle as a zip file: written here, and read with limits, for it may come from a stranger.

Nothing of it is unpacked to a disk, so no name in it can lead anywhere.
"""

import hashlib
import io
import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.judge.bundle.document import FORMAT, Bundle, BundledRequest
from deploy_relay_kit.harness.judge.catalogue import every_requirement

_DOCUMENT, _TIMELINE = "bundle.json", "timeline.txt"
_NAMES = re.compile(r"bundle\.json|timeline\.txt|witness/\d{3}-(head|begin|end)\.bin")
_PARTS = ("head", "begin", "end")
_MOST_BYTES = 32 * 1024 * 1024  # of the file
_MOST_DIRECTORY = 256 * 1024  # bytes of the list of its members
_LONGEST_DOCUMENT = 16 * 1024 * 1024
_LONGEST_PART = 128 * 1024
_MOST_UNPACKED = 64 * 1024 * 1024  # bytes of all members
_MOST_NODES = 1_000
_END_RECORD = b"PK\x05\x06"  # APPNOTE.TXT 4.3.16; 22 bytes without a comment
_LOCATOR_64 = b"PK\x06\x07"
_SHORTEST_SECRET = 8  # characters: a shorter value stands in texts by chance
_SECRET = re.compile("TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|KEY", re.IGNORECASE)


def bundle_of(directory: Path, case: str) -> Path:
    """Where the bundle of a case lies, by its id, in the directory that a run records them in."""
    return directory / f"{hashlib.sha256(case.encode()).hexdigest()[:16]}.zip"


def write(bundle: Bundle, path: Path) -> None:
    """Write a bundle, without the secrets of this process's environment.

    A relay inherits the environment, so it may have shown them anywhere.

    Raises:
        OSError: it cannot be written.
    """
    secrets = _secrets_of_the_environment()
    document = _without(secrets, msgspec.to_builtins(bundle, builtin_types=[bytes]))
    parts = dict(_parts_of(document))
    seen = bundle.case.evidence.seen if bundle.case.evidence else ""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(_DOCUMENT, json.dumps(document, indent=1))
        file.writestr(_TIMELINE, _without(secrets, seen).encode("utf-8", "backslashreplace"))
        for name, part in parts.items():
            file.writestr(name, part)


def _parts_of(document: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Take the bytes out of a document, each with the name of its member."""
    for number, request in enumerate(document.get("requests", []), 1):
        for part in _PARTS:
            if found := request.pop(part, b""):
                yield _name(number, part), found


def _name(number: int, part: str) -> str:
    return f"witness/{number:03}-{part}.bin"


def _secrets_of_the_environment() -> list[str]:
    """The values of variables whose names say that they are secret, the longest first."""
    values = {
        value
        for name, value in os.environ.items()
        if len(value) >= _SHORTEST_SECRET and _SECRET.search(name)
    }
    return sorted(values, key=len, reverse=True)


def _without(secrets: list[str], value: Any) -> Any:
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret, "[secret of the environment]")
        case bytes():
            for secret in secrets:
                value = value.replace(os.fsencode(secret), b"[secret of the environment]")
        case dict():
            return {_without(secrets, name): _without(secrets, it) for name, it in value.items()}
        case list():
            return [_without(secrets, it) for it in value]
    return value


def read(path: Path) -> Bundle:
    """Read a bundle that `write` wrote.

    Raises:
        InputError: it cannot be read, or is no bundle of this kit; the text names it.
    """
    try:
        return _bundle_in(_members_of(_bytes_of(path)))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; give a file of `--bundle`") from error
    except (_NotABundleError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: not a bundle of `run --bundle`: {str(error)[:200]}") from error


class _NotABundleError(Exception):
    """Says what is wrong with a file."""


def _bytes_of(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise _NotABundleError("not a regular file")
    with path.open("rb") as file:
        found = file.read(_MOST_BYTES + 1)
    if len(found) > _MOST_BYTES:
        raise _NotABundleError(f"more than {_MOST_BYTES // 2**20} MiB")
    return found


def _members_of(found: bytes) -> dict[str, bytes]:
    """The members by their names, each read up to its limit, whatever the file says of it."""
    end = found[-22:]
    # Python makes an object for each entry of the directory, so its length is known first.
    if end[:4] != _END_RECORD or found[-42:-38] == _LOCATOR_64:
        raise _NotABundleError("no zip file, or one that is cut")
    if int.from_bytes(end[12:16], "little") > _MOST_DIRECTORY:
        raise _NotABundleError("too many members")
    members: dict[str, bytes] = {}
    left = _MOST_UNPACKED
    try:
        with zipfile.ZipFile(io.BytesIO(found)) as file:
            for member in file.infolist():
                if not _NAMES.fullmatch(member.filename) or member.filename in members:
                    raise _NotABundleError(f"unexpected member {member.filename[:100]!r}")
                is_part = member.filename.startswith("witness/")
                limit = min(left, _LONGEST_PART if is_part else _LONGEST_DOCUMENT)
                with file.open(member) as opened:
                    members[member.filename] = content = opened.read(limit + 1)
                if len(content) > limit:
                    raise _NotABundleError(f"{member.filename} is too long")
                left -= len(content)
    # RuntimeError: encrypted; NotImplementedError: a compression that Python does not have.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error) as error:
        raise _NotABundleError(str(error) or "it is cut") from error
    return members


def _bundle_in(members: dict[str, bytes]) -> Bundle:
    if _DOCUMENT not in members:
        raise _NotABundleError(f"no {_DOCUMENT} in it")
    document = json.loads(members[_DOCUMENT])
    if isinstance(document, dict) and document.get("format", FORMAT) != FORMAT:
        raise _NotABundleError(f"format {document['format']!r}; this kit reads {FORMAT}")
    bundle = msgspec.convert(document, Bundle)
    if len(bundle.nodes) > _MOST_NODES:
        raise _NotABundleError(f"more than {_MOST_NODES} nodes")
    charged = {check.requirement for check in bundle.case.checks}
    if unknown := {*charged, *bundle.requirements} - set(every_requirement()):
        raise _NotABundleError(f"{min(unknown)!r} is not a requirement of this kit's version")
    for number, request in enumerate(bundle.requests, 1):
        _put_parts(request, number, members)
    return bundle


def _put_parts(request: BundledRequest, number: int, members: dict[str, bytes]) -> None:
    for part in _PARTS:
        setattr(request, part, members.get(_name(number, part), b""))

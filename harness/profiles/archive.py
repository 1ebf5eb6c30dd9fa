"""What Harper would say to a payload, told from its length and its two ends. Pure.

A real peer unpacks the payload; a fake one keeps nothing of it but the first and last 256 bytes.
So these checks see what those can show, and take the rest on trust: a tar cut between two entries,
a damaged middle, a wrong checksum behind the window, or a truncated gzip whose last four bytes
happen to look like a length (1 in 512) pass here and would fail there.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

NO_TAR_HEADER: Final = "Invalid tar header. Maybe the tar is corrupted or it needs to be gunzipped?"
CUT_TAR: Final = "Unexpected end of data"
CUT_GZIP: Final = "unexpected end of file"

_BLOCK = 512  # of a tar: one header, and what every archive is padded to
_GZIP = b"\x1f\x8b\x08"
_CHECKSUM = slice(148, 156)
_CHECKSUM_LENGTH = 8
_OCTAL = re.compile(rb" *([0-7]{1,7})[\0 ]*")


def archive_error(first: bytes, last: bytes, length: int) -> str | None:
    """The text with which Harper 5.1.14 refuses a payload; None when it would unpack.

    Args:
        first: its first 256 bytes, or all of it.
        last: its last 256 bytes, or all of it.
        length: of all of it; nothing at all counts as an empty archive.

    """
    if length == 0:
        return None
    if first.startswith(_GZIP):
        return _gzip_error(first, last, length)
    return _tar_error(first, length)


def _tar_error(begin: bytes, length: int) -> str | None:
    if length < _BLOCK:
        return CUT_TAR
    return None if _may_begin_a_tar(begin) else NO_TAR_HEADER


def _may_begin_a_tar(begin: bytes) -> bool:
    """Whether these bytes can begin a header block: its sum must be able to fit its checksum."""
    header = begin[:_BLOCK]
    field = header[_CHECKSUM]
    if not any(header):  # two blocks of zeros end an archive, also an empty one
        return True
    if (
        len(field) < _CHECKSUM_LENGTH
    ):  # fewer bytes than the checksum needs: nothing speaks against it
        return True
    match = _OCTAL.fullmatch(field)
    seen = sum(header) - sum(field) + _CHECKSUM_LENGTH * ord(" ")
    unseen = _BLOCK - len(header)
    return match is not None and seen <= int(match[1], 8) <= seen + 255 * unseen


def _gzip_error(first: bytes, last: bytes, length: int) -> str | None:
    whole = length == len(first)
    unpack = zlib.decompressobj(wbits=31)
    try:
        begin = unpack.decompress(first, 0 if whole else _BLOCK)
    except zlib.error as error:
        return str(error).rpartition(": ")[2]
    if begin and (len(begin) >= _BLOCK or not whole) and not _may_begin_a_tar(begin):
        return NO_TAR_HEADER
    if whole:
        if not unpack.eof:
            return CUT_GZIP
        return CUT_TAR if 0 < len(begin) < _BLOCK else None
    # RFC 1952 section 2.3.1: a gzip ends with the length of what it holds; a tar is whole blocks.
    return None if int.from_bytes(last[-4:], "little") % _BLOCK == 0 else CUT_GZIP

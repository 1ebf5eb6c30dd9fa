"""How Harper judges a payload, from its length and both ends. Pure.

A real peer unpacks the payload; a fake peer keeps only the first and last 256 bytes. It accepts
some payloads that Harper refuses: a tar cut between two entries, a damaged middle, a wrong checksum
behind the first 256 bytes, a truncated gzip whose last four bytes look like a length (1 in 512).
"""

import re
import zlib
from typing import Final

NO_TAR_HEADER: Final = "Invalid tar header. Maybe the tar is corrupted or it needs to be gunzipped?"
CUT_TAR: Final = "Unexpected end of data"
TRAILING: Final = "incorrect header check"
CUT_GZIP: Final = "unexpected end of file"

_BLOCK = 512  # of a tar: the size of a header; the length of an archive is a multiple of it
_GZIP = b"\x1f\x8b\x08"
_CHECKSUM = slice(148, 156)
_CHECKSUM_LENGTH = 8
_OCTAL = re.compile(rb" *([0-7]{1,7})[\0 ]*")


def archive_error(first: bytes, last: bytes, length: int) -> str | None:
    """The text with which Harper 5.1.14 refuses a payload; None when it accepts the payload.

    Args:
        first: the first 256 bytes, or all bytes.
        last: the last 256 bytes, or all bytes.
        length: the number of all bytes; 0 is an empty archive.
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
    """Whether the bytes can begin a header block, by its checksum and the sum of its bytes."""
    header = begin[:_BLOCK]
    field = header[_CHECKSUM]
    if not any(header):  # two blocks of zeros end an archive, also an empty one
        return True
    if len(field) < _CHECKSUM_LENGTH:  # too few bytes to decide
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
        if unpack.unused_data and not unpack.unused_data.startswith(_GZIP):
            return TRAILING
        if not unpack.eof:
            return CUT_GZIP
        return CUT_TAR if 0 < len(begin) < _BLOCK else None
    # RFC 1952 section 2.3.1: a gzip ends with the length of its content; a tar is whole blocks.
    return None if int.from_bytes(last[-4:], "little") % _BLOCK == 0 else CUT_GZIP

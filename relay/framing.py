"""Pure: where an answer ends in the bytes of its connection (RFC 9112, 6.3)."""

import enum
import re

_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})\b")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r?(?=\n)", re.IGNORECASE)
_CODING = re.compile(rb"\ntransfer-encoding:([^\n]*)", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n", re.IGNORECASE)
_LONGEST = 1 << 16  # bytes of a head or a line; in a longer one no end is looked for
_INTERIM = {*range(100, 200)} - {101}
_BODILESS = {204, 304}


class _Part(enum.Enum):
    HEAD = enum.auto()
    CHUNK_SIZE = enum.auto()  # a line
    CHUNK = enum.auto()
    TRAILER = enum.auto()  # the lines after the last chunk
    BODY = enum.auto()  # of a known length
    REST = enum.auto()  # all that comes, because nothing says where it ends
    NOTHING = enum.auto()


class Framing:
    """Counts the bytes of one answer and its interim answers; what follows does not belong to it.

    It judges nothing: in bytes that are not valid HTTP it finds no end, and their parser refuses
    them. The head is a piece of its own, so that it counts whatever the body is.
    """

    def __init__(self) -> None:
        self._part = _Part.HEAD
        self._head = b""  # its lines so far
        self._line = b""  # the begin of an incomplete line
        self._left = 0  # bytes of the body, or of the chunk with its line end

    def take(self, data: bytes) -> int:
        """How many of the next bytes are a piece of the answer; 0 after its end."""
        at, is_head = 0, self._part is _Part.HEAD
        while at < len(data) and self._part is not _Part.NOTHING:
            if is_head and self._part is not _Part.HEAD:
                return at
            if self._part is _Part.REST:
                return len(data)
            if self._part in {_Part.BODY, _Part.CHUNK}:
                at = self._skip(at, len(data))
            else:
                if self._part is _Part.CHUNK_SIZE and not self._line:
                    at = _after_whole_chunks(data, at)
                at = self._read_line(data, at)
        return at

    def _skip(self, at: int, end: int) -> int:
        count = min(self._left, end - at)
        self._left -= count
        if not self._left:
            is_chunk = self._part is _Part.CHUNK
            self._part = _Part.CHUNK_SIZE if is_chunk else _Part.NOTHING
        return at + count

    def _read_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1
        self._line += data[at : end or None]
        if len(self._head) + len(self._line) > _LONGEST:
            self._part = _Part.REST
        elif end:
            line, self._line = self._line, b""
            self._take_line(line)
        return end or len(data)

    def _take_line(self, line: bytes) -> None:
        is_empty = line in {b"\r\n", b"\n"}
        if self._part is _Part.HEAD:
            if self._head or not is_empty:
                self._head += line
                if is_empty:
                    self._part = self._take_head()
        elif self._part is _Part.TRAILER:
            if is_empty:
                self._part = _Part.NOTHING
        elif found := _CHUNK.fullmatch(line):
            size = int(found[1], 16)
            self._part = _Part.CHUNK if size else _Part.TRAILER
            self._left = size + len(b"\r\n")
        else:
            self._part = _Part.REST

    def _take_head(self) -> _Part:
        """What comes after the head."""
        head, self._head = self._head, b""
        found = _STATUS.match(head)
        status = int(found[1]) if found else 0
        codings, lengths = _CODING.findall(head), set(_LENGTH.findall(head))
        if status in _INTERIM:
            return _Part.HEAD
        if status in _BODILESS:
            return _Part.NOTHING
        if status in {0, 101}:  # no HTTP, or another protocol
            return _Part.REST
        if codings:
            is_chunked = codings[-1].strip().lower().endswith(b"chunked")
            return _Part.CHUNK_SIZE if is_chunked else _Part.REST
        if len(lengths) != 1:
            return _Part.REST
        self._left = int(lengths.pop())
        return _Part.BODY if self._left else _Part.NOTHING


def _after_whole_chunks(data: bytes, at: int) -> int:
    """Where the first chunk begins that is the last one, incomplete or broken.

    It does nothing that the lines would not do one by one, and makes a flood of tiny chunks cheap.
    """
    end = len(data)
    while (found := _CHUNK.match(data, at)) and (size := int(found[1], 16)):
        after = found.end() + size + len(b"\r\n")
        if after > end or found.end() - at > _LONGEST:
            break
        at = after
    return at

"""A multipart body as it arrives, block by block (PARSE-01…31). Nothing holds a payload.

Limits are refused instead of cut in silence, and a name that JavaScript objects inherit is an
error. The next block is read when the last one is written, so a slow disk slows the sender.
"""

import asyncio
import codecs
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from io import BufferedWriter
from pathlib import Path

from multipart import (  # type: ignore[import-untyped]  # ships no types
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from deploy_relay_kit.relay.origin.answers import RefusalError
from deploy_relay_kit.relay.origin.wire.fields import (
    FORBIDDEN,
    MAX_FIELDS,
    MAX_VALUE_BYTES,
    decoded,
)

_HEADER_BYTES = 16_384  # PARSE-20
_FILE_TYPE = "application/octet-stream"
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"(?:\\.|[^"\\])*"|[^;"]*)')
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CHARSETS = {"utf-8", "ascii", "iso8859-1", "cp1252", "utf-16", "utf-16-le"}  # others take minutes
_SKIPPED = 64  # parts after the file that are read and ignored
_BESIDE = (MAX_FIELDS + _SKIPPED) * MAX_VALUE_BYTES  # bytes of a body that are no file


@dataclass
class Form:
    """The fields before the file, and whether a file was written."""

    fields: dict[str, object] = field(default_factory=dict)
    staged: bool = False
    sha256: str = ""
    size: int = 0


async def receive(
    blocks: AsyncIterator[bytes],
    boundary: str,
    begin: Callable[[dict[str, object]], Path],
    most: int,
) -> Form:
    """Read a form; write its file to the path that `begin` returns.

    `begin` is called once, with the fields, at the headers of the file part (PARSE-06).
    """
    try:
        parser = PushMultipartParser(
            boundary,
            max_header_size=_HEADER_BYTES,
            max_segment_count=MAX_FIELDS + _SKIPPED,
        )
        with parser:
            return await _Reader(begin, most).read(_from_delimiter(blocks, boundary), parser)
    except ParserLimitReached as error:
        raise RefusalError(413, f"the form is too large: {error}") from None
    except (MultipartError, UnicodeDecodeError):
        raise RefusalError(400, "Unexpected end of form") from None


async def _from_delimiter(blocks: AsyncIterator[bytes], boundary: str) -> AsyncIterator[bytes]:
    """The blocks without the preamble (PARSE-23), which the parser judges by how it is cut."""
    delimiter = f"\r\n--{boundary}".encode()
    before, found = b"\r\n", -1
    most = _HEADER_BYTES + len(delimiter)
    async for block in blocks:
        if found < 0:
            before += block
            found = before.find(delimiter, 0, most)
            block = before[found + 2 :]  # noqa: PLW2901  without its line end
        if found >= 0:
            yield block
        elif len(before) >= most:
            return  # which is no form


class _Reader:
    """Writes the file, and collects the fields before it."""

    def __init__(self, begin: Callable[[dict[str, object]], Path], most: int) -> None:
        self._begin, self._most = begin, most
        self._form = Form()
        self._part: MultipartSegment | None = None
        self._value = bytearray()
        self._file: BufferedWriter | None = None
        self._digest = hashlib.sha256()

    async def read(self, blocks: AsyncIterator[bytes], parser: PushMultipartParser) -> Form:
        left = self._most + _BESIDE  # what is ignored must end, too
        try:
            async for block in blocks:
                left -= len(block)
                if left < 0:
                    raise RefusalError(413, "the form is too large: much more than its file")
                if parser.closed:
                    continue  # PARSE-23: the epilogue, read and ignored
                for event in parser.parse(block):
                    await self._take(event)
        finally:
            if self._file is not None:
                self._file.close()
        self._form.sha256 = self._digest.hexdigest()
        return self._form

    async def _take(self, event: MultipartSegment | bytes | None) -> None:
        if event is None:
            await self._end()
        elif not isinstance(event, bytes | bytearray):
            await self._start(event)
        elif self._file is not None:
            self._form.size += len(event)
            if self._form.size > self._most:
                raise RefusalError(413, f"the payload is larger than {self._most} bytes")
            self._digest.update(event)
            await asyncio.to_thread(self._file.write, event)
        elif not self._form.staged:
            self._value += event
            if len(self._value) > MAX_VALUE_BYTES:
                raise RefusalError(413, f"a field is larger than {MAX_VALUE_BYTES} bytes")

    async def _start(self, part: MultipartSegment) -> None:
        self._part = part
        if self._form.staged:
            return  # PARSE-07, PARSE-09: what follows the file is read and ignored
        if any(_CONTROL.search(value) for _, value in part.headerlist):
            raise RefusalError(400, "Malformed part header")  # PARSE-20
        if _is_ambiguous(part):
            raise RefusalError(400, "a part has a header or a parameter twice")
        if not _is_file(part):
            return
        if part.name != "payload":
            raise RefusalError(400, f'Unexpected file field "{part.name}"; expected "payload"')
        self._file = await asyncio.to_thread(self._begin(self._form.fields).open, "xb")
        self._form.staged = True

    async def _end(self) -> None:
        if self._file is not None:
            await asyncio.to_thread(self._file.close)
            self._file = None
        elif self._part is not None and not self._form.staged:
            _add(self._form.fields, self._part, bytes(self._value))
        self._value.clear()


def _is_file(part: MultipartSegment) -> bool:
    return part.disposition == "form-data" and (  # PARSE-03
        bool(part.filename) or part.content_type == _FILE_TYPE
    )


def _is_ambiguous(part: MultipartSegment) -> bool:
    """Whether readers that take the first or the last of two would see another part."""
    headers = [name for name, _ in part.headerlist]
    parameters = _PARAMETER.findall(part.header("Content-Disposition", "").lower())
    return len({*headers}) < len(headers) or len({*parameters}) < len(parameters)


def _add(fields: dict[str, object], part: MultipartSegment, value: bytes) -> None:
    if part.disposition != "form-data" or not part.name:  # PARSE-17
        return
    if part.name in FORBIDDEN:
        raise RefusalError(400, f'Multipart field "{part.name}" is not allowed')
    try:
        charset = codecs.lookup(part.charset or "utf-8").name
        text = value.decode(charset if charset in _CHARSETS else "no such")
    except (ValueError, LookupError):
        raise RefusalError(400, f"field {part.name[:60]!r} is no text in its charset") from None
    fields[part.name] = decoded(text)
    if len(fields) > MAX_FIELDS:
        raise RefusalError(413, f"the form has more than {MAX_FIELDS} fields")

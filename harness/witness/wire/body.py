"""The multipart body of an upload (RFC 7578, WIRE-03 to WIRE-05), read as it arrives, sans I/O."""

from collections.abc import Sequence
from enum import IntEnum, auto
from typing import ClassVar

from harness.witness.wire.content import MAX_VALUE, Field, FieldContent, FilePart, StrayContent
from harness.witness.wire.finding import MAX_FINDINGS, Findings, show
from harness.witness.wire.part import PartHead, read_part_head

MAX_FIELDS = 64
"""Fields that a peer keeps (PARSE-19)."""

MAX_PART_HEAD = 16 * 1024
"""Bytes of a part's header block that a peer reads (PARSE-20)."""


class _Step(IntEnum):
    CONTENT = auto()  # of a part, or before the first delimiter
    DELIMITED = auto()  # right after `--boundary`
    PART_HEAD = auto()
    EPILOGUE = auto()
    LOST = auto()  # the rest cannot be told apart any more: it is only counted


class FormBody:
    """Reads a multipart body: what came, and which rules it broke.

    Only CR can begin a delimiter, and no other byte of it is CR, because a boundary has none
    (RFC 2046 section 5.1.1). So when a delimiter that seemed to begin turns out to be content,
    no other one can have begun inside it: one count of matched bytes is all there is to hold back.
    """

    def __init__(self, boundary: bytes, mark_offsets: Sequence[int]) -> None:
        self.fields: list[Field] = []
        self.file: FilePart | None = None
        self.complete = False  # closing delimiter and its CRLF seen
        self.findings = Findings("body")
        self.length = 0
        self._mark_offsets = mark_offsets
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter has no CRLF of its own: it is as if the head's last one began it.
        self._came_from = 2  # index of the first delimiter byte that is part of the body
        self._matched = 2  # delimiter bytes seen so far
        self._step = _Step.CONTENT if boundary else _Step.LOST
        first = f"{show(self._delimiter[2:])} at the start of the body"
        self._content: FieldContent | FilePart | StrayContent | None = (
            StrayContent(0, first) if boundary else None
        )
        self._partial = bytearray()  # of a delimiter's line end, or of a part's header block
        self._line_at = 0  # in the header block: where its last line begins
        self._base = 0  # offset in the body of index 0 of the block being fed
        self._names: set[str] = set()
        self._field_count = 0
        self._padded = False  # the padding of this delimiter line was noted
        self._misplaced = False  # a part after the file was noted
        self._unknown_part = False  # a part could not be told: it may have been the file

    def feed(self, data: bytes | bytearray, pos: int, end: int) -> None:
        self._base = self.length - pos
        while pos < end:
            pos = self._STEPS[self._step](self, data, pos, end)
        self.length = self._base + end

    def finish(self, *, cut: bool) -> None:
        """Note what is missing at the end; a body that was `cut` in its framing is not blamed."""
        if not cut:
            self._release()
        elif self._step is _Step.EPILOGUE:
            return  # after a wrong chunk size, framing looks like an epilogue
        if isinstance(self._content, StrayContent) and self._content.finish(self.findings):
            return
        if cut or self._step in (_Step.EPILOGUE, _Step.LOST):
            return
        if self._step is _Step.DELIMITED and self._partial.startswith(b"--"):
            self._note("WIRE-03", self.length, "CRLF after the closing delimiter", "the end")
        else:
            requirement = "PARSE-21" if self.file is None else "PARSE-22"
            missing = f"{show(self._delimiter[2:])}-- and CRLF"
            self._note(requirement, self.length, missing, "the end of the body")

    # Each step reads some of data[pos:end] and returns where it stopped.

    def _content_step(self, data: bytes | bytearray, pos: int, end: int) -> int:
        if self._matched:
            return self._delimiter_step(data, pos, end)
        at = data.find(self._delimiter, pos, end)
        if at >= 0:
            self._take_in(data, pos, at)
            self._end_part()
            return at + len(self._delimiter)
        # Only the last CR can have begun a delimiter that goes on in the next block.
        begun = data.rfind(b"\r", max(pos, end - len(self._delimiter) + 1), end)
        if begun >= 0 and self._delimiter.startswith(data[begun:end]):
            self._take_in(data, pos, begun)
            self._matched = end - begun
        else:
            self._take_in(data, pos, end)
        return end

    def _delimiter_step(self, data: bytes | bytearray, pos: int, end: int) -> int:
        """Go on comparing a delimiter that began in an earlier block."""
        wanted = self._delimiter[self._matched : self._matched + end - pos]
        if data[pos : pos + len(wanted)] != wanted:
            self._release()
            return pos
        self._matched += len(wanted)
        if self._matched == len(self._delimiter):
            self._end_part()
        return pos + len(wanted)

    def _release(self) -> None:
        """What looked like the beginning of a delimiter was content."""
        begun, self._matched = self._matched, 0
        self._take_in(self._delimiter, self._came_from, begun)
        self._came_from = 0

    def _take_in(self, data: bytes | bytearray, start: int, end: int) -> None:
        if self._content is not None and start < end:
            self._content.update(data, start, end)

    def _end_part(self) -> None:
        self._matched = self._came_from = 0
        match self._content:
            case FilePart():
                self._content.complete = True
            case FieldContent():
                self._keep(self._content.finish())
            case StrayContent():
                self._content.finish(self.findings)
        self._content = None
        self._padded = False
        self._step = _Step.DELIMITED

    def _keep(self, field: Field) -> None:
        self.fields.append(field)
        if field.length > MAX_VALUE:
            expected = f"at most {MAX_VALUE} bytes in a field"
            came = f"{field.length} in {show(field.name.encode()[:40])}"
            self._note("PARSE-18", field.offset + MAX_VALUE, expected, came)
            return
        try:
            field.value.decode()
        except UnicodeDecodeError as error:
            came = f"byte 0x{field.value[error.start]:02x} in {show(field.name.encode()[:40])}"
            self._note("WIRE-12", field.offset + error.start, "a value in UTF-8", came)

    def _delimited_step(self, data: bytes | bytearray, pos: int, _end: int) -> int:
        """Read one byte of what follows `--boundary`."""
        self._partial.append(data[pos])
        came = bytes(self._partial)
        here = self._base + pos
        if came == b"\r\n":
            self._partial.clear()
            self._line_at = 0
            self._step = _Step.PART_HEAD
        elif came == b"--\r\n":
            self._close(here + 1, whole=True)
        elif came not in (b"\r", b"-", b"--", b"--\r"):
            self._bad_line_end(came, here)
        return pos + 1

    def _bad_line_end(self, came: bytes, offset: int) -> None:
        """A delimiter line that goes on with the wrong byte, the last of `came`."""
        closing = came.startswith(b"--")
        if came in (b" ", b"\t", b"-- ", b"--\t"):  # RFC 2046 section 5.1.1 has readers skip these
            self._partial.pop()
            if not self._padded:
                self._note("WIRE-03", offset, "no padding after a delimiter", show(came))
            self._padded = True
            return
        requirement = "PARSE-21" if came.endswith(b"\n") else "WIRE-03"
        expected = "CRLF after the closing delimiter" if closing else "CRLF or -- after a delimiter"
        self._note(requirement, offset, expected, show(came))
        if closing:
            self._close(offset + 1, whole=False)
        else:
            self._step = _Step.LOST

    def _close(self, offset: int, *, whole: bool) -> None:
        """The closing delimiter ended at `offset`; unless it is whole, what follows has no name."""
        self._step = _Step.EPILOGUE
        self.complete = whole
        if whole:
            self._content = StrayContent(offset, "nothing after the closing delimiter")
        if self.file is None and not self._unknown_part:
            came = f"{self._field_count} fields and no file"
            self._note("WIRE-05", offset, "a file part", came)

    def _part_head_step(self, data: bytes | bytearray, pos: int, end: int) -> int:
        """Read one line of a part's header block, or as much of it as there is."""
        begun = len(self._partial)
        stop = min(end, pos + MAX_PART_HEAD + 2 - begun)
        newline = data.find(b"\n", pos, stop)
        if newline >= 0:
            stop = newline + 1
        self._partial += data[pos:stop]
        here = self._base + stop
        line = bytes(self._partial[self._line_at :])
        if line in (b"\r\n", b"\n"):
            self._begin_part(bytes(self._partial[: self._line_at]), line, here)
        elif len(self._partial) == MAX_PART_HEAD + 2:
            expected = f"at most {MAX_PART_HEAD} bytes of part headers"
            self._note("PARSE-20", here - len(self._partial), expected, show(self._partial))
            self._unknown_part = True
            self._enter_content()
        elif newline >= 0:
            self._line_at = len(self._partial)
        return stop

    def _enter_content(self) -> None:
        self._partial.clear()
        self._step = _Step.CONTENT

    def _begin_part(self, raw: bytes, empty_line: bytes, content_at: int) -> None:
        self._enter_content()
        offset = content_at - len(empty_line) - len(raw)
        head = read_part_head(raw, offset)
        if empty_line == b"\n" and not head.findings:
            expected = "CRLF CRLF after the part headers"
            head.findings.note("PARSE-21", content_at - 1, expected=expected, came="LF alone")
        if head.is_file and self.file is not None:
            self._misplace(offset, "one file part", raw)
            return
        self.findings += head.findings[: MAX_FINDINGS - len(self.findings)]
        if head.name is None:
            self._unknown_part = True
        elif head.is_file:
            self.file = FilePart.begin(head, content_at, self._mark_offsets)
            self._content = self.file
        else:
            self._begin_field(head, head.name, offset, content_at)

    def _begin_field(self, head: PartHead, name: str, offset: int, content_at: int) -> None:
        self._field_count += 1
        if self.file is not None:
            self._misplace(offset, "no field after the file", head.raw)
        if name in self._names:
            self._note("WIRE-03", offset, "each field name once", show(head.raw))
        if self._field_count == MAX_FIELDS + 1:
            self._note("PARSE-19", offset, f"at most {MAX_FIELDS} fields", show(head.raw))
        if self._field_count <= MAX_FIELDS:
            self._names.add(name)
            self._content = FieldContent(head, content_at)

    def _misplace(self, offset: int, expected: str, raw: bytes) -> None:
        """Note the first part that comes after the file, and no other."""
        if not self._misplaced:
            self._note("WIRE-03", offset, expected, show(raw))
        self._misplaced = True

    def _pass_step(self, data: bytes | bytearray, pos: int, end: int) -> int:
        self._take_in(data, pos, end)
        return end

    def _note(self, requirement: str, offset: int, expected: str, came: str) -> None:
        self.findings.note(requirement, offset, expected=expected, came=came)

    _STEPS: ClassVar = {
        _Step.CONTENT: _content_step,
        _Step.DELIMITED: _delimited_step,
        _Step.PART_HEAD: _part_head_step,
        _Step.EPILOGUE: _pass_step,
        _Step.LOST: _pass_step,
    }

"""The multipart body of an upload (RFC 7578, WIRE-03 to WIRE-05), read without I/O."""

from collections.abc import Callable, Sequence

from deploy_relay_kit.harness.witness.wire.content import Data, Field, FilePart, StrayContent
from deploy_relay_kit.harness.witness.wire.finding import (
    MAX_FIELDS,
    MAX_FINDINGS,
    MAX_PART_HEAD,
    NECESSARY,
    Findings,
    Rule,
    show,
)
from deploy_relay_kit.harness.witness.wire.part import PartHead, read_part_head


class FormBody:
    """Reads a multipart body: its parts, and the rules that it breaks.

    Only CR can begin a delimiter, and no other byte of it is CR, because a boundary has none
    (RFC 2046 section 5.1.1). So when the beginning of a delimiter turns out to be content, no
    other delimiter can begin inside it: one count of matched bytes is enough.
    """

    def __init__(self, boundary: bytes, mark_offsets: Sequence[int]) -> None:
        self.fields: list[Field] = []
        self.file: FilePart | None = None
        self.complete = False  # closing delimiter and its CRLF seen
        self.findings = Findings()
        self.length = 0
        self._mark_offsets = mark_offsets
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter has no CRLF before it: the last CRLF of the head takes its place.
        self._first = 2  # index of the first delimiter byte that is part of the body
        self._matched = 2  # delimiter bytes seen so far
        self._step: _Step = FormBody._read_content if boundary else FormBody._count
        self._shown = show(self._delimiter[2:])
        self._content: Field | FilePart | StrayContent | None = (
            StrayContent(Rule.PREAMBLE, 0, delimiter=self._shown) if boundary else None
        )
        self._partial = bytearray()  # of a delimiter's line end, or of a part's header block
        self._line_at = 0  # in the header block: where its last line begins
        self._base = 0  # offset in the body of index 0 of the block being fed
        self._field_count = 0
        self._padded = False  # the padding of this delimiter line was noted
        self._unknown_part = False  # a part could not be read: it may have been the file

    def feed(self, data: Data, pos: int, end: int) -> None:
        self._base = self.length - pos
        while pos < end:
            pos = self._step(self, data, pos, end)
        self.length = self._base + end

    def finish(self, *, cut: bool) -> None:
        """Note what is missing at the end, unless the body was `cut` in its framing."""
        if not cut:
            self._release()
        elif self._step is FormBody._read_epilogue:
            return  # after a wrong chunk size, framing looks like an epilogue
        if isinstance(self._content, StrayContent) and self._content.finish(self.findings):
            return
        if cut or self._step in (FormBody._read_epilogue, FormBody._count):
            return
        if self._step is FormBody._read_delimiter_end and self._partial.startswith(b"--"):
            self.findings.note(Rule.CLOSING_DELIMITER_END, self.length, "the end")
        else:
            rule = Rule.CUT_BEFORE_FILE if self.file is None else Rule.CUT_AFTER_FILE
            self.findings.note(rule, self.length, "the end of the body", delimiter=self._shown)

    # Each step reads some of data[pos:end], returns where it stopped, and may set the next step.

    def _read_content(self, data: Data, pos: int, end: int) -> int:
        if self._matched:
            return self._read_delimiter(data, pos, end)
        at = data.find(self._delimiter, pos, end)
        if at >= 0:
            self._take_in(data, pos, at)
            self._end_part()
            return at + len(self._delimiter)
        # Only the last CR can begin a delimiter that continues in the next block.
        begun = data.rfind(b"\r", max(pos, end - len(self._delimiter) + 1), end)
        if begun >= 0 and self._delimiter.startswith(data[begun:end]):
            self._take_in(data, pos, begun)
            self._matched = end - begun
        else:
            self._take_in(data, pos, end)
        return end

    def _read_delimiter(self, data: Data, pos: int, end: int) -> int:
        """Compare the rest of a delimiter that began in an earlier block."""
        wanted = self._delimiter[self._matched : self._matched + end - pos]
        if data[pos : pos + len(wanted)] != wanted:
            self._release()
            return pos
        self._matched += len(wanted)
        if self._matched == len(self._delimiter):
            self._end_part()
        return pos + len(wanted)

    def _release(self) -> None:
        """The matched beginning of a delimiter was content."""
        begun, self._matched = self._matched, 0
        self._take_in(self._delimiter, self._first, begun)
        self._first = 0

    def _take_in(self, data: Data, start: int, end: int) -> None:
        if self._content is not None and start < end:
            self._content.update(data, start, end)

    def _end_part(self) -> None:
        if isinstance(self._content, StrayContent):
            if not self._content.finish(self.findings) and not self._first:  # an empty line alone
                self.findings.note(Rule.PREAMBLE, 0, show(b"\r\n"), delimiter=self._shown)
        elif self._content is not None:
            self._content.finish(self.findings)
        self._matched = self._first = 0
        if isinstance(self._content, Field):
            self.fields.append(self._content)
        self._content = None
        self._padded = False
        self._step = FormBody._read_delimiter_end

    def _read_delimiter_end(self, data: Data, pos: int, _end: int) -> int:
        """Read one byte of what follows `--boundary`."""
        self._partial.append(data[pos])
        got = bytes(self._partial)
        here = self._base + pos
        if got == b"\r\n":
            self._partial.clear()
            self._line_at = 0
            self._step = FormBody._read_part_head
        elif got == b"--\r\n":
            self._close(here + 1, whole=True)
        elif got in (b" ", b"\t", b"-- ", b"--\t"):  # readers skip these (RFC 2046 section 5.1.1)
            self._partial.pop()
            if not self._padded:
                self.findings.note(Rule.DELIMITER_PADDING, here, show(got))
            self._padded = True
        elif got not in (b"\r", b"-", b"--", b"--\r"):
            self._bad_line_end(got, here)
        return pos + 1

    def _bad_line_end(self, got: bytes, offset: int) -> None:
        """Note a delimiter line with a wrong byte, the last of `got`."""
        is_lf = got.endswith(b"\n")
        if got.startswith(b"--"):
            rule = Rule.CLOSING_DELIMITER_LF if is_lf else Rule.CLOSING_DELIMITER_END
            self.findings.note(rule, offset, show(got))
            self._close(offset + 1, whole=False)
        else:
            rule = Rule.DELIMITER_LF if is_lf else Rule.DELIMITER_END
            self.findings.note(rule, offset, show(got))
            self._step = FormBody._count

    def _close(self, offset: int, *, whole: bool) -> None:
        """The closing delimiter ended at `offset`; unless it is whole, the rest is not judged."""
        self._step = FormBody._read_epilogue
        self.complete = whole
        if whole:
            self._content = StrayContent(Rule.AFTER_CLOSING_DELIMITER, offset)
        if self.file is None and not self._unknown_part:
            self.findings.note(Rule.FILE_MISSING, offset, f"{self._field_count} fields and no file")

    def _read_part_head(self, data: Data, pos: int, end: int) -> int:
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
            begin = here - len(self._partial)
            self.findings.note(Rule.PART_HEAD_LENGTH, begin, show(self._partial))
            self._unknown_part = True
            self._enter_content()
        elif newline >= 0:
            self._line_at = len(self._partial)
        return stop

    def _enter_content(self) -> None:
        self._partial.clear()
        self._step = FormBody._read_content

    def _begin_part(self, raw: bytes, empty_line: bytes, content_at: int) -> None:
        self._enter_content()
        offset = content_at - len(empty_line) - len(raw)
        head = read_part_head(raw, offset)
        if empty_line == b"\n" and not head.findings:
            head.findings.note(Rule.PART_HEAD_LF, content_at - 1, "LF alone")
        if head.is_file and self.file is not None:
            self._misplace(Rule.SECOND_FILE, offset, raw)
            return
        self.findings += head.findings[: MAX_FINDINGS - len(self.findings)]
        if head.name is None:
            self._unknown_part = True
        elif head.is_file:
            self.file = self._content = FilePart(
                head.name, raw, content_at, head.filename, head.content_type
            )
            self.file.mark_at(self._mark_offsets)
        else:
            self._begin_field(head, head.name, offset, content_at)

    def _begin_field(self, head: PartHead, name: str, offset: int, content_at: int) -> None:
        self._field_count += 1
        if self.file is not None:
            self._misplace(Rule.FIELD_AFTER_FILE, offset, head.raw)
        if any(field.name == name for field in self.fields):
            self.findings.note(Rule.FIELD_TWICE, offset, show(head.raw))
        if self._field_count > MAX_FIELDS and name in NECESSARY:
            self.findings.note(Rule.FIELD_COUNT, offset, show(head.raw))
        if self._field_count <= MAX_FIELDS:
            self._content = Field(name, head.raw, content_at)

    def _misplace(self, rule: Rule, offset: int, raw: bytes) -> None:
        """Note the first part after the file, and no other."""
        if not any(it.rule in (Rule.SECOND_FILE, Rule.FIELD_AFTER_FILE) for it in self.findings):
            self.findings.note(rule, offset, show(raw))

    def _read_epilogue(self, data: Data, _pos: int, end: int) -> int:
        self._take_in(data, _pos, end)
        return end

    def _count(self, _data: Data, _pos: int, end: int) -> int:
        """The rest has no readable parts: only count it."""
        return end


_Step = Callable[[FormBody, Data, int, int], int]

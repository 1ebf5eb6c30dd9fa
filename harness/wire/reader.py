"""The judge's reader of one upload request."""

import re
from collections.abc import Sequence

from harness.wire.body import FormBody
from harness.wire.content import Field, FilePart
from harness.wire.finding import Finding, Findings, show
from harness.wire.framing import Framing, framing_reader
from harness.wire.head import read_head

MAX_EXCESS = 64 * 1024
"""Bytes kept of what came after the end of the message."""

_HEAD_END = re.compile(rb"\n\r?\n")


class UploadReader:
    """Reads one upload request as its bytes arrive, sans I/O: what was sent, and what broke a rule.

    Of the payload it keeps two windows of 256 bytes, of each field at most 1 MiB. One defect makes
    one finding where that can be done: after a syntax error the reader goes on where the bytes
    have only one meaning, and else only counts them.
    """

    def __init__(self, head: bytes, *, mark_offsets: Sequence[int] = ()) -> None:
        """Begin with the raw request head, from request line to empty line.

        Args:
            head: As it came.
            mark_offsets: File lengths in bytes at which `FilePart.marks` gets the hash so far.
        """
        parsed = read_head(head)
        self.answered = False
        """Set it once the final answer is sent: later bytes may be the next request."""
        self._head_findings = parsed.findings
        self._end_findings = Findings("framing")
        self._body = FormBody(parsed.boundary, mark_offsets)
        self._framing = framing_reader(parsed, self._body.feed)
        self.framing: Framing = self._framing.framing
        self._excess = bytearray()
        self._closed = False
        if self.complete and self.framing.kind == "length":
            self._body.finish(cut=False)

    def feed(
        self, data: bytes | bytearray | memoryview, start: int = 0, end: int | None = None
    ) -> None:
        """Read `data[start:end]`, the next raw bytes after the head, cut anywhere.

        No reference to `data` is kept. A bytearray or bytes is read in place; a memoryview, which
        cannot be searched, is copied first.
        """
        block = bytes(data) if isinstance(data, memoryview) else data
        stop = len(block) if end is None else end
        if not self.complete:
            start = self._framing.feed(block, start, stop)
            if self.framing.terminated:
                self._body.finish(cut=False)
        if start < stop:
            self._keep_excess(block, start, stop)

    def close(self, reason: str = "connection closed") -> None:
        """No more bytes will come: note what is missing. `reason` is shown in the finding."""
        if not self._closed and not self.complete:
            self._framing.close(reason)
            self._body.finish(cut=True)
        self._closed = True

    def _keep_excess(self, data: bytes | bytearray, start: int, end: int) -> None:
        """WIRE-13: nothing follows the message before it is answered."""
        if not self.framing.bytes_after and not self.answered and self.framing.kind != "none":
            self._end_findings.note(
                "WIRE-13",
                self.framing.length,
                expected="nothing after the end of the body until the answer",
                came=f"more bytes, the first {show(data[start : start + 1])}",
            )
        self.framing.bytes_after += end - start
        self._excess += data[start : min(end, start + MAX_EXCESS - len(self._excess))]

    @property
    def complete(self) -> bool:
        """Whether the message has ended: last chunk, or Content-Length reached."""
        return self.framing.terminated

    @property
    def body_complete(self) -> bool:
        """Whether the closing delimiter and its CRLF were seen, maybe before `complete`."""
        return self._body.complete

    @property
    def file_started(self) -> bool:
        """Whether the headers of a file part were read (a peer may answer now, EARLY-01)."""
        return self._body.file is not None

    @property
    def received(self) -> int:
        """Raw bytes of the message body so far, with framing."""
        return self.framing.length

    @property
    def body_length(self) -> int:
        """Bytes of the de-chunked body so far."""
        return self._body.length

    @property
    def findings(self) -> list[Finding]:
        """The broken rules so far: of the head, of the framing, of the body."""
        return [
            *self._head_findings,
            *self._framing.findings,
            *self._end_findings,
            *self._body.findings,
        ]

    @property
    def fields(self) -> list[Field]:
        """The whole fields so far, in order, at most 64 (PARSE-19)."""
        return self._body.fields

    @property
    def file(self) -> FilePart | None:
        """The file part, from its headers on; grows while it is read."""
        return self._body.file

    @property
    def excess(self) -> bytes:
        """What came after the end of the message, at most 64 KiB of it."""
        return bytes(self._excess)


def check_upload(raw: bytes) -> list[Finding]:
    """Return the rules that a whole raw request, head and body, breaks."""
    match = _HEAD_END.search(raw)
    head_length = match.end() if match else len(raw)
    reader = UploadReader(raw[:head_length])
    reader.feed(raw[head_length:])
    reader.close("the end")
    return reader.findings

"""The judge's reader of one upload request."""

import re
from collections.abc import Sequence

from harness.witness.wire.body import FormBody
from harness.witness.wire.content import Field, FilePart
from harness.witness.wire.finding import Finding, Findings, show
from harness.witness.wire.head import read_head
from harness.witness.wire.message import MessageReader

_HEAD_END = re.compile(rb"\n\r?\n")


class UploadReader(MessageReader):
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
        self._body = FormBody(parsed.boundary, mark_offsets)
        self._end_findings = Findings("framing")
        super().__init__(parsed, self._body.feed)
        if self.complete and self.framing.kind == "length":
            self._ended(cut=False)

    def _keep_excess(self, data: bytes | bytearray, start: int, end: int) -> None:
        """WIRE-13: nothing follows the message before it is answered."""
        if not self.framing.bytes_after and not self.answered and self.framing.kind != "none":
            self._end_findings.note(
                "WIRE-13",
                self.framing.length,
                expected="nothing after the end of the body until the answer",
                came=f"more bytes, the first {show(data[start : start + 1])}",
            )
        super()._keep_excess(data, start, end)

    def _ended(self, *, cut: bool) -> None:
        self._body.finish(cut=cut)

    @property
    def body_complete(self) -> bool:
        """Whether the closing delimiter and its CRLF were seen, maybe before `complete`."""
        return self._body.complete

    @property
    def file_started(self) -> bool:
        """Whether the headers of a file part were read (a peer may answer now, EARLY-01)."""
        return self._body.file is not None

    @property
    def findings(self) -> list[Finding]:
        """The broken rules so far: of the head, of the framing, of the body."""
        return [*super().findings, *self._end_findings, *self._body.findings]

    @property
    def fields(self) -> list[Field]:
        """The whole fields so far, in order, at most 64 (PARSE-19)."""
        return self._body.fields

    @property
    def file(self) -> FilePart | None:
        """The file part, from its headers on; grows while it is read."""
        return self._body.file


def check_upload(raw: bytes) -> list[Finding]:
    """Return the rules that a whole raw request, head and body, breaks."""
    match = _HEAD_END.search(raw)
    head_length = match.end() if match else len(raw)
    reader = UploadReader(raw[:head_length])
    reader.feed(raw[head_length:])
    reader.close("the end")
    return reader.findings

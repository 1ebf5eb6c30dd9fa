"""Readers of one request: they find its end, keep what a witness shows, and judge it."""

import re
from collections.abc import Sequence

from deploy_relay_kit.harness.witness.wire.body import FormBody
from deploy_relay_kit.harness.witness.wire.content import Data, Field, FilePart
from deploy_relay_kit.harness.witness.wire.finding import Finding, Rule, show
from deploy_relay_kit.harness.witness.wire.framing import (
    ChunkedReader,
    Deliver,
    Framing,
    LengthReader,
)
from deploy_relay_kit.harness.witness.wire.head import RequestHead, read_head, read_operation_head

MAX_EXCESS = 64 * 1024  # bytes kept after the end of the message
MAX_BEGIN = 16 * 1024  # bytes kept of the beginning of a raw body
MAX_END = 512  # bytes kept of its end
MAX_OPERATION = 64 * 1024  # bytes kept of the body of an operation in JSON
_HEAD_END = re.compile(rb"\n\r?\n")


class MessageReader:
    """Takes the framing off the body of one request as its bytes arrive, without I/O."""

    def __init__(self, head: RequestHead, deliver: Deliver) -> None:
        self.answered = False
        """Set it once the final answer is sent: later bytes may be the next request."""
        self._head = head
        framing_reader = ChunkedReader if head.framing == "chunked" else LengthReader
        self._framing = framing_reader(head, deliver)
        self.framing: Framing = self._framing.framing
        self._excess = bytearray()
        self._closed = False
        self._begin = bytearray()
        self._end = b""

    def feed(self, data: Data | memoryview, start: int = 0, end: int | None = None) -> None:
        """Read `data[start:end]`, the next raw bytes after the head, cut anywhere.

        No reference to `data` is kept. A bytearray or bytes is read in place; a memoryview, which
        cannot be searched, is copied first.
        """
        block = bytes(data) if isinstance(data, memoryview) else data
        stop = len(block) if end is None else end
        if not self.complete:
            begun, start = start, self._framing.feed(block, start, stop)
            self._keep_window(block, begun, start)
            if self.framing.terminated:
                self._ended(cut=False)
        if start < stop:
            self._keep_excess(block, start, stop)

    def close(self, reason: str = "connection closed") -> None:
        """No more bytes will come: note what is missing. `reason` is shown in the finding."""
        if not self._closed and not self.complete:
            self._framing.close(reason)
            self._ended(cut=True)
        self._closed = True

    def _ended(self, *, cut: bool) -> None:
        """The message has ended; `cut` before it was whole."""

    def _keep_window(self, data: Data, start: int, end: int) -> None:
        """Keep the first and the last bytes of the raw body."""
        room = MAX_BEGIN - len(self._begin)
        if room > 0:
            self._begin += data[start : min(end, start + room)]
        self._end = (self._end + bytes(data[max(start, end - MAX_END) : end]))[-MAX_END:]

    def _keep_excess(self, data: Data, start: int, end: int) -> None:
        """Keep bytes after the end of the message."""
        self.framing.bytes_after += end - start
        self._excess += data[start : min(end, start + MAX_EXCESS - len(self._excess))]

    @property
    def complete(self) -> bool:
        """Whether the message has ended: last chunk, or Content-Length reached."""
        return self.framing.terminated

    @property
    def received(self) -> int:
        """Raw bytes of the message body so far, with framing."""
        return self.framing.length

    @property
    def begin(self) -> bytes:
        """The first bytes of the raw body, with framing, at most 16 KiB."""
        return bytes(self._begin)

    @property
    def end(self) -> bytes:
        """The last bytes of the raw body, at most 512 of those that `begin` does not have."""
        beyond = self.received - len(self._begin)
        return self._end[-beyond:] if beyond > 0 else b""

    @property
    def findings(self) -> list[Finding]:
        """The broken rules so far: of the head, of the framing."""
        return [*self._head.findings, *self._framing.findings]

    @property
    def excess(self) -> bytes:
        """The bytes after the end of the message, at most 64 KiB of them."""
        return bytes(self._excess)


class OperationReader(MessageReader):
    """Reads one operation in JSON: any legal framing, and a small body, which is kept.

    Its findings are those of HTTP itself (RFC 9112 sections 6 and 7).
    """

    def __init__(self, head: bytes) -> None:
        """Begin with the raw request head, from request line to empty line."""
        self._content = bytearray()
        self.length = 0
        """Bytes of the body so far, without framing."""
        super().__init__(read_operation_head(head), self._take_in)

    def _take_in(self, data: Data, start: int, end: int) -> None:
        self._content += data[start : min(end, start + MAX_OPERATION - len(self._content))]
        self.length += end - start

    @property
    def content(self) -> bytes:
        """The body so far, without framing, at most 64 KiB of it."""
        return bytes(self._content)

    @property
    def too_long(self) -> bool:
        return max(self.length, self._head.content_length) > MAX_OPERATION

    @property
    def broken(self) -> bool:
        """Whether the end of the body can no longer be found."""
        return bool(self.findings)

    @property
    def decided(self) -> bool:
        """Whether no later byte can change the answer."""
        return self.complete or self.too_long or self.broken


class UploadReader(MessageReader):
    """Reads one upload request as its bytes arrive, without I/O, and judges it.

    It keeps two windows of 256 bytes of the payload, and at most 1 MiB of each field. One defect
    makes one finding where that is possible: after a syntax error the reader continues where the
    bytes have only one meaning, and otherwise only counts them.
    """

    def __init__(self, head: bytes, *, mark_offsets: Sequence[int] = ()) -> None:
        """Begin with the raw request head, from request line to empty line.

        Args:
            head: The raw bytes.
            mark_offsets: File lengths in bytes at which `FilePart.marks` gets the hash so far.
        """
        parsed = read_head(head)
        self._body = FormBody(parsed.boundary, mark_offsets)
        super().__init__(parsed, self._body.feed)
        if self.complete and self.framing.kind == "length":
            self._ended(cut=False)

    def _keep_excess(self, data: Data, start: int, end: int) -> None:
        """WIRE-13: nothing follows the message before it is answered."""
        if not self.framing.bytes_after and not self.answered and self.framing.kind != "none":
            got = f"more bytes, the first {show(data[start : start + 1])}"
            self._framing.findings.note(Rule.AFTER_BODY, self.framing.length, got)
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
        return [*super().findings, *self._body.findings]

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
    if not isinstance(raw, bytes):
        raise TypeError(f"raw must be bytes, the whole request, not {raw!r}")
    match = _HEAD_END.search(raw)
    head_length = match.end() if match else len(raw)
    reader = UploadReader(raw[:head_length])
    reader.feed(raw[head_length:])
    reader.close("the end")
    return reader.findings

"""Where the body of one request begins and ends, whatever is in it, sans I/O."""

from harness.witness.wire.finding import Finding
from harness.witness.wire.framing import Deliver, Framing, framing_reader
from harness.witness.wire.head import RequestHead

MAX_EXCESS = 64 * 1024
"""Bytes kept of what came after the end of the message."""


class MessageReader:
    """Takes the framing off the body of one request as its bytes arrive."""

    def __init__(self, head: RequestHead, deliver: Deliver) -> None:
        self.answered = False
        """Set it once the final answer is sent: later bytes may be the next request."""
        self._head_findings = head.findings
        self._framing = framing_reader(head, deliver)
        self.framing: Framing = self._framing.framing
        self._excess = bytearray()
        self._closed = False

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

    def _keep_excess(self, data: bytes | bytearray, start: int, end: int) -> None:
        """Take in bytes behind the end of the message."""
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
    def findings(self) -> list[Finding]:
        """The broken rules so far: of the head, of the framing."""
        return [*self._head_findings, *self._framing.findings]

    @property
    def excess(self) -> bytes:
        """What came after the end of the message, at most 64 KiB of it."""
        return bytes(self._excess)

"""The reader of an operation in JSON: any legal framing, and a small body, which is kept."""

from harness.witness.wire.head import read_framing
from harness.witness.wire.message import MessageReader

MAX_OPERATION = 64 * 1024
"""Bytes of body that a fake peer takes for an operation without an upload."""


class OperationReader(MessageReader):
    """Reads one operation. Its findings are those of HTTP itself (RFC 9112 sections 6 and 7)."""

    def __init__(self, head: bytes) -> None:
        """Begin with the raw request head, from request line to empty line."""
        self._content = bytearray()
        self.length = 0
        """Bytes of the body so far, without framing."""
        parsed = read_framing(head)
        super().__init__(parsed, self._take_in)
        self._announced = parsed.content_length

    def _take_in(self, data: bytes | bytearray, start: int, end: int) -> None:
        self._content += data[start : min(end, start + MAX_OPERATION - len(self._content))]
        self.length += end - start

    @property
    def content(self) -> bytes:
        """The body so far, without framing, at most 64 KiB of it."""
        return bytes(self._content)

    @property
    def too_long(self) -> bool:
        return max(self.length, self._announced) > MAX_OPERATION

    @property
    def broken(self) -> bool:
        """Whether the end of the body can no longer be told."""
        return bool(self._head_findings or self._framing.findings)

    @property
    def decided(self) -> bool:
        """Whether nothing that may still come would change the answer."""
        return self.complete or self.too_long or self.broken

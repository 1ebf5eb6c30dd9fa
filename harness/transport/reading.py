"""Reads of a connection up to a mark: a request head, a line."""

from __future__ import annotations

from harness.transport.connection import Connection
from harness.witness.moments import MomentKind

HEAD_LIMIT = 64 * 1024
"""Bytes of a request head that a peer reads."""

_HEAD_END = b"\r\n\r\n"


def read_head(connection: Connection) -> bytes | None:
    """The raw request head with its empty line, and with the empty lines before it.

    None when the client closed before the end of a head; 64 KiB of a longer head.

    Raises:
        ConnectionEnded: no whole head within the time.
    """
    head = b""
    while not head.strip(b"\r\n") and len(head) < HEAD_LIMIT:
        more = _read_through(connection, _HEAD_END, HEAD_LIMIT - len(head))
        head += more
        if not more.endswith(_HEAD_END):
            break
    is_whole = head.endswith(_HEAD_END) and head.strip(b"\r\n")
    if is_whole or len(head) >= HEAD_LIMIT:
        return head
    if head:
        connection.witness.note(MomentKind.HEAD_CUT, size=len(head))
    return None


def read_line(connection: Connection, limit: int) -> bytes:
    """One line with its LF, cut at `limit` bytes."""
    return _read_through(connection, b"\n", limit)


def _read_through(connection: Connection, mark: bytes, limit: int) -> bytes:
    data = bytearray()
    block = memoryview(bytearray(16 * 1024))
    while True:
        count = connection.read_into(block)
        searched = max(0, len(data) - len(mark) + 1)
        data += block[:count]
        end = data.find(mark, searched)
        if end >= 0 or count == 0 or len(data) >= limit:
            cut = min(end + len(mark) if end >= 0 else len(data), limit)
            connection.unread(bytes(data[cut:]))
            return bytes(data[:cut])

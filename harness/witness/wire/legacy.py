"""A reader of a deploy as one CBOR map (RFC 8949), as peers older than 5.1 take it (VER-03)."""

import struct
from typing import Any

from deploy_relay_kit.harness.witness.wire.content import Data, FilePart
from deploy_relay_kit.harness.witness.wire.finding import Findings
from deploy_relay_kit.harness.witness.wire.reader import MAX_OPERATION, OperationReader

PAYLOAD = "payload"
_MAX_DEPTH = 100
_BYTES, _ARRAYS, _MAPS, _OTHERS = 2, 4, 5, 7  # major types of section 3.1
_SIMPLE = {20: False, 21: True, 22: None, 23: None}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_LENGTHS = {24: 1, 25: 2, 26: 4, 27: 8}
_IN_HEAD = 24


class LegacyReader(OperationReader):
    """Reads a map member by member; the member `payload`, if it is bytes, becomes the file.

    The bytes of the file are not kept. The other members must fit into 64 KiB together.

    Attributes:
        members: the other members so far, in their order.
        file: the payload, from its head on; None before that.
        malformed: whether the body is no such map.
    """

    def __init__(self, head: bytes) -> None:
        """Begin with the raw request head, from request line to empty line."""
        self.members: dict[str, Any] = {}
        self.file: FilePart | None = None
        self.malformed = False
        self._left: int | None = None  # members to come; None before the head of the map
        self._of_file = 0  # bytes of the file to come
        super().__init__(head)

    @property
    def whole(self) -> bool:
        """Whether the map has ended, with the end of the body."""
        return self.complete and self._left == 0 and not self._of_file and not self._content

    @property
    def body(self) -> dict[str, Any]:
        """The operation; its payload is the file."""
        return self.members if self.file is None else {**self.members, PAYLOAD: self.file}

    @property
    def too_long(self) -> bool:
        return len(self._content) >= MAX_OPERATION

    def _take_in(self, data: Data, start: int, end: int) -> None:
        self.length += end - start
        start = self._to_file(data, start, end)
        if start < end and not self.malformed:
            self._content += data[start : min(end, start + MAX_OPERATION - len(self._content))]
            self._read_members()

    def _to_file(self, data: Data, start: int, end: int) -> int:
        if self.file is None or not self._of_file:
            return start
        stop = min(end, start + self._of_file)
        self.file.update(data, start, stop)
        self._of_file -= stop - start
        if not self._of_file:
            self.file.finish(Findings())
        return stop

    def _read_members(self) -> None:
        try:
            while self._left != 0 and not self._of_file:
                self._read_member()
        except IndexError:  # more bytes are needed
            return
        except ValueError:
            self.malformed = True

    def _read_member(self) -> None:
        items = _Items(self._content)
        if self._left is None:
            self._left = items.head(_MAPS)
            del self._content[: items.at]
            return
        name = items.read()
        if name == PAYLOAD and items.major == _BYTES:
            size, offset = items.head(_BYTES), self.length - len(self._content)
            self.file = FilePart(name, b"", offset + items.at, None, None)
            self._of_file = size
            self._left -= 1
            if not size:
                self.file.finish(Findings())
            kept = bytes(self._content[items.at :])
            self._content.clear()
            self._content += kept[self._to_file(kept, 0, len(kept)) :]
            return
        self.members[str(name)] = items.read()
        self._left -= 1
        del self._content[: items.at]


class _Items:
    """Data items one after another; IndexError where bytes are missing, ValueError if malformed."""

    def __init__(self, data: bytearray) -> None:
        self._data = data
        self.at = 0

    @property
    def major(self) -> int:
        """The major type of the next item."""
        return self._data[self.at] >> 5

    def head(self, expected: int) -> int:
        """The count of the next item, which must have the expected type."""
        if self.major != expected:
            raise ValueError(self.major)
        return self._count(self._take(1)[0] & 31)

    def read(self, depth: int = 0) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError(depth)
        major, low = divmod(self._take(1)[0], 1 << 5)
        if major == _OTHERS:
            return self._other(low)
        count = self._count(low)
        if major == _ARRAYS:
            return [self.read(depth + 1) for _ in range(count)]
        if major == _MAPS:
            return {str(self.read(depth + 1)): self.read(depth + 1) for _ in range(count)}
        return self._scalar(major, count)

    def _scalar(self, major: int, count: int) -> int | bytes | str:
        match major:
            case 0:
                return count
            case 1:
                return -1 - count
            case 2:
                return self._take(count)
            case 3:
                return self._take(count).decode()
        raise ValueError(major)  # a tag

    def _other(self, low: int) -> Any:
        if low in _FLOATS:
            return struct.unpack(_FLOATS[low], self._take(_LENGTHS[low]))[0]
        if low in _SIMPLE:
            return _SIMPLE[low]
        raise ValueError(low)

    def _count(self, low: int) -> int:
        if low < _IN_HEAD:
            return low
        if low not in _LENGTHS:  # of indefinite length
            raise ValueError(low)
        return int.from_bytes(self._take(_LENGTHS[low]), "big")

    def _take(self, count: int) -> bytes:
        if self.at + count > len(self._data):
            raise IndexError(count)
        taken = bytes(self._data[self.at : self.at + count])
        self.at += count
        return taken

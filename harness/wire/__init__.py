"""What one upload looked like on the wire: a strict, incremental reader that keeps no payload.

`UploadReader` takes the raw request head, then raw bytes in any blocks. It shares no code with any
sender, and judges with its own byte comparisons; `multipart` only helps it to read on where a
header is not as it should be.
"""

from harness.wire.content import Field, FilePart
from harness.wire.finding import Finding
from harness.wire.framing import Framing
from harness.wire.head import check_head
from harness.wire.message import MessageReader
from harness.wire.operation import OperationReader
from harness.wire.reader import UploadReader, check_upload

__all__ = [
    "Field",
    "FilePart",
    "Finding",
    "Framing",
    "MessageReader",
    "OperationReader",
    "UploadReader",
    "check_head",
    "check_upload",
]

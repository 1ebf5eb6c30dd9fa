"""What one upload looked like on the wire: a strict, incremental reader that keeps no payload.

`UploadReader` takes the raw request head, then raw bytes in any blocks. It shares no code with any
sender, and judges with its own byte comparisons; `multipart` only helps it to read on where a
header is not as it should be.
"""

from harness.witness.wire.content import Field, FilePart
from harness.witness.wire.finding import Finding
from harness.witness.wire.framing import Framing
from harness.witness.wire.head import check_head
from harness.witness.wire.message import MessageReader
from harness.witness.wire.operation import OperationReader
from harness.witness.wire.reader import UploadReader, check_upload

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

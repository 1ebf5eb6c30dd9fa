"""A strict, incremental reader of one request: its raw head, then raw bytes in any blocks.

It imports `harness.errors` and itself only, shares no code with any sender, and compares the bytes
itself; `multipart` only reads on where a header breaks a rule. Begin with `UploadReader` in
`reader.py`, and with `Rule` in `finding.py`, which lists every rule that an upload can break.
"""

from deploy_relay_kit.harness.witness.wire.content import Field, FilePart, NoFile
from deploy_relay_kit.harness.witness.wire.finding import Finding, Rule
from deploy_relay_kit.harness.witness.wire.framing import Framing
from deploy_relay_kit.harness.witness.wire.head import check_head
from deploy_relay_kit.harness.witness.wire.legacy import LegacyReader
from deploy_relay_kit.harness.witness.wire.reader import (
    MessageReader,
    OperationReader,
    UploadReader,
    check_upload,
)

__all__ = [
    "Field",
    "FilePart",
    "Finding",
    "Framing",
    "LegacyReader",
    "MessageReader",
    "NoFile",
    "OperationReader",
    "Rule",
    "UploadReader",
    "check_head",
    "check_upload",
]

"""The rules of the wire format, the findings of broken ones, and bytes shown to a person."""

from dataclasses import dataclass
from enum import Enum, unique
from typing import Literal

Layer = Literal["head", "framing", "body"]
"""The request head, the framing of the body (RFC 9112 section 7), the body (RFC 7578)."""

MAX_SHOWN = 120  # characters of `Finding.got`
_FIRST, _LAST = 70, 45  # of them, of its beginning and its end
MAX_FINDINGS = 50  # kept per layer: enough for a person, and a bound for a hostile sender
MAX_LINE = 4096  # bytes of a chunk-size or trailer line, with its line end
MAX_FIELDS = 64  # fields that a peer keeps (PARSE-19)
NECESSARY = ("operation", "project", "replicated")  # fields that a peer must not drop
MAX_VALUE = 1 << 20  # bytes of a field value that a peer keeps (PARSE-18)
MAX_PART_HEAD = 16 * 1024  # bytes of a part's header block that a peer reads (PARSE-20)


@unique
class Rule(Enum):
    """A rule that an upload can break.

    Attributes:
        layer: Where a reader sees it broken.
        id: The requirement that it belongs to, such as `WIRE-03`.
        expected: What a conforming sender writes; has a place for each value that varies.
    """

    EMPTY_LINE_FIRST = "head", "HTTP-01", "the request line first"
    REQUEST_LINE = "head", "HTTP-01", "POST <target> HTTP/1.1"
    TARGET_FRAGMENT = "head", "HTTP-01", "no fragment in the target"
    HEAD_LF = "head", "HTTP-01", "CRLF at the end of each line"
    HEAD_END = "head", "HTTP-01", "an empty line after the head"
    HEADER_LF = "head", "HTTP-01", "CRLF at the end of each header line"
    HEADER_FOLDED = "head", "HTTP-01", "each header on one line"
    HEADER_WITHOUT_NAME = "head", "HTTP-01", "a header name and a colon"
    HEADER_SPACE = "head", "HTTP-01", "no space between header name and colon"
    HEADER_CONTROL = "head", "HTTP-01", "no control byte in a header line"
    HOST = "head", "HTTP-01", "one host header"
    AUTHORIZATION = "head", "HTTP-01", "one authorization header"
    BEARER = "head", "HTTP-01", "the scheme Bearer, one space and a token"
    TOKEN = "head", "BUG-35", "a token of the characters ! to ~"
    CONTENT_ENCODING = "head", "HTTP-01", "no content-encoding header"
    CONTENT_TYPE_ONCE = "head", "WIRE-01", "one content-type header"
    CONTENT_TYPE = "head", "WIRE-01", "Content-Type: multipart/form-data; boundary=<unquoted>"
    BOUNDARY = "head", "WIRE-02", "a boundary of 1 to 70 letters, digits and '+_.-"
    EXPECT = "head", "WIRE-13", "no expect header"
    TRANSFER_ENCODING = "head", "WIRE-13", "one Transfer-Encoding: chunked"
    CONTENT_LENGTH = "head", "WIRE-13", "no Content-Length beside Transfer-Encoding"
    ONE_FRAMING = "head", "WIRE-13", "either Transfer-Encoding: chunked or one Content-Length"

    BODY_LENGTH = "framing", "WIRE-13", "{length} bytes of body"
    CHUNK_SIZE = "framing", "WIRE-13", "a chunk size in hexadecimal digits and CRLF"
    CHUNK_EXTENSION = "framing", "WIRE-13", "no chunk extension"
    CHUNK_CUT = "framing", "WIRE-13", "{left} more bytes of chunk {number}"
    CHUNK_END = "framing", "WIRE-13", "CRLF after the data of chunk {number}"
    LAST_CHUNK = "framing", "WIRE-13", "a last chunk of size 0"
    LAST_CHUNK_END = "framing", "WIRE-13", "an empty line after the last chunk"
    LAST_CHUNK_LF = "framing", "WIRE-13", "CRLF after the last chunk"
    LINE_LENGTH = "framing", "WIRE-13", f"a line of fewer than {MAX_LINE} bytes"
    TRAILER_LF = "framing", "WIRE-13", "CRLF at the end of each header line"
    TRAILER_FOLDED = "framing", "WIRE-13", "each header on one line"
    TRAILER_WITHOUT_NAME = "framing", "WIRE-13", "a header name and a colon"
    TRAILER_SPACE = "framing", "WIRE-13", "no space between header name and colon"
    TRAILER_CONTROL = "framing", "WIRE-13", "no control byte in a header line"
    AFTER_BODY = "framing", "WIRE-13", "nothing after the end of the body until the answer"

    PREAMBLE = "body", "WIRE-03", "{delimiter} at the start of the body"
    AFTER_CLOSING_DELIMITER = "body", "WIRE-03", "nothing after the closing delimiter"
    DELIMITER_PADDING = "body", "WIRE-03", "no padding after a delimiter"
    DELIMITER_END = "body", "WIRE-03", "CRLF or -- after a delimiter"
    DELIMITER_LF = "body", "PARSE-21", "CRLF or -- after a delimiter"
    CLOSING_DELIMITER_END = "body", "WIRE-03", "CRLF after the closing delimiter"
    CLOSING_DELIMITER_LF = "body", "PARSE-21", "CRLF after the closing delimiter"
    CUT_BEFORE_FILE = "body", "PARSE-21", "{delimiter}-- and CRLF"
    CUT_AFTER_FILE = "body", "PARSE-22", "{delimiter}-- and CRLF"
    FIELD_TWICE = "body", "KIT-09", "each field name once"
    FIELD_AFTER_FILE = "body", "WIRE-03", "no field after the file"
    FIELD_COUNT = "body", "PARSE-19", f"{', '.join(NECESSARY)} among the first {MAX_FIELDS}"
    SECOND_FILE = "body", "WIRE-03", "one file part"
    FILE_MISSING = "body", "WIRE-05", "a file part"
    PART_HEAD_LENGTH = "body", "PARSE-20", f"at most {MAX_PART_HEAD} bytes of part headers"
    PART_HEAD_LF = "body", "PARSE-21", "CRLF CRLF after the part headers"
    PART_HEADER_LF = "body", "PARSE-21", "CRLF at the end of each header line"
    PART_HEADER_FOLDED = "body", "PARSE-20", "each header on one line"
    PART_HEADER_WITHOUT_NAME = "body", "PARSE-20", "a header name and a colon"
    PART_HEADER_SPACE = "body", "PARSE-20", "no space between header name and colon"
    PART_HEADER_CONTROL = "body", "PARSE-20", "no control byte in a header line"
    DISPOSITION_MISSING = "body", "WIRE-04", "a Content-Disposition header"
    FIELD_DISPOSITION = "body", "WIRE-04", 'Content-Disposition: form-data; name="…"'
    FIELD_HEADER = "body", "WIRE-04", "no header but one Content-Disposition"
    FIELD_NAME_EMPTY = "body", "PARSE-16", "a name"
    NAME_UTF8 = "body", "WIRE-12", "a name in UTF-8"
    VALUE_UTF8 = "body", "WIRE-12", "a value in UTF-8"
    VALUE_LENGTH = "body", "PARSE-18", f"at most {MAX_VALUE} bytes in a field"
    FILE_DISPOSITION = (
        "body",
        "WIRE-05",
        'Content-Disposition: form-data; name="payload"; filename="package.tar.gz"',
    )
    FILE_TYPE = "body", "WIRE-05", "Content-Type: application/gzip"
    FILE_HEADER = "body", "WIRE-05", "Content-Disposition and Content-Type, once each"

    def __init__(self, layer: Layer, requirement: str, expected: str) -> None:
        self.layer = layer
        self.id = requirement
        self.expected = expected


@dataclass(frozen=True, slots=True, repr=False)
class Finding:
    """One broken rule.

    Attributes:
        rule: The rule.
        offset: In bytes from the start of the rule's layer; framing starts right after the head
            and counts raw bytes.
        expected: What a conforming sender writes there.
        got: What was seen, printable, at most 120 characters; no value of the request head.
    """

    rule: Rule
    offset: int
    expected: str
    got: str

    @property
    def id(self) -> str:
        """The requirement, such as `WIRE-03`."""
        return self.rule.id

    @property
    def layer(self) -> Layer:
        return self.rule.layer

    def __str__(self) -> str:
        where = f"{self.layer} byte {self.offset}"
        return f"{self.id}, {where}: expected {self.expected}, got {self.got}"

    def __repr__(self) -> str:
        return f"<Finding {self}>"

    @property
    def explained(self) -> str:
        """The finding, and the command that shows its reason and common mistakes."""
        return f"{self}; see relay-harness explain {self.id}"


class Findings(list[Finding]):
    """Findings in the order of discovery, at most `MAX_FINDINGS` of them."""

    def note(self, rule: Rule, offset: int, got: str, **values: object) -> None:
        """Add one finding unless the list is full; `values` vary in what the rule expects."""
        if len(self) < MAX_FINDINGS:
            expected = rule.expected.format_map(values)
            self.append(Finding(rule, offset, expected, _bounded(got)))


def show(data: bytes | bytearray) -> str:
    r"""Return `data` as one printable line of ASCII (`\r\n`, `\x00`, `\xff`), bounded."""
    if len(data) > MAX_SHOWN:
        data = data[:_FIRST] + b" ... " + data[-_LAST:]
    return _bounded(bytes(data).decode("latin-1").encode("unicode_escape").decode())


def quoted(data: bytes | bytearray) -> str:
    """Like `show`, but a backslash is one: JSON has escapes of its own."""
    return show(data).replace("\\\\", "\\")


def _bounded(text: str) -> str:
    """The text, without its middle when it is long: what is wrong may stand at its end."""
    return text if len(text) <= MAX_SHOWN else f"{text[:_FIRST]} … {text[-_LAST:]}"

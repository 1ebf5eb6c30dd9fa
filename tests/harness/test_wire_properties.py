"""Properties of the wire reader, on uploads that an independent encoder makes up."""

import hashlib
from dataclasses import dataclass

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploy_relay_kit.harness.witness.wire import UploadReader

_HEAD = (
    b"POST / HTTP/1.1\r\nHost: peer.test\r\nAuthorization: Bearer a.b.c\r\n"
    b"Content-Type: multipart/form-data; boundary=%s\r\nTransfer-Encoding: chunked\r\n\r\n"
)


@dataclass(frozen=True)
class Upload:
    """What one upload says."""

    boundary: bytes
    fields: dict[str, bytes]
    payload: bytes

    @property
    def head(self) -> bytes:
        return _HEAD % self.boundary

    @property
    def body(self) -> bytes:
        """The multipart body, without a single byte that could also be left out."""
        lines = []
        for name, value in self.fields.items():
            disposition = b'Content-Disposition:form-data; name="%s"' % name.encode()
            lines += [b"--" + self.boundary, disposition, b"", value]
        disposition = b'Content-Disposition:form-data; name="payload"; filename="package.tar.gz"'
        lines += [b"--" + self.boundary, disposition, b"Content-Type:application/gzip", b""]
        lines += [self.payload, b"--" + self.boundary + b"--", b""]
        return b"\r\n".join(lines)


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """Frame a body in chunks of these sizes, taken in turn."""
    framed = b""
    turn = 0
    while body:
        size = sizes[turn % len(sizes)]
        data, body = body[:size], body[size:]
        framed += b"%x\r\n" % len(data) + data + b"\r\n"
        turn += 1
    return framed + b"0\r\n\r\n"


def read(head: bytes, raw: bytes, step: int) -> UploadReader:
    reader = UploadReader(head)
    for start in range(0, len(raw), step):
        reader.feed(raw, start, min(len(raw), start + step))
    reader.close()
    return reader


_BOUNDARIES = st.from_regex(rb"[0-9A-Za-z'+_.-]{1,70}", fullmatch=True)
_NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters='"'),
    min_size=1,
    max_size=12,
)


@st.composite
def _uploads(draw: st.DrawFn) -> Upload:
    boundary = draw(_BOUNDARIES)
    # Pieces of a delimiter, so that near misses of every length come up.
    delimiter = b"\r\n--" + boundary
    pieces = [delimiter[:cut] for cut in range(1, len(delimiter))]
    pieces += [delimiter[1:], delimiter[2:] + b"--\r\n", b"\r", b"\n", b"-"]
    text = st.lists(st.one_of(st.sampled_from(pieces), st.text(max_size=4).map(str.encode)))
    data = st.lists(st.one_of(st.sampled_from(pieces), st.binary(max_size=9)), max_size=12)
    values = draw(st.dictionaries(_NAMES, text.map(b"".join), max_size=4))
    upload = Upload(boundary, values, draw(data.map(b"".join)))
    # What no sender can send: content that holds the delimiter itself.
    contents = [*values.values(), upload.payload]
    assume(not any(delimiter in b"\r\n" + content + b"\r\n" for content in contents))
    return upload


@settings(max_examples=150, derandomize=True)
@given(
    upload=_uploads(),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
    step=st.integers(1, 70),
)
def test_what_any_encoder_sends_is_read_back(upload: Upload, sizes: list[int], step: int) -> None:
    reader = read(upload.head, chunked(upload.body, sizes), step)
    assert reader.findings == []
    assert reader.complete
    assert reader.body_complete
    assert [(field.name, field.value) for field in reader.fields] == list(upload.fields.items())
    assert reader.file is not None
    assert reader.file.length == len(upload.payload)
    assert reader.file.sha256 == hashlib.sha256(upload.payload).hexdigest()


_SMALL = Upload(b"b", {"operation": b"deploy_component", "project": b"web"}, b"\x1f\x8bpayload")


def _told(reader: UploadReader) -> object:
    """What a change of one byte must not leave as it was."""
    sent = [(field.name, field.value) for field in reader.fields]
    return sent, reader.file and reader.file.sha256, reader.complete, reader.findings


def test_no_changed_byte_goes_unseen() -> None:
    """Each byte of the upload, in turn, replaced by another, deleted, or preceded by a stray one.

    The upload has no byte that RFC 9112 or RFC 7578 makes optional, and none of the changes is a
    change of case, or a zero before a chunk size.
    """
    raw = chunked(_SMALL.body, [100])
    unchanged = _told(read(_SMALL.head, raw, len(raw)))
    for at in range(len(raw)):
        byte = raw[at]
        for new in (b"", bytes([byte ^ 0x80]), bytes([byte ^ 1]), b"\x00%c" % byte):
            changed = raw[:at] + new + raw[at + 1 :]
            assert _told(read(_SMALL.head, changed, len(changed))) != unchanged, (at, new)


@settings(max_examples=150, derandomize=True)
@given(data=st.data())
def test_garbled_bytes_read_the_same_in_any_split(data: st.DataObject) -> None:
    """Whatever comes, the reader raises nothing and does not depend on the splits."""
    raw = bytearray(_SMALL.head + chunked(_SMALL.body, [50]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        stray = st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"--b", b":", b";", b'"', b" ", b"0"])
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(stray)
    head, rest = bytes(raw[: len(_SMALL.head)]), bytes(raw[len(_SMALL.head) :])
    whole, single = read(head, rest, len(rest)), read(head, rest, 1)
    assert _told(whole) == _told(single)
    assert whole.framing == single.framing


@settings(max_examples=150, derandomize=True)
@given(head=st.binary(max_size=200), rest=st.binary(max_size=200))
def test_any_bytes_at_all_raise_nothing(head: bytes, rest: bytes) -> None:
    assert read(head, rest, 3).findings

"""The wire reader on its vectors: each fed whole, byte by byte and at random splits."""

import hashlib
import random
import re
import tomllib
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from multipart import MultipartSegment, PushMultipartParser  # type: ignore[import-untyped]

from deploy_relay_kit.harness.witness.wire import Rule, UploadReader, check_head, check_upload

VECTORS = Path(__file__).parents[2] / "fixtures" / "wire"
VALID = sorted((VECTORS / "valid").glob("*.http"))
INVALID = sorted((VECTORS / "invalid").glob("*.http"))
EXPECTED = tomllib.loads((VECTORS / "invalid" / "expected.toml").read_text("utf-8"))

HEAD = (
    b"POST / HTTP/1.1\r\nHost: peer.test\r\nAuthorization: Bearer a.b.c\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
)
FILE_HEAD = (
    b'Content-Disposition: form-data; name="payload"; filename="package.tar.gz"\r\n'
    b"Content-Type: application/gzip\r\n"
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def cut_head(raw: bytes) -> tuple[bytes, bytes]:
    match = re.search(rb"\n\r?\n", raw)
    length = match.end() if match else len(raw)
    return raw[:length], raw[length:]


def read(raw: bytes, sizes: Iterable[int]) -> UploadReader:
    """Feed a request in blocks of these sizes out of one buffer that is overwritten each time."""
    head, rest = cut_head(raw)
    reader = UploadReader(head, mark_offsets=[0, 3, 5])
    buffer = bytearray(max(1, len(rest)))
    for size in sizes:
        block, rest = rest[:size], rest[size:]
        buffer[: len(block)] = block
        reader.feed(buffer, 0, len(block))
        buffer[: len(block)] = bytes(len(block))
    assert not rest
    reader.close("the end")
    return reader


def state(reader: UploadReader) -> dict[str, object]:
    """Everything that a reader tells about an upload."""
    told = {name: getattr(reader, name) for name in _TOLD}
    if reader.file is not None:
        told["file"] = {name: getattr(reader.file, name) for name in _TOLD_OF_THE_FILE}
    return told


_TOLD = [
    "findings",
    "fields",
    "framing",
    "excess",
    "complete",
    "body_complete",
    "file_started",
]
_TOLD_OF_THE_FILE = [
    "name",
    "filename",
    "content_type",
    "raw_header",
    "offset",
    "length",
    "complete",
    "first",
    "last",
    "marks",
    "sha256",
]


def random_sizes(total: int, seed: int) -> Iterator[int]:
    rng = random.Random(seed)
    while total > 0:
        size = min(total, rng.choice((0, 1, 2, 3, 5, 8, 40, 100)))
        total -= size
        yield size


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_upload_has_no_findings(path: Path) -> None:
    reader = read(path.read_bytes(), [1 << 20])
    assert reader.findings == []
    assert reader.complete
    assert reader.body_complete
    assert reader.file is not None
    assert reader.file.complete


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_upload_has_exactly_its_findings(path: Path) -> None:
    findings = check_upload(path.read_bytes())
    wanted: list[dict[str, Any]] = EXPECTED[path.name]["findings"]
    assert [(f.id, f.layer, f.offset) for f in findings] == [
        (w["id"], w["layer"], w["offset"]) for w in wanted
    ], [str(finding) for finding in findings]
    for finding, words in zip(findings, wanted, strict=True):
        assert words["expected"] in finding.expected
        assert words["got"] in finding.got
        assert len(finding.got) <= 120
        assert finding.got.replace("…", "").isascii()
        assert finding.got.isprintable()


def test_a_peer_may_drop_a_field_that_it_does_not_need() -> None:
    data = next(path for path in INVALID if path.stem == "sixty-five-fields").read_bytes()
    assert b'name="replicated"' in data
    assert check_upload(data.replace(b'name="replicated"', b'name="unneeded-x"')) == []


def test_every_rule_is_broken_by_a_vector() -> None:
    """But for a value of a mebibyte, and the framing of an operation in JSON: see test_mints."""
    broken = {finding.rule for path in INVALID for finding in check_upload(path.read_bytes())}
    assert set(Rule) - broken == {Rule.VALUE_LENGTH, Rule.ONE_FRAMING}


def test_the_table_names_every_invalid_vector_and_no_other() -> None:
    assert sorted(EXPECTED) == [path.name for path in INVALID]


@pytest.mark.parametrize("path", VALID + INVALID, ids=lambda path: path.stem)
def test_the_splits_do_not_matter(path: Path) -> None:
    raw = path.read_bytes()
    length = len(cut_head(raw)[1])
    whole = state(read(raw, [length]))
    assert state(read(raw, [1] * length)) == whole
    for seed in range(5):
        assert state(read(raw, random_sizes(length, seed))) == whole


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_multipart_reads_the_same_from_every_valid_upload(path: Path) -> None:
    head, rest = cut_head(path.read_bytes())
    boundary = re.search(rb"boundary=(\S+)", head)
    assert boundary is not None
    body = dechunk(rest)
    parts: list[tuple[str, str | None, bytes]] = []
    with PushMultipartParser(boundary[1], strict=True) as parser:
        for event in parser.parse(body):
            if isinstance(event, MultipartSegment):
                parts.append((event.name, event.filename, b""))
            elif event:
                name, filename, value = parts[-1]
                parts[-1] = name, filename, value + bytes(event)
    reader = read(path.read_bytes(), [1 << 20])
    assert reader.file is not None
    *fields, (name, filename, payload) = parts
    assert [(field.name, None, field.value) for field in reader.fields] == fields
    assert (reader.file.name, reader.file.filename) == (name, filename)
    assert reader.file.length == len(payload)
    assert reader.file.sha256 == hashlib.sha256(payload).hexdigest()


def dechunk(raw: bytes) -> bytes:
    """As plain as can be, for valid framing only."""
    body = b""
    while True:
        line, _, raw = raw.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            return body
        body += raw[:size]
        raw = raw[size + 2 :]


@pytest.mark.parametrize("name", ["usual", "one-byte-chunks", "trailers"])
def test_an_upload_cut_anywhere_is_incomplete_and_noted(name: str) -> None:
    raw = (VECTORS / "valid" / f"{name}.http").read_bytes()
    head, rest = cut_head(raw)
    for length in range(len(rest)):
        reader = read(head + rest[:length], [length])
        assert not reader.complete
        assert [finding.id for finding in reader.findings] == ["WIRE-13"]
    for length in range(len(head)):
        assert check_head(head[:length])


def test_an_upload_cut_short_by_its_content_length_is_incomplete_at_every_byte() -> None:
    raw = (VECTORS / "invalid" / "content-length-only.http").read_bytes()
    head, rest = cut_head(raw)
    for length in range(len(rest)):
        reader = read(head + rest[:length], [length])
        assert not reader.complete
        assert [finding.layer for finding in reader.findings] == ["head", "framing"]


def test_a_body_that_ends_early_in_whole_framing_is_noted_at_every_byte() -> None:
    body = dechunk(cut_head((VECTORS / "valid" / "usual.http").read_bytes())[1])
    for length in range(1, len(body)):
        reader = read(HEAD + chunk(body[:length]) + b"0\r\n\r\n", [1 << 20])
        assert reader.complete
        assert not reader.body_complete
        assert len(reader.findings) == 1


def test_what_was_sent_is_extracted() -> None:
    payload = bytes(range(256)) * 3
    body = (
        b'--b\r\nContent-Disposition: form-data; name="project"\r\n\r\nweb\r\n--b\r\n'
        + FILE_HEAD
        + b"\r\n"
        + payload
        + b"\r\n--b--\r\n"
    )
    reader = UploadReader(HEAD, mark_offsets=[768, 100, 0, 100, 9999])
    reader.feed(memoryview(chunk(body[:300]) + chunk(body[300:]) + b"0;x=y\r\nA: b\r\n\r\n"))
    assert [finding.rule for finding in reader.findings] == [Rule.CHUNK_EXTENSION]
    (field,) = reader.fields
    assert (field.name, field.value, field.length) == ("project", b"web", 3)
    assert field.sha256 == hashlib.sha256(b"web").hexdigest()
    assert field.raw_header == b'Content-Disposition: form-data; name="project"\r\n'
    assert body[field.offset :].startswith(b"web")
    file = reader.file
    assert file is not None
    assert (file.name, file.filename, file.content_type) == (
        "payload",
        "package.tar.gz",
        "application/gzip",
    )
    assert file.raw_header == FILE_HEAD
    assert body[file.offset : file.offset + file.length] == payload
    assert (file.first, file.last) == (payload[:256], payload[-256:])
    assert file.sha256 == hashlib.sha256(payload).hexdigest()
    assert file.marks == {n: hashlib.sha256(payload[:n]).hexdigest() for n in (0, 100, 768)}
    framing = reader.framing
    assert (framing.kind, framing.terminated, framing.bytes_after) == ("chunked", True, 0)
    assert (framing.chunks, framing.smallest, framing.largest) == (2, 300, len(body) - 300)
    assert framing.first_sizes == [300, len(body) - 300]
    assert (framing.extensions, framing.trailers) == ([b";x=y"], [b"A: b\r\n"])


def test_the_reader_tells_how_far_the_upload_has_come() -> None:
    reader = UploadReader(HEAD)
    steps = []
    for data in (b"--b\r\n", FILE_HEAD + b"\r\n", b"abc", b"\r\n--b--", b"\r\n"):
        reader.feed(chunk(data))
        steps.append((reader.file_started, reader.body_complete, reader.complete))
    reader.feed(b"0\r\n\r\n")
    steps.append((reader.file_started, reader.body_complete, reader.complete))
    no, yes = False, True
    assert steps == [
        (no, no, no),
        (yes, no, no),
        (yes, no, no),
        (yes, no, no),
        (yes, yes, no),
        (yes, yes, yes),
    ]


def test_bytes_after_the_answer_are_the_next_request() -> None:
    raw = (VECTORS / "valid" / "usual.http").read_bytes()
    head, rest = cut_head(raw)
    reader = UploadReader(head)
    reader.feed(rest[:-5])
    reader.answered = True
    reader.feed(rest[-5:] + b"GET / HTTP/1.1\r\n")
    assert reader.findings == []
    assert reader.excess == b"GET / HTTP/1.1\r\n"
    assert reader.framing.bytes_after == 16


def test_bytes_after_the_end_are_kept_up_to_a_bound() -> None:
    reader = UploadReader(*cut_head((VECTORS / "valid" / "usual.http").read_bytes())[:1])
    reader.feed(cut_head((VECTORS / "valid" / "usual.http").read_bytes())[1])
    for _ in range(3):
        reader.feed(bytes(50_000))
    assert len(reader.excess) == 65536
    assert reader.framing.bytes_after == 150_000
    assert len(reader.findings) == 1


def test_a_value_over_a_mebibyte_is_counted_and_hashed_but_not_kept() -> None:
    value = b"v" * ((1 << 20) + 1)
    body = b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\n' + value
    tail = b"\r\n--b\r\n" + FILE_HEAD + b"\r\n\r\n--b--\r\n"
    reader = read(HEAD + chunk(body + tail) + b"0\r\n\r\n", [1 << 16] * 17)
    (finding,) = reader.findings
    assert (finding.id, finding.offset) == ("PARSE-18", len(body) - 1)
    (field,) = reader.fields
    assert (len(field.value), field.length) == (1 << 20, len(value))
    assert field.sha256 == hashlib.sha256(value).hexdigest()


def test_part_headers_of_exactly_16_kib_are_right_and_one_more_byte_is_not() -> None:
    name_length = 16384 - len(b'Content-Disposition: form-data; name=""\r\n')
    for extra, wanted in ((0, []), (1, ["PARSE-20"])):
        part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\nv\r\n' % (
            b"n" * (name_length + extra)
        )
        body = part + b"--b\r\n" + FILE_HEAD + b"\r\n\r\n--b--\r\n"
        findings = check_upload(HEAD + chunk(body) + b"0\r\n\r\n")
        assert [finding.id for finding in findings] == wanted


@pytest.mark.parametrize("size_line", [b"0" * 16 + b"5", b"0x5", b"5 ", b"5\t;x"])
def test_the_size_of_a_later_chunk_is_judged_like_the_first(size_line: bytes) -> None:
    first = b"--b\r\n" + FILE_HEAD + b"\r\n"
    last = chunk(b"\r\n--b--\r\n") + b"0\r\n\r\n"
    reader = read(HEAD + chunk(first) + size_line + b"\r\nhello\r\n" + last, [1 << 20])
    assert [(f.id, f.layer) for f in reader.findings] == [("WIRE-13", "framing")]
    assert reader.framing.first_sizes[1] == 5
    assert reader.complete


def test_a_chunk_of_more_than_64_bits_loses_the_framing() -> None:
    reader = read(HEAD + b"1" + b"0" * 16 + b"\r\n" + bytes(99), [1 << 20])
    assert [(f.id, f.layer) for f in reader.findings] == [("WIRE-13", "framing")]
    assert reader.received == len(b"1" + b"0" * 16 + b"\r\n") + 99


def test_each_padded_delimiter_is_noted() -> None:
    body = b"--b \t\r\n" + FILE_HEAD + b"\r\n\r\n--b--  \r\n"
    findings = check_upload(HEAD + chunk(body) + b"0\r\n\r\n")
    assert [(f.id, f.offset) for f in findings] == [("WIRE-03", 3), ("WIRE-03", len(body) - 4)]


def test_a_body_is_not_read_with_a_boundary_that_no_body_can_have() -> None:
    head = HEAD.replace(b"boundary=b", b'boundary="b\r"')
    findings = check_upload(head + chunk(b"--b\r\r\n") + b"0\r\n\r\n")
    assert [(f.id, f.layer) for f in findings] == [("HTTP-01", "head"), ("WIRE-01", "head")]


def test_the_findings_of_a_hostile_body_are_bounded() -> None:
    part = b"--b\r\n" + b"".join(b"x%d:\r\n" % n for n in range(100)) + b"\r\n\r\n"
    body = part * 100 + b"--b--\r\n"
    assert len(check_upload(HEAD + chunk(body) + b"0\r\n\r\n")) == 50


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization: Basic c2VjcmV0",
        b"Authorization: c2VjcmV0",
        b"Authorization: c2VjcmV0 x",
        b"Authorization : Bearer c2VjcmV0",
        b"Authorization: Bearer\r\n c2VjcmV0",
        b"Authorization: Bearer c2VjcmV0\x00",
        b"Authorization: Bearer c2VjcmV0\nX: y",
        b"Authorization\r\nBearer c2VjcmV0",
        b"c2VjcmV0",
    ],
)
def test_no_finding_shows_a_credential(line: bytes) -> None:
    findings = check_head(HEAD.replace(b"Authorization: Bearer a.b.c", line))
    assert findings
    assert "c2VjcmV0" not in "".join(str(finding) for finding in findings)


def test_a_control_byte_in_a_token_is_a_finding_of_the_token_alone() -> None:
    (finding,) = check_head(HEAD.replace(b"a.b.c", b"a\0b"))
    assert finding.rule is Rule.TOKEN
    (finding,) = check_head(HEAD.replace(b"Bearer a.b.c", b"Bearer a.b.c\r\nX: a\0b"))
    assert finding.rule is Rule.HEADER_CONTROL


def test_no_finding_shows_the_target_of_the_request() -> None:
    (finding,) = check_head(HEAD.replace(b"POST /", b"PUT /?token=c2VjcmV0"))
    assert "c2VjcmV0" not in str(finding)


def test_a_finding_reads_as_one_line() -> None:
    raw = (VECTORS / "invalid" / "field-with-content-type.http").read_bytes()
    (finding,) = check_upload(raw)
    assert str(finding) == (
        f"WIRE-04, body byte {finding.offset}: expected no header but one Content-Disposition, "
        r"got Content-Type: text/plain\r\n"
    )


def test_memory_does_not_grow_with_the_payload() -> None:
    block = bytearray(random.Random(1).randbytes(1 << 16))
    framed = b"%x\r\n" % len(block), b"\r\n"
    reader = UploadReader(HEAD)
    reader.feed(chunk(b"--b\r\n" + FILE_HEAD + b"\r\n"))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(1024):
            reader.feed(framed[0])
            reader.feed(block)
            reader.feed(framed[1])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.file is not None
    assert reader.file.length == 64 << 20
    assert reader.findings == []
    assert peak - before < 1 << 20


def test_a_finding_in_a_list_is_a_sentence() -> None:
    """As pytest shows `assert upload.findings == []`."""
    data = next(path for path in INVALID if path.stem == "sixty-five-fields").read_bytes()
    [finding, *_] = findings = check_upload(data)
    assert repr(findings).startswith(f"[<Finding {finding}>")
    assert finding.explained == f"{finding}; see relay-harness explain {finding.id}"

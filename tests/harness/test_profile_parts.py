"""The pure parts of the profiles: how fields are decoded, how payloads are told."""

from __future__ import annotations

import gzip
import math
import zlib
from typing import Any

import pytest

from deploy_relay_kit.harness.profiles.archive import (
    CUT_GZIP,
    CUT_TAR,
    NO_TAR_HEADER,
    archive_error,
)
from deploy_relay_kit.harness.profiles.decoding import decode_value, read_form
from deploy_relay_kit.harness.profiles.harper_deploy import component_name
from deploy_relay_kit.harness.profiles.jobs import JobBook
from deploy_relay_kit.harness.witness.wire import UploadReader
from tests.profileclient import GZIP, TAR

V1: list[tuple[str, Any]] = [
    *(("true", True), ("false", False), ("null", None), ("True", "True"), ("12", 12), ("-5", -5)),
    *(("-", "-"), ("-abc", "-abc"), ("1e3", 1000), ("007", "007"), ("1.5.2", "1.5.2")),
    *(("5abc", "5abc"), ("2024-01-01", "2024-01-01"), ("0x10", "0x10"), ("+5", "+5")),
    *((".5", ".5"), ("NaN", "NaN"), ("undefined", "undefined"), (" 5", " 5"), ("5 ", 5)),
    *(("true ", "true "), ('{"a":1}', {"a": 1}), ("{bad", "{bad"), ('["a","b"]', ["a", "b"])),
    *(('"quoted"', "quoted"), ('"', '"'), ("", "")),
]


@pytest.mark.parametrize(("text", "value"), V1)
def test_table_v1(text: str, value: object) -> None:
    decoded = decode_value(text)
    assert (type(decoded), decoded) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9007199254740993", 9007199254740992),
        ("123456789012345678901234567890", 123456789012345677877719597056),
        ("1.0", 1),
        ("1e999", math.inf),
        ("1" * 5000, math.inf),
        ("-Infinity", "-Infinity"),
        ("[NaN]", "[NaN]"),
        ("[" * 100_000, "[" * 100_000),
    ],
    ids=lambda value: str(value)[:20],
)
def test_numbers_are_doubles_and_constants_are_text(text: str, value: object) -> None:
    assert decode_value(text) == value


def test_minus_zero_keeps_its_sign() -> None:
    assert math.copysign(1, decode_value("-0")) == -1


def reader_of(*parts: bytes) -> UploadReader:
    """A reader that was given these parts: header block, empty line, content."""
    reader = UploadReader(
        b"POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: 99999999\r\n\r\n"
    )
    reader.feed(b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n")
    return reader


NAMED = b'Content-Disposition: form-data; name="%b"'
FILE = NAMED + b'; filename="f"\r\n\r\nbytes'


@pytest.mark.parametrize(
    ("parts", "fields"),
    [
        ([b'Content-Disposition: form-data; name=""\r\n\r\nx'], {"undefined": "x"}),
        ([b"Content-Disposition: form-data\r\n\r\nx"], {"undefined": "x"}),
        ([b"Content-Disposition: form-data; name*=utf-8''n\r\n\r\nx"], {"undefined": "x"}),
        ([b'Content-Disposition: attachment; name="n"\r\n\r\nx'], {}),
        ([b"X-Other: 1\r\n\r\nx"], {}),
        ([NAMED % "é".encode() + b"\r\n\r\nx"], {"Ã©": "x"}),
        ([NAMED % b"n\\" + b"\r\n\r\nx"], {}),
        ([NAMED % b"n\\m" + b"\r\n\r\nx"], {"n\\m": "x"}),
        ([NAMED % b"n" + b"\r\n\r\n1", NAMED % b"n" + b"\r\n\r\n2"], {"n": 2}),
        ([NAMED % b"n" + b"\r\n\r\n1", FILE % b"f", NAMED % b"n" + b"\r\n\r\n2"], {"n": 1}),
        ([NAMED % b"n" + b"\r\n\r\n\xff"], {"n": "\ufffd"}),
        (
            [NAMED % b"n" + b"\r\nContent-Type: text/plain; charset=latin1\r\n\r\n\xe9"],
            {"n": "é"},
        ),
        (
            [NAMED % b"n" + b"\r\nContent-Type: text/plain; charset=no-such\r\n\r\nx"],
            {"n": "x"},
        ),
        (
            [NAMED % b"n" + b"\r\nContent-Type: text/plain; charset=undefined\r\n\r\nx"],
            {"n": "x"},
        ),
        ([NAMED % b"n" + b"\r\n\r\n" + b"x" * (2 << 20)], {"n": "x" * (1 << 20)}),
        (
            [NAMED % b"n%d" % i + b"\r\n\r\nx" for i in range(70)],
            {f"n{i}": "x" for i in range(64)},
        ),
    ],
    ids=[
        *("empty name", "no name", "name*", "attachment", "no disposition", "latin-1 name"),
        *("backslash at the end", "backslash inside", "last wins", "late field", "not UTF-8"),
        *("charset", "unknown charset", "odd charset", "1 MiB", "64 fields"),
    ],
)
def test_fields_of_a_form(parts: list[bytes], fields: dict[str, object]) -> None:
    assert read_form(reader_of(*parts)).fields == fields


@pytest.mark.parametrize(
    ("part", "is_file"),
    [
        (FILE % b"payload", True),
        (NAMED % b"payload" + b"\r\nContent-Type: application/octet-stream\r\n\r\nx", True),
        (NAMED % b"payload" + b'; filename=""\r\nContent-Type: application/gzip\r\n\r\nx', False),
        (NAMED % b"payload" + b"\r\n\r\nx", False),
        (b'Content-Disposition: attachment; name="payload"; filename="f"\r\n\r\nx', False),
    ],
    ids=["filename", "octet-stream", "empty filename", "field", "attachment"],
)
def test_what_is_a_file(part: bytes, is_file: bool) -> None:  # noqa: FBT001
    assert (read_form(reader_of(part)).file is not None) == is_file


RANDOM = bytes(i * i % 251 for i in range(5000))
LARGE_GZIP = gzip.compress(TAR, 0, mtime=0)
"""Stored, so larger than the windows."""


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", None),
        (TAR, None),
        (bytes(1024), None),
        (GZIP, None),
        (LARGE_GZIP, None),
        (b"text", CUT_TAR),
        (b"text" * 200, NO_TAR_HEADER),
        (RANDOM, NO_TAR_HEADER),
        (TAR[:148] + b"0000001\0" + TAR[156:], NO_TAR_HEADER),
        (gzip.compress(b"text"), CUT_TAR),
        (gzip.compress(RANDOM), NO_TAR_HEADER),
        (gzip.compress(b"text" * 200), NO_TAR_HEADER),
        (GZIP[:-10], CUT_GZIP),
        (LARGE_GZIP[:1000], CUT_GZIP),
        (GZIP[:10] + b"\xff" * 40, "invalid block type"),
    ],
    ids=[
        *("nothing", "tar", "empty tar", "gzip", "large gzip", "short text", "text", "random"),
        *("wrong checksum", "gzip of short text", "gzip of random", "gzip of text"),
        *("cut gzip", "cut large gzip", "damaged gzip"),
    ],
)
def test_payloads_by_their_ends(payload: bytes, error: str | None) -> None:
    assert archive_error(payload[:256], payload[-256:], len(payload)) == error


def test_the_vectors_of_gzip_are_what_they_claim() -> None:
    assert zlib.decompress(LARGE_GZIP, 31) == TAR
    assert len(LARGE_GZIP) > 256


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("a", "a"),
        ("a.b", "a"),
        ("a.b.c", "a.b"),
        (".a", ".a"),
        ("x/a/", "a"),
        ("..", ".."),
        ("/", ""),
    ],
)
def test_component_names(project: str, name: str) -> None:
    assert component_name(project) == name


@pytest.mark.parametrize("outcome", ["COMPLETE", "ERROR"])
def test_a_job_goes_through_in_progress(outcome: Any) -> None:
    jobs = JobBook(polls=2, outcome=outcome)
    job = jobs.begin()
    answers = [jobs.poll(job) or [] for _ in range(4)]
    assert [told["status"] for [told] in answers] == ["IN_PROGRESS"] * 2 + [outcome] * 2
    assert jobs.begun == [job]
    assert jobs.poll("another") is None
    assert jobs.poll(None) is None

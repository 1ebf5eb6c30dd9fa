"""The reference relay sends and reads what docs/protocol.md shows."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it has no types of its own
import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.judge.catalogue import excluded, requirements
from deploy_relay_kit.relay import formdata, request
from deploy_relay_kit.relay.answer import (
    SUCCESS,
    Answer,
    StreamedAnswer,
    failure_reason,
    success_members,
)
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.peer import mint_failure
from deploy_relay_kit.relay.replication import SUBPROTOCOL, operation_response
from deploy_relay_kit.relay.token import token_in
from tests.relay.rawpeers import listening

PAGE = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CRLF = "␍␊"


def block(containing: str) -> str:
    [found] = [text for text in BLOCKS if containing in text]
    return str(found)


def on_the_wire(shown: str) -> bytes:
    """The bytes of a block: without its line breaks, and with CRLF where it shows one."""
    return shown.replace("\n", "").replace(CRLF, "\r\n").encode()


MINT, UPLOAD = (on_the_wire(block(text)) for text in ("application/json", "multipart/form-data"))
REQUEST: dict[str, Any] = json.loads(block("_deploymentId"))
PAYLOAD = b"the gzipped tar file"
_FOUND = re.search(rb"boundary=(\S+)\r\n", UPLOAD)
BOUNDARY = _FOUND[1].decode() if _FOUND else ""


def dechunked(body: bytes) -> bytes:
    whole = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        chunk, end, body = body[:length], body[length : length + 2], body[length + 2 :]
        assert (len(chunk), end) == (length, b"\r\n")
        if not chunk:
            assert body == b""
            return whole
        whole += chunk


def test_the_upload_is_what_its_request_is_encoded_to() -> None:
    head, _, body = UPLOAD.partition(b"\r\n\r\n")
    form = formdata.encode(request.forwarded_fields(REQUEST), BOUNDARY)
    assert dechunked(body) == form.head + PAYLOAD + form.tail
    assert f"Content-Type: {form.content_type}".encode() in head.split(b"\r\n")


def test_the_reference_sends_the_mint_and_the_upload_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        secrets, "token_hex", lambda _: BOUNDARY.removeprefix(formdata.BOUNDARY_PREFIX)
    )
    payload = tmp_path / "package.tar.gz"
    payload.write_bytes(PAYLOAD)
    received: list[bytes] = []
    expected = iter(  # the end of each request, and its answer
        [
            (b'"5m"}', '{"operation_token":"eyJ.of.eu"}'),
            (b"\r\n0\r\n\r\n", '{"message":"Successfully deployed: demo"}'),
        ]
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end, text = next(expected)
        received.append(await reader.readuntil(end))
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        await reader.read()

    async def deploy() -> tuple[str, relay.Report]:
        async with listening(serve) as address:
            node = relay.Node("eu", f"http://{address}/ops/?zone=1")
            mint = relay.OperationsMint("admin", "s3cret")
            limits = relay.Limits(answer=30.0)
            return address, await relay.deploy([node], REQUEST, payload, mint=mint, limits=limits)

    address, report = asyncio.run(deploy())
    assert report.succeeded, report
    assert received == [
        sent.replace(b"eu.example.com:9925", address.encode()) for sent in (MINT, UPLOAD)
    ]


def test_the_members_that_are_not_forwarded_are_those_of_the_relay() -> None:
    _, _, lists = PAGE.partition("**Members that are not forwarded**")
    items = re.split(r"\n- ", lists.partition("\n\nForward everything else")[0])[1:]
    names = [set(re.findall(r"`(\w+)`", item)) for item in items]
    assert names == [{"_"}, request._LOCAL, request._DENIED], "correct the lists of the page"
    for id_, hidden in (("FLD-01", request._LOCAL), ("FLD-05", request._DENIED)):
        listed = set(re.findall(r"\w+", requirements()[id_].why.partition(": ")[2]))
        assert hidden <= listed


def test_the_limits_are_those_of_the_relay() -> None:
    text = " ".join(PAGE.split())
    assert f"it reads {request.MAX_FIELDS} fields" in text
    assert f"{request.MAX_VALUE_BYTES:,} bytes" in text


@pytest.mark.parametrize("name", ["123", "true", "null", "1e3", "[1]"])
def test_a_project_that_a_peer_does_not_read_as_text_is_refused(name: str) -> None:
    assert f"`{name}`" in PAGE
    with pytest.raises(relay.InputError):
        request.forwarded_fields({**REQUEST, "project": name})


ROWS = re.findall(r"^\| (\d{3})(?: `(.*?)`)? \| `(\{.*?\})`[ :]", PAGE, re.MULTILINE)


def record_of(answer: Answer) -> Mapping[str, object]:
    if answer.status in SUCCESS:
        return {**success_members(answer), "status": "success"}
    return {
        "status": "failed",
        "reason": failure_reason(answer),
        "statusCode": answer.status,
    }


@pytest.mark.parametrize(("status", "body", "record"), ROWS)
def test_an_answer_makes_the_record_beside_it(status: str, body: str, record: str) -> None:
    made = dict(record_of(Answer(int(status), body.encode())))
    assert {name: value for name, value in made.items() if name != "node"} == json.loads(record)


def test_every_row_of_answers_was_read() -> None:
    table = PAGE.partition("| answer | record")[2].partition("\n\n")[0]
    assert len(ROWS) == len(table.splitlines()) - 2 > 15


def outcome(stream: str) -> Mapping[str, object]:
    answer = StreamedAnswer(1_000_000)
    try:
        list(answer.feed(stream.encode()))
        return {"status": "success", **answer.end()}
    except PeerError as failure:
        return {
            "status": "failed",
            "reason": failure.reason,
            "statusCode": failure.status_code,
        }


@pytest.mark.parametrize("last", ["event: done", "event: error"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_stream_gives_the_record_below_it(last: str, line_end: str) -> None:
    stream = block(last)
    shown = re.search(r"^The record: `(\{.*?\})`", PAGE.partition(stream)[2], re.MULTILINE)
    assert shown is not None
    assert outcome(stream.replace("\n", line_end)) == json.loads(shown[1])


def test_the_bytes_of_the_message_are_the_message() -> None:
    message = json.loads(block('[136, {"operation"'))
    packed = bytes.fromhex(block("92 cc 88"))
    assert msgpack.unpackb(packed) == message
    assert msgpack.packb(message) == packed


def test_the_answer_of_the_socket_holds_the_token() -> None:
    result = operation_response(msgpack.packb(json.loads(block('[137, {"requestId"'))))
    assert token_in(result) == "eyJ.of.eu"
    assert f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\n" in block("Upgrade: websocket")


def test_the_reasons_of_a_mint_are_those_of_the_relay() -> None:
    with pytest.raises(PeerError) as caught:
        token_in({})
    assert f"| `{mint_failure(caught.value.reason).reason}` |" in PAGE
    assert caught.value.reason in requirements()["MINT-03"].sentence


def test_every_requirement_that_the_page_names_is_in_the_catalogue() -> None:
    named = set(re.findall(r"\b[A-Z]+-\d\d\b", PAGE))
    assert len(named) > 100
    unknown = named - set(requirements()) - set(excluded())
    assert unknown == set(), "docs/protocol.md names ids that are not in requirements.toml"


def test_every_requirement_of_the_catalogue_is_on_the_page() -> None:
    missing = set(requirements()) - set(re.findall(r"\b[A-Z]+-\d\d\b", PAGE))
    assert missing == set(), "describe these requirements in docs/protocol.md, with their ids"


def test_the_page_describes_every_id_that_a_comment_cites() -> None:
    root = Path(__file__).parents[1]
    code = [path for folder in ("relay", "harness") for path in (root / folder).rglob("*.py")]
    families = "|".join({id_.partition("-")[0] for id_ in [*requirements(), *excluded()]} | {"PY"})
    ids = re.compile(rf"\b(?:{families})-\d\d\b")
    cited = {id_ for path in code for id_ in ids.findall(path.read_text(encoding="utf-8"))}
    assert len(cited) > 100
    missing = cited - set(ids.findall(PAGE))
    assert missing == set(), "describe these in the last section of docs/protocol.md"

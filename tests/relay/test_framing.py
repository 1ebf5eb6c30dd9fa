"""Where an answer ends, whatever the pieces in which it arrives."""

from __future__ import annotations

import pytest

from deploy_relay_kit.relay.framing import Framing

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
MORE = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n\0"

ENDING = {
    "length": OK + b"Content-Length: 3\r\n\r\nabc",
    "length, equal twice": OK + b"Content-Length: 3\r\ncontent-length:3 \r\n\r\nabc",
    "length of nothing": OK + b"Content-Length: 0\r\n\r\n",
    "line ends of LF": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
    "empty lines before": b"\r\n\r\n" + OK + b"Content-Length: 3\r\n\r\nabc",
    "interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nContent-Length: 9\r\n\r\n"
        + OK
        + b"Content-Length: 3\r\n\r\nabc"
    ),
    "chunks": CHUNKED + b"1\r\na\r\n0a\r\n\r\n0\r\n\r\n567\r\n0\r\n\r\n",
    "chunks, extended": CHUNKED + b'2 ;a="b"\r\nab\r\n0;last\r\n\r\n',
    "chunks, with a trailer": CHUNKED + b"A\r\n0123456789\r\n0\r\nX: y\r\nZ: 1\r\n\r\n",
    "many chunks": CHUNKED
    + b"".join(b"%x\r\n%s\r\n" % (n, b"\n" * n) for n in range(1, 40))
    + LAST,
    "chunks of a coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No\r\nContent-Length: 40\r\n\r\n",
    "not modified": b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n",
}
ENDLESS = {
    "no length": OK + b"\r\nabc",
    "another protocol": b"HTTP/1.1 101 Other\r\nContent-Length: 0\r\n\r\n",
    "lengths that differ": OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "no number": OK + b"Content-Length: +3\r\n\r\nabc",
    "another coding": OK + b"Transfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nabc",
    "no size of a chunk": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "no HTTP": b"SSH-2.0-x\r\n\r\n",
    "an endless line": OK + b"X: " + b"y" * 300_000,
}


def pieces(sent: bytes, size: int) -> list[bytes]:
    """The pieces of an answer that arrives in blocks of this size."""
    framing = Framing()
    found = []
    for at in range(0, len(sent), size):
        block = sent[at : at + size]
        while count := framing.take(block):
            found.append(block[:count])
            block = block[count:]
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("form", ENDING)
def test_where_an_answer_ends(form: str, size: int) -> None:
    answer = ENDING[form]
    assert b"".join(pieces(answer + MORE, size)) == answer


@pytest.mark.parametrize("size", [3, 4_096])
@pytest.mark.parametrize("form", ENDLESS)
def test_all_belongs_to_an_answer_without_an_end(form: str, size: int) -> None:
    sent = ENDLESS[form] + MORE
    assert b"".join(pieces(sent, size)) == sent


def test_a_head_is_a_piece_of_its_own() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    head = OK + b"Content-Length: 3\r\n\r\n"
    assert pieces(interim + head + b"abc", 1 << 20) == [interim + head, b"abc"]
    assert pieces(OK + b"\r\nabc", 1 << 20) == [OK + b"\r\n", b"abc"]


def test_a_flood_of_tiny_chunks_is_not_read_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a healthy upload took two and a half times as long beside one (AGG-04)."""
    lines, read_line = list[int](), Framing._read_line

    def noting(self: Framing, data: bytes, at: int) -> int:
        lines.append(at)
        return read_line(self, data, at)

    monkeypatch.setattr(Framing, "_read_line", noting)
    sent = CHUNKED + b"1\r\na\r\n" * 20_000 + LAST
    assert b"".join(pieces(sent, 32_768)) == sent
    assert len(lines) < 100

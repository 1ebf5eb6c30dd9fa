"""Answers of each layer of a real Harper; their heads differ in lines, order and case.

Recorded from Harper 5.1.14. Only the numbers in the timing headers are invented.
"""

from attrs import frozen

from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.http1 import date_line, encode_head, status_line

_KEEP_ALIVE = ["Connection: keep-alive", "Keep-Alive: timeout=30"]
_CHUNKED = "Transfer-Encoding: chunked"


@frozen
class FastifyAnswer(Answer):
    """An answer of the operations API.

    Attributes:
        timings: number of values in `server-timing`; an error of the framework has two.
    """

    timings: int = 1

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        lines = [status_line(self.status), "vary: Origin", f"content-type: {self.media_type}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"server-timing: {', '.join(['db;dur=1'] * self.timings)}")
        if self.chunk_size is None:
            lines.append(f"content-length: {self.length + length_off_by}")
        lines.append(date_line())
        lines += _KEEP_ALIVE if keep_alive else ["connection: close"]
        if self.chunk_size is not None:
            lines.append(_CHUNKED)
        return encode_head(lines)


@frozen
class EarlyAnswer(Answer):
    """An answer of the authentication layer, before the body is read; it has no content type."""

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        lines = [status_line(self.status)]
        if self.chunk_size is None:
            lines.append(f"Content-Length: {self.length + length_off_by}")
        lines += ["Server-Timing: hdb;dur=1", date_line()]
        lines += _KEEP_ALIVE if keep_alive else ["Connection: close"]
        if self.chunk_size is not None:
            lines.append(_CHUNKED)
        return encode_head(lines)


@frozen
class ServerAnswer(Answer):
    """An answer of the HTTP server to a head that it refuses: chunked and empty."""

    chunk_size: int | None = 1

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        connection = (
            [date_line(), *_KEEP_ALIVE] if keep_alive else ["Connection: close", date_line()]
        )
        return encode_head([status_line(self.status), *connection, _CHUNKED])


@frozen
class ParserAnswer(Answer):
    """An answer of the HTTP parser to a malformed request: a status line and one header."""

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        return encode_head([status_line(self.status), "Connection: close"])

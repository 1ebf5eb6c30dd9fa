"""Answers of each layer of a real Harper; their heads differ in lines, order and case.

Recorded from Harper 5.1.14. Only the numbers in the timing headers are invented.
"""

from attrs import frozen

from deploy_relay_kit.harness.faults.answers import Answer, End, Script
from deploy_relay_kit.harness.faults.http1 import date_line, encode_head, status_line

_KEEP_ALIVE = ["Connection: keep-alive", "Keep-Alive: timeout=30"]
_CHUNKED = "Transfer-Encoding: chunked"


@frozen
class FastifyAnswer(Answer):
    """An answer of the operations API.

    Attributes:
        closes: whether it is Harper that ends the connection, and not the client that asked for it.
        origin: the `Origin` of the request, which may then read the answer in a browser.
    """

    closes: bool = False
    origin: str | None = None

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        lines = [status_line(self.status), *_cors(self.origin), "vary: Origin"]
        if self.closes and not keep_alive:
            lines.append("connection: close")
        lines += [*self._before_type(), f"content-type: {self.media_type}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += self._length_and_timing(length_off_by)
        lines.append(date_line())
        if keep_alive:
            lines += _KEEP_ALIVE
        elif not self.closes:
            lines.append("Connection: close")
        if self.chunk_size is not None:
            lines.append(_CHUNKED)
        return encode_head(lines)

    def _before_type(self) -> list[str]:
        return []

    def _length_and_timing(self, length_off_by: int) -> list[str]:
        timing = "server-timing: db;dur=1"
        if self.chunk_size is not None:
            return [timing]
        return [timing, f"content-length: {self.length + length_off_by}"]


@frozen
class FrameworkAnswer(FastifyAnswer):
    """An error of the framework itself; its length stands before its two timings.

    Attributes:
        hangs_up: whether Harper sends FIN after it, although the head says keep-alive.
    """

    hangs_up: bool = False

    def _length_and_timing(self, length_off_by: int) -> list[str]:
        length = f"content-length: {self.length + length_off_by}"
        return [length, "server-timing: db;dur=1, db;dur=1"]

    def script(self, *, keep_alive: bool) -> Script:
        yield from super().script(keep_alive=keep_alive)
        if keep_alive and self.hangs_up:
            yield End.CLOSE


@frozen
class PageAnswer(FastifyAnswer):
    """A file that Harper serves.

    Attributes:
        lines: header lines before the content type.
    """

    lines: tuple[str, ...] = ()

    def _before_type(self) -> list[str]:
        return [*self.lines]

    def _length_and_timing(self, length_off_by: int) -> list[str]:
        return super()._length_and_timing(length_off_by)[::-1]


@frozen
class PreflightAnswer(Answer):
    """The answer to a browser that asks before it sends a request of its own."""

    origin: str | None = None

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        return encode_head(
            [
                status_line(self.status),
                "Access-Control-Allow-Methods: POST, GET, PUT, DELETE, PATCH, OPTIONS",
                "Access-Control-Allow-Headers: Accept, Content-Type, Authorization",
                f"Access-Control-Allow-Origin: {self.origin}",
                "Access-Control-Allow-Credentials: true",
                "Content-Length: 0",
                "Server-Timing: hdb;dur=1",
                date_line(),
                *(_KEEP_ALIVE if keep_alive else ["Connection: close"]),
            ]
        )


@frozen
class NotFoundAnswer(Answer):
    """The answer to a request that nothing serves: chunked, without a type and a timing."""

    status: int = 404
    body: bytes | str = "Not found\n"
    chunk_size: int | None = 1024

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        connection = _KEEP_ALIVE if keep_alive else ["Connection: close"]
        return encode_head([status_line(self.status), date_line(), *connection, _CHUNKED])


def _cors(origin: str | None) -> list[str]:
    if origin is None:
        return []
    return [f"access-control-allow-origin: {origin}", "Access-Control-Allow-Credentials: true"]


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

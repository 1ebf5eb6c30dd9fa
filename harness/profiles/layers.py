"""Answers as each layer of a real Harper writes their heads: which lines, in which order and case.

Recorded from Harper 5.1.14. The numbers in its timing headers are the only thing made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate

from harness.faults.answers import Answer, status_line

_KEEP_ALIVE = ["Connection: keep-alive", "Keep-Alive: timeout=30"]


@dataclass(frozen=True)
class FastifyAnswer(Answer):
    """From the operations API itself; what ends the connection says so in lower case.

    Attributes:
        timings: values in `server-timing`; an error of the framework's own carries two.

    """

    timings: int = 1

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        lines = [status_line(self.status), "vary: Origin", f"content-type: {self.media_type}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"server-timing: {', '.join(['db;dur=1'] * self.timings)}")
        if self.chunk_size is None:
            lines.append(f"content-length: {self.length + length_off_by}")
        lines.append(_date())
        lines += _KEEP_ALIVE if keep_alive else ["connection: close"]
        if self.chunk_size is not None:
            lines.append("Transfer-Encoding: chunked")
        return _block(lines)


@dataclass(frozen=True)
class EarlyAnswer(Answer):
    """From the authentication layer in front, before the body is read: without a content type."""

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        lines = [status_line(self.status)]
        if self.chunk_size is None:
            lines.append(f"Content-Length: {self.length + length_off_by}")
        lines += ["Server-Timing: hdb;dur=1", _date()]
        lines += _KEEP_ALIVE if keep_alive else ["Connection: close"]
        if self.chunk_size is not None:
            lines.append("Transfer-Encoding: chunked")
        return _block(lines)


@dataclass(frozen=True)
class ServerAnswer(Answer):
    """From the HTTP server below, for a head that it does not like: chunked, and empty."""

    chunk_size: int | None = 1

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        del length_off_by
        connection = [_date(), *_KEEP_ALIVE] if keep_alive else ["Connection: close", _date()]
        return _block([status_line(self.status), *connection, "Transfer-Encoding: chunked"])


@dataclass(frozen=True)
class ParserAnswer(Answer):
    """From the HTTP parser, for what is no request: a status line, one header, no body."""

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        del keep_alive, length_off_by
        return _block([status_line(self.status), "Connection: close"])


def _date() -> str:
    return f"Date: {formatdate(usegmt=True)}"


def _block(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

"""The pieces of an answer in HTTP/1.1 (RFC 9112). Pure."""

from email.utils import formatdate
from http.client import responses

BODILESS = frozenset({204, 304})
"""Statuses of answers without a body (RFC 9110 sections 15.3.5 and 15.4.5)."""
LAST_CHUNK = b"0\r\n\r\n"


def status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}"


def date_line() -> str:
    return f"Date: {formatdate(usegmt=True)}"


def encode_head(lines: list[str]) -> bytes:
    """The lines of a head, and the empty line that ends it."""
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)

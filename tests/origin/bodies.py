"""Bodies of requests for the intake: forms, and what forms are made of, in any order."""

from __future__ import annotations

from tests.origin.archives import component

BOUNDARY = "b0undary"
PIECES = [
    *(b"--", b"\r\n", b"\n", b"\r", b"--b0undary", b"--b0undary--", b"\r\n--b0undary\r\n"),
    *(b"Content-Disposition: form-data; ", b'name="operation"', b'name="payload"; filename="p"'),
    *(b'name="project"', b'; filename=""', b"Content-Type: application/octet-stream"),
    *(b"\r\n\r\n", b"deploy_component", b"demo", b"{", b'"', b"1e3", b"\xff\x00", b"x" * 20_000),
    *(b'name="__proto__"', b"\\", b'name=""', b"Content-Type: text/plain; charset=utf-16"),
]
"""What a form is made of."""


def part(disposition: str, value: bytes, *headers: str) -> bytes:
    lines = [f"Content-Disposition: form-data; {disposition}", *headers]
    head = "".join(f"{line}\r\n" for line in lines)
    return f"--{BOUNDARY}\r\n{head}\r\n".encode() + value + b"\r\n"


OPERATION = part('name="operation"', b"deploy_component")
PROJECT = part('name="project"', b"demo")
FILE = part(
    'name="payload"; filename="p.tar.gz"', component(a=b"1"), "Content-Type: application/gzip"
)
END = f"--{BOUNDARY}--\r\n".encode()
LOCAL = part('name="replicated"', b"false")

SAME = {
    "a deploy": OPERATION + PROJECT + FILE + END,
    "a preamble and an epilogue": b"before\r\n" + OPERATION + PROJECT + FILE + END + b"after",
    "a field after the file": OPERATION + PROJECT + FILE + LOCAL + END,
    "a second file": OPERATION + PROJECT + FILE + FILE + END,
    "no operation": PROJECT + FILE + END,
    "no project": OPERATION + FILE + END,
    "an empty project": OPERATION + part('name="project"', b"") + FILE + END,
    "a project with a space": OPERATION + part('name="project"', b"a b") + FILE + END,
    "false as the project": OPERATION + part('name="project"', b"false") + FILE + END,
    "a project in quotes": OPERATION + part('name="project"', b'"quoted"') + FILE + END,
    "a path as the project": OPERATION + part('name="project"', b"../evil") + FILE + END,
    "a file of another name": OPERATION + PROJECT + part('name="x"; filename="p"', b"1") + END,
    "an unknown operation": part('name="operation"', b"no_such_op") + PROJECT + END,
    "a duplicate field": OPERATION + PROJECT + PROJECT + FILE + END,
    "a part without a name": OPERATION + PROJECT + part("x", b"1") + FILE + END,
    "no end before a file": OPERATION + PROJECT,
    "line ends without CR": (OPERATION + PROJECT + FILE + END).replace(b"\r\n", b"\n"),
    "nothing": b"",
}
OTHERWISE = {
    "a name of the prototype": (
        OPERATION + part('name="__proto__"', b"{}") + PROJECT + FILE + END,
        200,
        400,  # PARSE-27, which 5.1 does not know
    ),
    "a number as the project": (
        OPERATION + part('name="project"', b"123") + FILE + END,
        500,
        400,  # the mistake is the client's
    ),
    "a field of more than a MiB": (
        OPERATION + PROJECT + part('name="x"', b"x" * 1_048_577) + FILE + END,
        200,
        413,  # RECV-02: 5.1 cuts it
    ),
    "an empty file": (
        OPERATION + PROJECT + part('name="payload"; filename="p"', b"") + END,
        200,
        400,  # an archive without a byte is a mistake; 5.1 deploys it
    ),
    "the end is missing after a file": (
        OPERATION + PROJECT + FILE,
        500,
        400,  # the same refusal, charged to the client
    ),
}
"""Where the node differs from 5.1: the form, the code there, and the code here with its reason."""

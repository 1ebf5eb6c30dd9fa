"""Bodies of requests for the intake: forms, and what forms are made of, in any order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.origin.archives import archive, component, entry

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
FILE_NAME = 'name="payload"; filename="p.tar.gz"'
FILE = part(FILE_NAME, component(a=b"1"), "Content-Type: application/gzip")
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
    "a control character in a header": OPERATION + part('name="a\x01b"', b"1") + FILE + END,
    "a part without a name": OPERATION + PROJECT + part("x", b"1") + FILE + END,
    "no end before a file": OPERATION + PROJECT,
    "line ends without CR": (OPERATION + PROJECT + FILE + END).replace(b"\r\n", b"\n"),
    "nothing": b"",
}


@dataclass(frozen=True)
class Difference:
    """Where the node answers otherwise than 5.1: codes and texts, an example, and the reason."""

    theirs: str
    ours: str
    reason: str
    example: bytes

    def explains(self, theirs: str, ours: str) -> bool:
        return bool(re.match(self.theirs, theirs) and re.match(self.ours, ours))


def _with(*parts: bytes) -> bytes:
    return OPERATION + PROJECT + b"".join(parts) + FILE + END


DIFFERENCES = {
    "a name of the prototype": Difference(
        "200|500",
        '400 Multipart field ".*" is not allowed',
        "PARSE-27, which 5.1 does not know",
        _with(part('name="__proto__"', b"{}")),
    ),
    "a field of more than a MiB": Difference(
        "200|500",
        "413 a field is larger",
        "RECV-02: 5.1 cuts it in silence",
        _with(part('name="x"', b"x" * 1_048_577)),
    ),
    "bytes that are no text": Difference(
        "200|500",
        "400 field .* is no text in its charset",
        "5.1 replaces them; the node would pass another text on to its peers",
        _with(part('name="x"', b"\xff")),
    ),
    "a header that stands twice": Difference(
        "200|500",
        "400 a part has a header or a parameter twice",
        "readers take the first or the last, so they would not see the same form",
        _with(part('name="x"', b"1", 'Content-Disposition: form-data; name="y"')),
    ),
    "a boolean that is a text": Difference(
        "200|500",
        "400 'ignore_replication_errors' must be a boolean",
        "DEP-11: to 5.1 each text is true",
        _with(part('name="ignore_replication_errors"', b"False")),
    ),
    "a package": Difference(
        "200|500",
        "400 'package' is not supported",
        "the node fetches nothing by a name",
        _with(part('name="package"', b"npm:x")),
    ),
    "a charset of no form": Difference(
        "200|500",
        "400 field .* is no text in its charset",
        "a codec of Python that is no charset may take minutes; 5.1 takes the bytes as UTF-8",
        _with(part('name="x"', b"1", "Content-Type: text/plain; charset=punycode")),
    ),
    "an empty file": Difference(
        "200",
        "400 the payload is empty",
        "an archive without a byte is a mistake; 5.1 deploys it",
        OPERATION + PROJECT + part('name="payload"; filename="p"', b"") + END,
    ),
    "an entry that leaves the component": Difference(
        "200",
        "400 entry '.*' leaves the component",
        "the fake peer unpacks nothing",
        OPERATION + PROJECT + part(FILE_NAME, archive((entry("../x"), b"1"))) + END,
    ),
    "an end that is missing after the file": Difference(
        "200|500 (?!Unexpected end of form)",
        "400 Unexpected end of form",
        "5.1 has the whole file, and deploys it; a form that is cut is no deploy",
        OPERATION + PROJECT + FILE + PROJECT,
    ),
    "a mistake of the client": Difference(
        "500 (Either payload|[Uu]nexpected end of|incorrect header|Invalid tar|The |req)",
        "400 (Either payload|the payload is|Unexpected end of form|'(project|operation)' must)",
        "5.1 charges itself with it",
        OPERATION + part('name="project"', b"123") + FILE + END,
    ),
}
"""Each difference of status class. A corpus of forms has no other one."""

"""Where an answer of a peer may quote a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from urllib.parse import quote

from attrs import frozen

from deploy_relay_kit.harness.faults.answers import Answer, End, Script
from deploy_relay_kit.harness.peer.peer import FakePeer


def escaped(text: str) -> str:
    """A text in JSON, with each character as an escape."""
    return "".join(f"\\u{ord(it):04x}" for it in text)


in_url = partial(quote, safe="")  # so that it fits the head of an answer


def in_members(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = {f"level {level}": value}
    return value


@frozen
class Worded(Answer):
    """An answer without a body, and with these words beside its status."""

    words: str = ""

    def script(self, *, keep_alive: bool) -> Script:
        del keep_alive
        yield f"HTTP/1.1 {self.status} {self.words}\r\nContent-Length: 0\r\n\r\n".encode()
        yield End.CLOSE


PLAIN = "in plain words"
PLACES: dict[str, Callable[[str], Answer]] = {
    "nothing": lambda it: Answer.error(500, PLAIN),  # noqa: ARG005 - the control
    "an error": lambda it: Answer.error(500, f"bad header: {it}"),
    "a message": lambda it: Answer(401, json={"message": f"{it} and {it}"}),
    "an escaped error": lambda it: Answer(500, body=f'{{"error":"{escaped(it)}"}}'),
    "the message of an error": lambda it: Answer(400, json={"error": {"message": it}}),
    "an error that is an object": lambda it: Answer(500, json={"error": {"seen": [it], it: 1}}),
    "another member": lambda it: Answer(403, json={"detail": {"token": it}}),
    "a list": lambda it: Answer(500, json=["bad header", it]),
    "a body": lambda it: Answer(500, body=f"<p>bad header: {it}</p>", content_type="text/plain"),
    "a page": lambda it: Answer(
        502, body=f"<html><title>{it}</title></html>", content_type="text/html"
    ),
    "an early error": lambda it: Answer.error(403, f"bad header: {it}"),
    "the message of a success": lambda it: Answer(json={"message": f"{it} and {it}"}),
    "an escaped message": lambda it: Answer(body=f'{{"message":"{escaped(it)}"}}'),
    "a member of a success": lambda it: Answer(
        json={"log": {"lines": ["a", {"line": it}], "token": it}}
    ),
    "a name in a success": lambda it: Answer(json={"seen": {it: 1}, f"x-{it}": 2}),
    "the body of a success": lambda it: Answer(
        body=f"deployed with {it}", content_type="text/plain"
    ),
    "a list of a success": lambda it: Answer(json=["a", {it: it}]),
    "a list in a list of a success": lambda it: Answer(json={"log": [["a", [it, [it]]]]}),
    "the target of a redirect": lambda it: Answer.redirect(f"https://127.0.0.1:1/{in_url(it)}"),
    "the words of a status": lambda it: Worded(500, words=f"bad header {in_url(it)}"),
    "a challenge": lambda it: Answer(
        401, headers=(("WWW-Authenticate", f'Bearer error_description="{in_url(it)}"'),)
    ),
    "a text of a success": lambda it: Answer(json=it),
    "the end of a long error": lambda it: Answer.error(500, f"{'a word ' * 12_000}{it}"),
    "a member in twelve others": lambda it: Answer(json=in_members(it, 12)),
}
"""Where an upload's answer quotes a secret."""


def tokens_of(peer: FakePeer) -> Iterable[str]:
    """All tokens that a peer has issued, refresh tokens too."""
    return peer.tokens.issued

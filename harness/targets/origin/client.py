"""A client of an origin's operations API: one deploy as Harper's command line sends it."""

import base64
import json
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from deploy_relay_kit.harness.targets.deploy_command import DeployCommand
from deploy_relay_kit.harness.targets.outcome import Outcome, TargetBrokeError

_BLOCK = 65_536
_MOST = 64 * 1024 * 1024  # bytes of an answer
_SURROGATE = re.compile("[\ud800-\udfff]")  # has no bytes of its own, only an escape in JSON
_REFUSED = range(400, 500)

Answered = tuple[int, dict[str, Any]]
"""The status, or the code of the event `error`, and the members of the answer."""


class Api:
    """The operations API of an origin."""

    def __init__(self, url: str, ca_file: Path, username: str, password: str) -> None:
        self.url = url
        self.context = ssl.create_default_context(cafile=str(ca_file))
        login = base64.b64encode(f"{username}:{password}".encode()).decode()
        self.login = f"Basic {login}"

    async def deploy(self, command: DeployCommand) -> Answered:
        """Send a deploy and read its whole answer.

        Raises:
            OSError: the connection was lost, or the answer is no answer of an origin.
        """
        boundary = f"----HarperMultipart{secrets.token_hex(12)}"
        headers = {
            "Authorization": self.login,
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Accept": "text/event-stream" if command.events else "application/json",
        }
        content = bytearray()
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(None)) as session,
                session.post(
                    self.url,
                    data=_body(command, boundary),
                    headers=headers,
                    ssl=self.context,
                    allow_redirects=False,
                ) as response,
            ):
                async for block in response.content.iter_any():
                    content += block
                    if len(content) > _MOST:
                        raise OSError(f"its answer is longer than {_MOST:,} bytes")
        except aiohttp.ClientError as error:
            raise OSError(f"{type(error).__name__}: {error}") from error
        return members_of(
            response.status, response.content_type, content.decode("utf-8", "replace")
        )


async def _body(command: DeployCommand, boundary: str) -> AsyncIterator[bytes]:
    for name, value in command.request.items():
        yield (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            f"{text_of(value)}\r\n"
        ).encode()
    yield (
        f'--{boundary}\r\nContent-Disposition: form-data; name="payload"; '
        'filename="package.tar.gz"\r\nContent-Type: application/gzip\r\n\r\n'
    ).encode()
    with command.payload.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
    yield f"\r\n--{boundary}--\r\n".encode()


def text_of(value: object) -> str:
    """The text of a field that a receiver decodes to this value (PARSE-12). Pure.

    JSON is without blanks, as JavaScript writes it, so that it is no longer than on the wire.
    """
    if isinstance(value, str) and not _is_json(value) and not _SURROGATE.search(value):
        return value
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def members_of(status: int, kind: str, text: str) -> Answered:
    """The answer as JSON, or the last event of a stream."""
    if kind != "text/event-stream":
        return status, _object(text)
    names = {"done": "result", "error": None}
    for event in reversed(text.replace("\r\n", "\n").split("\n\n")):
        lines = [line.partition(":") for line in event.split("\n") if line]
        name = next((it.strip() for key, _, it in lines if key == "event"), "")
        if name in names:
            data = _object("\n".join(it.removeprefix(" ") for key, _, it in lines if key == "data"))
            if name == "done":
                return status, dict(data.get("result") or {})
            code = data.get("code")
            return code if isinstance(code, int) else 500, {**data, "error": data.get("message")}
    raise OSError("its stream of events ended without `done` or `error`")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OSError(f"its answer is not JSON: {text[:200]!r}") from error
    if not isinstance(found, dict):
        raise OSError(f"its answer is not a JSON object: {text[:200]!r}")
    return found


def answered(answer: Answered) -> Outcome:
    """What the answer of an origin says about the deploy. Pure.

    Raises:
        TargetBrokeError: it has no records, and is no refusal.
    """
    status, members = answer
    records = members.get("replicated")
    if isinstance(records, list) and all(isinstance(it, Mapping) for it in records):
        return Outcome.of(records)
    if status in _REFUSED:
        return Outcome(refused=str(members.get("error")))
    raise TargetBrokeError(
        f"the origin answered {status} without `replicated`: {json.dumps(members)[:500]}"
    )

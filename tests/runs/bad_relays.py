"""Relays that do little or nothing, each as a function that `--relay python:` names.

They are written from the protocol alone: nothing of the kit is imported.
"""

from __future__ import annotations

import http.client
import json
import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Message = dict[str, Any]
_LEFT_OPEN: list[object] = []
_OK = range(200, 300)


def idle(message: Message) -> list[Message]:
    """Opens no connection, and says that it failed."""
    return [_failed(node, "not today") for node in message["nodes"]]


def liar(message: Message) -> list[Message]:
    """Opens no connection, and says that all is well."""
    return [{"node": node["name"], "status": "success"} for node in message["nodes"]]


def untrusting(message: Message) -> list[Message]:
    """Trusts the authorities of the system alone."""
    return [_relay(message, node, ssl.create_default_context()) for node in message["nodes"]]


def deaf(message: Message) -> list[Message]:
    """Sends whole uploads, reads no answer to them, and says that all is well."""
    trust = ssl.create_default_context(cafile=message["ca_file"])
    return [_relay(message, node, trust, is_deaf=True) for node in message["nodes"]]


def leaky(message: Message) -> list[Message]:
    """Closes no connection and no file."""
    trust = ssl.create_default_context(cafile=message["ca_file"])
    return [_relay(message, node, trust, kept=_LEFT_OPEN) for node in message["nodes"]]


def _failed(node: Message, reason: str) -> Message:
    return {"node": node["name"], "status": "failed", "reason": reason}


def _relay(
    message: Message,
    node: Message,
    trust: ssl.SSLContext,
    *,
    is_deaf: bool = False,
    kept: list[object] | None = None,
) -> Message:
    url = urlsplit(node["url"])
    opened: list[Any] = [] if kept is None else kept
    try:
        mint = _connect(url.hostname, url.port, trust)
        opened.append(mint)
        request = {"operation": "create_authentication_tokens"}
        request |= {name: node["mint"][name] for name in ("username", "password")}
        mint.request("POST", url.path or "/", json.dumps(request), _headers(json.dumps(request)))
        answer = mint.getresponse()
        body = answer.read()
        if answer.status not in _OK:
            return _failed(node, f"token mint failed: {answer.status}")
        token = json.loads(body)["operation_token"]
        upload = _connect(url.hostname, url.port, trust)
        opened.append(upload)
        payload = Path(message["payload"]).open("rb")  # noqa: SIM115 - one relay closes nothing
        opened.append(payload)
        boundary = uuid.uuid4().hex
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": f"multipart/form-data; boundary={boundary}",
        }
        blocks = _form(message["request"], payload, boundary)
        upload.request("POST", url.path or "/", blocks, headers, encode_chunked=True)
        if is_deaf:
            return {"node": node["name"], "status": "success"}
        answer = upload.getresponse()
        said = json.loads(answer.read())
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        return _failed(node, str(error) or type(error).__name__)
    finally:
        for it in opened if kept is None else ():
            it.close()
    if answer.status in _OK:
        return {**said, "node": node["name"], "status": "success"}
    return {**_failed(node, str(said.get("error", said))), "statusCode": answer.status}


def _connect(
    host: str | None, port: int | None, trust: ssl.SSLContext
) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection(host or "", port, timeout=3, context=trust)


def _headers(body: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Content-Length": str(len(body.encode()))}


def _form(request: Message, payload: Any, boundary: str) -> Iterator[bytes]:
    for name, value in request.items():
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        yield f"{head}{text}\r\n".encode()
    yield (
        f'--{boundary}\r\nContent-Disposition: form-data; name="payload"; '
        'filename="package.tar.gz"\r\nContent-Type: application/gzip\r\n\r\n'
    ).encode()
    while block := payload.read(65536):
        yield block
    yield f"\r\n--{boundary}--\r\n".encode()

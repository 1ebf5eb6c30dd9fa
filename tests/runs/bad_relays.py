"""Relays that do little or nothing, each as a function that `--relay python:` names.

They are written from the protocol alone: nothing of the kit is imported. The last two are good
relays but for one habit, and for what a page of code leaves out.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Message = dict[str, Any]
_LEFT_OPEN: list[Any] = []
_OK = range(200, 300)
_PRIVATE = """
payload progress hdb_user fastifyResponse baseRequest baseResponse username password token
operation_token refresh_token credentials hdbAuthHeader impersonate bypass_auth requestId
"""
_NOT_FORWARDED = {*_PRIVATE.split()}


def idle(message: Message) -> list[Message]:
    """Opens no connection, and says that it failed."""
    return [_failed(node, "not today") for node in message["nodes"]]


def liar(message: Message) -> list[Message]:
    """Opens no connection, and says that all is well."""
    return [_succeeded(node) for node in message["nodes"]]


def untrusting(message: Message) -> list[Message]:
    """Trusts the authorities of the system alone."""
    trust = ssl.create_default_context()
    return [_closing(message, node, trust) for node in message["nodes"]]


def deaf(message: Message) -> list[Message]:
    """Sends whole uploads, reads no answer to them, and says that all is well."""
    return _to_all(message, is_deaf=True)


def leaky(message: Message) -> list[Message]:
    """Closes no connection and no file."""
    return _to_all(message, kept=_LEFT_OPEN)


def careless(message: Message) -> list[Message]:
    """Stops at a refusal, makes the right record, and leaves the connection open."""
    trust = ssl.create_default_context(cafile=message["ca_file"])
    return [_stopping(message, node, trust) for node in message["nodes"]]


def _stopping(message: Message, node: Message, trust: ssl.SSLContext) -> Message:
    opened: list[Any] = []
    token = node["mint"].get("token") or _mint(node, trust, opened)[1]["operation_token"]
    upload, boundary = _connect(node, trust, _LEFT_OPEN), uuid.uuid4().hex
    upload.putrequest("POST", _target(node), skip_accept_encoding=True)
    upload.putheader("Authorization", f"Bearer {token}")
    upload.putheader("Content-Type", f"multipart/form-data; boundary={boundary}")
    upload.putheader("Transfer-Encoding", "chunked")
    upload.endheaders()
    with Path(message["payload"]).open("rb") as payload:
        for block in _form(message["request"], payload, boundary):
            upload.send(b"%x\r\n%s\r\n" % (len(block), block))
            if answer := _received(upload, 0.01):
                break
        else:
            upload.send(b"0\r\n\r\n")
    while not answer.endswith(b"}"):
        more = _received(upload, 3)
        if not more:
            return _failed(node, "no whole answer")
        answer += more
    for it in opened:
        it.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    if status in _OK:
        return _succeeded(node)
    return {**_failed(node, _reason(json.loads(body))), "statusCode": status}


def _received(connection: http.client.HTTPSConnection, seconds: float) -> bytes:
    """What has come within this time; nothing if nothing has."""
    connection.sock.settimeout(seconds)
    try:
        return bytes(connection.sock.recv(65536))
    except TimeoutError:
        return b""
    finally:
        connection.sock.settimeout(3)


def _failed(node: Message, reason: str) -> Message:
    return {"node": node["name"], "status": "failed", "reason": reason}


def _succeeded(node: Message) -> Message:
    return {"node": node["name"], "status": "success"}


def _to_all(
    message: Message, *, is_deaf: bool = False, kept: list[Any] | None = None
) -> list[Message]:
    trust = ssl.create_default_context(cafile=message["ca_file"])

    def deploy(node: Message) -> Message:
        if kept is None:
            return _closing(message, node, trust, is_deaf=is_deaf)
        return _relay(message, node, trust, kept)

    if not Path(message["payload"]).exists():
        return [_failed(node, "staged payload missing") for node in message["nodes"]]
    with ThreadPoolExecutor(len(message["nodes"]) or 1) as pool:
        return list(pool.map(deploy, message["nodes"]))


def _closing(
    message: Message, node: Message, trust: ssl.SSLContext, *, is_deaf: bool = False
) -> Message:
    opened: list[Any] = []
    try:
        return _relay(message, node, trust, opened, is_deaf=is_deaf)
    finally:
        for it in opened:
            it.close()


def _relay(
    message: Message,
    node: Message,
    trust: ssl.SSLContext,
    opened: list[Any],
    *,
    is_deaf: bool = False,
) -> Message:
    try:
        status, answer = _mint(node, trust, opened)
        if status not in _OK:
            return {**_failed(node, f"token mint failed: {_reason(answer)}"), "statusCode": status}
        token = answer.get("operation_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not re.fullmatch("[!-~]+", token):
            return _failed(node, "token mint failed: peer did not return an operation_token")
        upload = _connect(node, trust, opened)
        payload = Path(message["payload"]).open("rb")  # noqa: SIM115 - one relay closes nothing
        opened.append(payload)
        boundary = uuid.uuid4().hex
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": f"multipart/form-data; boundary={boundary}",
        }
        blocks = _form(message["request"], payload, boundary)
        upload.request("POST", _target(node), blocks, headers, encode_chunked=True)
        if is_deaf:
            return _succeeded(node)
        status, answer = _read(upload)
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        return _failed(node, str(error) or type(error).__name__)
    if status in _OK:
        return {**(answer if isinstance(answer, dict) else {}), **_succeeded(node)}
    return {**_failed(node, _reason(answer)), "statusCode": status}


def _mint(node: Message, trust: ssl.SSLContext, opened: list[Any]) -> tuple[int, Any]:
    connection = _connect(node, trust, opened)
    operation = {"operation": "create_authentication_tokens", "expires_in": "5m"}
    operation |= {name: node["mint"][name] for name in ("username", "password")}
    body = json.dumps(operation).encode()
    connection.request("POST", _target(node), body, {"Content-Type": "application/json"})
    return _read(connection)


def _read(connection: http.client.HTTPSConnection) -> tuple[int, Any]:
    answer = connection.getresponse()
    text = answer.read(1 << 20).decode(errors="replace")
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text


def _reason(answer: Any) -> str:
    if isinstance(answer, dict):
        answer = answer.get("error", answer.get("message", answer))
    return (answer if isinstance(answer, str) else json.dumps(answer)) or "no reason"


def _connect(
    node: Message, trust: ssl.SSLContext, opened: list[Any]
) -> http.client.HTTPSConnection:
    url = urlsplit(node["url"])
    opened.append(
        http.client.HTTPSConnection(url.hostname or "", url.port, timeout=3, context=trust)
    )
    connection: http.client.HTTPSConnection = opened[-1]
    return connection


def _target(node: Message) -> str:
    url = urlsplit(node["url"])
    return f"{url.path or '/'}{'?' if url.query else ''}{url.query}"


def _form(request: Message, payload: Any, boundary: str) -> Iterator[bytes]:
    fields = {re.sub('[\r\n"]', "", name): value for name, value in request.items()}
    for name, value in {**fields, "replicated": False}.items():
        if name.startswith("_") or name in _NOT_FORWARDED:
            continue
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        text = value if isinstance(value, str) else text
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        yield f"{head}{text}\r\n".encode()
    yield (
        f'--{boundary}\r\nContent-Disposition: form-data; name="payload"; '
        'filename="package.tar.gz"\r\nContent-Type: application/gzip\r\n\r\n'
    ).encode()
    while block := payload.read(65536):
        yield block
    yield f"\r\n--{boundary}--\r\n".encode()

"""The profile `pre-5.1`: a peer from before multipart (VER-01 to VER-04)."""

import json
from typing import Any

from attrs import define

from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.profiles import harper_front as front
from deploy_relay_kit.harness.profiles.harper_5_1 import Harper51
from deploy_relay_kit.harness.profiles.harper_deploy import check_fields
from deploy_relay_kit.harness.profiles.layers import PageAnswer
from deploy_relay_kit.harness.profiles.profile import NO_OPERATION, Credential, Decision
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.requests import OperationWitness
from deploy_relay_kit.harness.witness.wire import FilePart, LegacyReader

CUT_CBOR = "Unexpected end of CBOR data"
_PAGE = "<!DOCTYPE html>\n<html><title>Harper is Running!</title></html>\n"
_OF_PAGE = (
    "accept-ranges: bytes",
    "cache-control: public, max-age=0",
    "last-modified: Sat, 28 Nov 2026 00:00:00 GMT",
    'etag: W/"41-1a22609554d"',
)


def _words_of_v8(text: str) -> str:
    """The error for a text that is not JSON; V8 has more of them than these."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Expecting property name"):
            return f"Expected property name or '}}' in JSON at position {error.pos}"
        at, rest = error.pos, text[error.pos :]
        for word in ("null", "true", "false"):  # the first wrong letter of a word is named
            if rest[:1] == word[0]:
                at += next((n for n in range(len(word)) if rest[n : n + 1] != word[n]), len(word))
        if at < len(text):
            return f'Unexpected token {text[at]!r}, "{text}" is not valid JSON'
    except RecursionError:
        pass
    return "Unexpected end of JSON input"


@define(eq=False)
class Pre51(Harper51):
    """HarperDB 4.7.29 as recorded; it stands for every Harper below 5.1.

    It refuses multipart as an unknown media type, before it checks whether a token has expired, and
    drains the upload. It accepts a deploy as JSON and has no deployment ids. It answers a client
    that asks for events with one nameless event and the status of a plain answer. Not reproduced:
    the Server header of a node without a license, differences between releases; `Keep-Alive` on a
    port without TLS, which says `timeout=5`; 406; an array in CBOR; the words of V8 about most
    errors in JSON; the content of the page at `/`.
    """

    version: str = "4.7.29"
    product: str = "HarperDB"
    hangs_up: bool = False
    takes_cbor: bool = True

    def at_head(self, request: RequestWitness, credential: Credential) -> Decision | None:
        if front.content_type(request)[0].startswith("multipart/"):
            text = f"Unsupported Media Type: {request.header('content-type')}"
            refusal = front.refuse_head(request) or front.refuse_early(request, credential)
            return refusal or self._refuse(415, text, request)
        media_type = front.content_type(request)[0]
        early = front.refuse_head(request) or front.refuse_early(request, credential)
        if early or media_type == front.CBOR:
            return early
        if refusal := super().at_head(request, credential):
            text = f"Unsupported Media Type: {request.header('content-type') or 'undefined'}"
            return self._refuse(refusal.answer.status, text, request)
        return None

    def at_body(
        self, request: RequestWitness, body: object, credential: Credential
    ) -> Decision | None:
        if isinstance(body, dict) and isinstance(body.get("operation"), int | float):
            text = "e.body?.operation?.startsWith is not a function"
            return self._refuse(500, text, request)
        reader = request.reader if isinstance(request, OperationWitness) else None
        if not isinstance(reader, LegacyReader) or reader.whole:
            return super().at_body(request, body, credential)
        if reader.malformed:
            return front.framework_error(NO_OPERATION, request)
        return self._refuse(400, CUT_CBOR, request)

    def elsewhere(self, request: RequestWitness) -> Decision | None:
        refusal = front.refuse_head(request)
        if refusal or (request.method, request.path) != ("GET", "/"):
            return refusal or super().elsewhere(request)
        return Decision(
            PageAnswer(body=_PAGE, content_type="text/html; charset=UTF-8", lines=_OF_PAGE)
        )

    def _no_json(self, request: RequestWitness) -> Decision:
        content = request.reader.content if isinstance(request, OperationWitness) else b""
        return self._refuse(400, _words_of_v8(content.decode("utf-8", "replace")), request)

    def _refuse_fields(self, fields: dict[str, Any], request: RequestWitness) -> Decision | None:
        if failure := check_fields(fields):
            return self._refuse(failure.status, failure.message, request)
        return None

    def _deploy_json(self, fields: dict[str, Any], request: RequestWitness) -> Decision:
        deploy = self._deploy(fields)
        payload = fields.get("payload")
        file = payload if isinstance(payload, FilePart) else None
        if failure := deploy.failure(file):
            return self._refuse(failure.status, failure.message, request)
        result = deploy.result()
        del result["deployment_id"]
        return Decision(self.dress(Answer(json=result), request))

"""The profile `harper-5.1`: answers as a real Harper 5.1.14 was recorded to answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.faults.answers import Answer, Await
from harness.faults.events import HEADERS, MEDIA_TYPE, EventStream, StreamStep
from harness.profiles import harper_front as front
from harness.profiles.decoding import Form, read_form
from harness.profiles.harper_deploy import CUT_FORM, Deploy, Failure, Install, check_fields
from harness.profiles.jobs import JobBook
from harness.profiles.layers import EarlyAnswer, FastifyAnswer, ParserAnswer
from harness.profiles.profile import (
    NO_JSON,
    NO_OPERATION,
    NOT_JSON,
    Credential,
    Decision,
    Then,
    refuse_operation,
    wants_events,
)
from harness.witness.connections import RequestWitness
from harness.witness.requests import UploadWitness
from harness.witness.wire import FilePart, Rule, UploadReader


@dataclass(eq=False)
class Harper51:
    """Harper core 5.1.14 with its default settings, as seen on the wire.

    Reproduced: statuses, texts, the header set of each layer, when an answer comes, which refusals
    drain, stop reading or close, the lossy decoding of fields, event streams.

    Not reproduced:
    - 408 for a head that is never finished or never begun, and the end of an idle connection after
      31 s; the server underneath ends both with FIN after its own time.
    - The clock of tokens (`expires_in`, and the 30 s for which a good one is remembered), their
      length and signature; a token expires by `TokensExpire`.
    - Payloads are told by their first and last 256 bytes (see `harness.profiles.archive`); what the
      reader of the wire takes for a file is never decoded as a field (see `read_form`).
    - `npm install` does not run; give `install` to see its lines, or its failure. `package` is
      never fetched, a component is never served.
    - Operations other than minting, `registration_info`, `restart_service`, `get_job` and
      `deploy_component`; in an upload, any other than the last.
    - Several wrong fields: only the first is named. `replicated` is ignored.
    - A body in JSON above 64 KiB, and one in CBOR. An Accept that no type satisfies (406).
    - A last CRLF that is missing after the closing delimiter of a form without a file.

    Not recorded, and filled in as likely: the place of `vary` and `server-timing` in the head of an
    event stream; the heads of 404 and 417; how the two timings of a framework error are joined;
    `restart` null or empty; `get_job`; an event stream whose upload is cut; the `code` of a name
    that is too long; an upload by a forbidden user.

    A client that goes on sending after a refusal waits 31 s for its reset, longer than witnesses do
    for the end of a request: shorten `reset_after` to see it.

    Attributes:
        product: what it calls itself.
        install: an npm install that each deploy runs.

    """

    version: str = "5.1.14"
    product: str = "Harper"
    jobs: JobBook = field(default_factory=JobBook)
    read_ahead: int = 128 * 1024  # known only so far: 100 kB of the rest are read, 500 kB are not
    reset_after: float | None = 31.0
    request_limit: float | None = 147.3  # 120 s, looked at every 30 s; the 408 came after this
    install: Install | None = None

    # -- uploads ---------------------------------------------------------------------------------

    def at_head(self, request: RequestWitness, credential: Credential) -> Decision | None:
        refusal = front.refuse_head(request) or front.refuse_early(request, credential)
        if refusal is not None or (unread := front.refuse_type(request)) is None:
            return refusal
        status, text, then = unread
        return self._refuse(status, text, request, then)

    def at_file(
        self, upload: UploadWitness, credential: Credential
    ) -> Decision | EventStream | None:
        form = read_form(upload.reader)
        if _is_malformed(upload.reader) or form.file is None:
            return None  # refused at the end; or no file in Harper's eyes, so it reads on
        if form.file.name != "payload":
            text = f'Unexpected file field "{form.file.name}"; expected "payload"'
            return self._refuse(400, text, upload, "close")
        if refusal := self._refuse_form(form, credential, upload):
            return Decision(refusal.answer, "stop")  # nobody reads the file now (EARLY-04)
        return self._begin_stream(form.fields, upload) if wants_events(upload) else None

    def is_ready(self, reader: UploadReader) -> bool:
        """With the closing delimiter, even if the last chunk never comes; or when all is lost."""
        return reader.body_complete or _is_malformed(reader) or _is_badly_framed(reader)

    def at_end(self, upload: UploadWitness, credential: Credential) -> Decision:
        reader = upload.reader
        if _is_malformed(reader):
            return self._refuse(400, "Malformed part header", upload, "close")
        if not reader.body_complete and not reader.complete:
            return Decision(ParserAnswer(400), "close")
        form = read_form(reader)
        if form.file is None:
            if not reader.body_complete:
                return self._refuse(400, CUT_FORM, upload, "close")
            if refusal := self._refuse_form(form, credential, upload):
                return refusal
            if wants_events(upload):
                return Decision(self._begin_stream(form.fields, upload))
        return self._finish(form.fields, upload, form.file)

    def _refuse_form(
        self, form: Form, credential: Credential, upload: UploadWitness
    ) -> Decision | None:
        if not form.fields and form.file is None:
            return front.framework_error(NO_OPERATION)
        if answer := refuse_operation(form.fields, credential):
            return Decision(self.dress(answer, upload))
        operation = form.fields["operation"]
        if operation != "deploy_component":
            return self._refuse(400, f"Operation '{operation}' not found", upload)
        return self._refuse_fields(form.fields, upload)

    # -- operations in JSON ----------------------------------------------------------------------

    def at_body(
        self, request: RequestWitness, body: object, credential: Credential
    ) -> Decision | None:
        if not front.has_body(request):
            text = "Cannot read properties of undefined (reading 'operation')"
            return front.framework_error(text)
        if body is NO_JSON:
            return self._refuse(400, NOT_JSON, request, "close")
        if not isinstance(body, dict) or not body:
            return front.framework_error(NO_OPERATION)
        if answer := refuse_operation(body, credential):
            return Decision(self.dress(answer, request))
        if body["operation"] != "deploy_component":
            return None
        return self._refuse_fields(body, request) or self._deploy_json(body, request)

    def _deploy_json(self, fields: dict[str, Any], request: RequestWitness) -> Decision:
        if wants_events(request):
            deploy = self._deploy(fields)
            return Decision(_stream(deploy.events(deploy.failure(None))))
        return self._finish(fields, request)

    def elsewhere(self, request: RequestWitness) -> Decision | None:
        if refusal := front.refuse_head(request):
            return refusal
        if (request.method, request.path) == ("GET", "/health"):
            text = f"{self.product} is running."
            return Decision(FastifyAnswer(body=text, content_type="text/plain; charset=utf-8"))
        return Decision(EarlyAnswer(404, body="Not found\n", chunk_size=1024))

    # -- deploys ---------------------------------------------------------------------------------

    def _deploy(self, fields: dict[str, Any]) -> Deploy:
        return Deploy(fields, self.jobs, self.install, self.product)

    def _refuse_fields(self, fields: dict[str, Any], request: RequestWitness) -> Decision | None:
        """Refuse in the operation itself: in an event stream the status does not show it."""
        failure = check_fields(fields)
        if failure is None:
            return None
        if wants_events(request):
            return Decision(_stream(iter([failure.event("")])))
        return Decision(self.dress(_answer(failure, ""), request))

    def _finish(
        self, fields: dict[str, Any], request: RequestWitness, file: FilePart | None = None
    ) -> Decision:
        deploy = self._deploy(fields)
        failure = deploy.failure(file)
        answer = _answer(failure, deploy.deployment_id) if failure else Answer(json=deploy.result())
        return Decision(self.dress(answer, request))

    def _begin_stream(self, fields: dict[str, Any], upload: UploadWitness) -> EventStream:
        deploy = self._deploy(fields)

        def steps() -> Iterator[StreamStep]:
            yield Await.FORM_ENDS
            # Only now is it known how the payload ended.
            yield from deploy.events(deploy.failure(read_form(upload.reader).file))

        return _stream(steps())

    # -- heads -----------------------------------------------------------------------------------

    def dress(self, answer: Answer, request: RequestWitness) -> Answer:
        content, media_type = answer.content, answer.media_type
        if wants_events(request):
            content, media_type = front.framed(content), MEDIA_TYPE
        return FastifyAnswer(answer.status, body=content, content_type=media_type)

    def _refuse(
        self, status: int, text: str, request: RequestWitness, then: Then = "drain"
    ) -> Decision:
        return Decision(self.dress(Answer.error(status, text), request), then)


def _answer(failure: Failure, deployment_id: str) -> Answer:
    return Answer(failure.status, json=failure.body(deployment_id))


def _stream(events: Iterator[StreamStep]) -> EventStream:
    head = FastifyAnswer(content_type=MEDIA_TYPE, headers=HEADERS, chunk_size=1)
    return EventStream(events, after_upload=False, head=head)


# PARSE-20; a folded line is read as one.
_MALFORMED = {rule for rule in Rule if rule.id == "PARSE-20"} - {Rule.PART_HEADER_FOLDED}


def _is_malformed(reader: UploadReader) -> bool:
    return any(finding.rule in _MALFORMED for finding in reader.findings)


def _is_badly_framed(reader: UploadReader) -> bool:
    """Whether the HTTP parser has given up; it accepts a head that only breaks other rules."""
    return any(finding.layer == "framing" for finding in reader.findings)

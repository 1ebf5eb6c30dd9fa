"""The profile `harper-5.1`: the recorded answers of a real Harper 5.1.14."""

import re
from collections.abc import Iterator
from typing import Any

from attrs import define

from deploy_relay_kit.harness.faults.answers import (
    Answer,
    Await,
)
from deploy_relay_kit.harness.faults.events import HEADERS, MEDIA_TYPE, EventStream, StreamStep
from deploy_relay_kit.harness.profiles import harper_front as front
from deploy_relay_kit.harness.profiles.decoding import Form, read_form
from deploy_relay_kit.harness.profiles.harper_deploy import CUT_FORM, Deploy, Install, check_fields
from deploy_relay_kit.harness.profiles.layers import (
    FastifyAnswer,
    NotFoundAnswer,
    ParserAnswer,
    PreflightAnswer,
)
from deploy_relay_kit.harness.profiles.profile import (
    NO_JSON,
    NO_OPERATION,
    NOT_JSON,
    Credential,
    Decision,
    Profile,
    Then,
    refuse_operation,
    unknown_operation,
    wants_events,
)
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.requests import UploadWitness
from deploy_relay_kit.harness.witness.wire import Rule, UploadReader

TEXT = "text/plain"
NO_TIMESPAN = (
    '"expiresIn" should be a number of seconds or string representing a timespan '
    'eg: "1d", "20h", 60'
)
_TIMESPAN = re.compile(r" *-?\d*\.?\d+ *(?:[a-z]+)? *", re.IGNORECASE)  # of the library ms


@define(eq=False)
class Harper51(Profile):
    """Harper core 5.1.14 with its default settings, as seen on the wire.

    Reproduced: statuses, texts, the headers of each layer, the time of each answer, which refusals
    drain, stop reading or close, the lossy decoding of fields, event streams.

    Not reproduced:
    - 408 for a head that is incomplete or missing, and the end of an idle connection after 31 s:
      the server of the fake peer ends both with FIN after its own timeout.
    - The times of tokens (`expires_in`, and the 30 s for which Harper caches a good one), their
      length and signature; a token expires by `TokensExpire`.
    - Damage in the middle of a payload: the peer keeps its first and last 256 bytes (see
      `harness.profiles.archive`). A part that is a file to the reader of the wire is not decoded
      as a field (see `read_form`).
    - `npm install` does not run; `install` gives its lines or its failure. `package` is never
      fetched, a component is never served.
    - Operations other than minting, `registration_info`, `restart_service`, `get_job` and
      `deploy_component`; in an upload, only the last. Services other than http.
    - Several wrong fields: only the first is named. `replicated` is ignored.
    - A body in JSON above 64 KiB, and a body in CBOR. An Accept that no type satisfies (406).
    - Bytes after a gzip of more than 256 bytes. CORS headers of an event stream, and in the answers
      of the layers before the operations API.
    - The error for a missing last CRLF after the closing delimiter of a form without a file.

    Recorded from 4.7.29, and taken over: the heads of a preflight, and of 404s; where `connection:
    close` and CORS headers stand. Not recorded, and guessed: the place of `vary` and
    `server-timing` in the head of an event stream; the head of 417; `restart` null or empty; the
    states of a job; an event stream whose upload is cut; the `code` of a name that is too long; an
    upload by a forbidden user.

    A client that continues to send after a refusal is reset after 31 s. A witness waits less for
    the end of a request; a test sets a shorter `reset_after`.

    Attributes:
        product: the product's name in texts.
        hangs_up: whether it ends the connection after an operation that is no object, although
            the answer says keep-alive.
        install: the npm install of each deploy; None runs none.
    """

    product: str = "Harper"
    hangs_up: bool = True
    read_ahead: int = 128 * 1024  # recorded: 100 kB of the rest are read, 500 kB are not
    reset_after: float | None = 31.0
    request_limit: float | None = 147.3  # recorded; the limit is 120 s, checked every 30 s
    install: Install | None = None

    # -- uploads ---------------------------------------------------------------------------------

    def at_head(self, request: RequestWitness, credential: Credential) -> Decision | None:
        if refusal := front.refuse_head(request) or front.refuse_early(request, credential):
            return refusal
        media_type, parameters = front.content_type(request)
        if media_type == "multipart/form-data":  # PARSE-02
            known = "boundary=" in parameters.lower()
            text = "Multipart: Boundary not found"
            return None if known else self._refuse(400, text, request, "close")
        if media_type in ("application/json", TEXT) or (
            not media_type and not front.has_body(request)
        ):
            return None
        return self._refuse(415, "Unsupported Media Type", request)  # PARSE-01

    def at_file(
        self, upload: UploadWitness, credential: Credential
    ) -> Decision | EventStream | None:
        form = read_form(upload.reader)
        if _is_malformed(upload.reader) or form.file is None:
            return None  # Harper refuses a malformed form at its end
        if form.file.name != "payload":
            text = f'Unexpected file field "{form.file.name}"; expected "payload"'
            return self._refuse(400, text, upload, "close")
        if refusal := self._refuse_form(form, credential, upload):
            return Decision(refusal.answer, "stop")  # EARLY-04
        return self._begin_stream(form.fields, upload) if wants_events(upload) else None

    def is_ready(self, reader: UploadReader) -> bool:
        """After the closing delimiter, also without the last chunk; or after a broken rule."""
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
        return Decision(self.dress(self._deploy(form.fields).answer(form.file), upload))

    def _refuse_form(
        self, form: Form, credential: Credential, upload: UploadWitness
    ) -> Decision | None:
        if not form.fields and form.file is None:
            return front.framework_error(NO_OPERATION, upload)
        if answer := refuse_operation(form.fields, credential):
            return Decision(self.dress(answer, upload))
        operation = form.fields["operation"]
        if operation != "deploy_component":
            return Decision(self.dress(unknown_operation(operation), upload))
        return self._refuse_fields(form.fields, upload)

    # -- operations in JSON ----------------------------------------------------------------------

    def at_body(
        self, request: RequestWitness, body: object, credential: Credential
    ) -> Decision | None:
        if not front.has_body(request):
            text = "Cannot read properties of undefined (reading 'operation')"
            return front.framework_error(text, request)
        is_text = front.content_type(request)[0] == TEXT
        if body is NO_JSON and not is_text:
            return self._no_json(request)
        if is_text or not isinstance(body, dict) or not body:
            null = "Cannot read properties of null (reading 'operation')"
            text = null if body is None and not is_text else NO_OPERATION
            return front.framework_error(text, request, hangs_up=self.hangs_up)
        if answer := refuse_operation(body, credential):
            return Decision(self.dress(answer, request))
        if body["operation"] != "deploy_component":
            return None
        return self._refuse_fields(body, request) or self._deploy_json(body, request)

    def _no_json(self, request: RequestWitness) -> Decision:
        return self._refuse(400, NOT_JSON, request, "close")

    def refuse_mint(self, body: dict[str, object]) -> Answer | None:
        lifetime = body.get("expires_in", 60)
        if isinstance(lifetime, int | float) or (
            isinstance(lifetime, str) and _TIMESPAN.fullmatch(lifetime)
        ):
            return None
        return Answer.error(500, NO_TIMESPAN)

    def _deploy_json(self, fields: dict[str, Any], request: RequestWitness) -> Decision:
        deploy = self._deploy(fields)
        if wants_events(request):
            return Decision(_stream(deploy.events(None)))
        return Decision(self.dress(deploy.answer(None), request))

    def elsewhere(self, request: RequestWitness) -> Decision | None:
        if refusal := front.refuse_head(request):
            return refusal
        if (request.method, request.path) == ("GET", "/health"):
            text = f"{self.product} is running."
            return Decision(FastifyAnswer(body=text, content_type="text/plain; charset=utf-8"))
        if request.method == "OPTIONS":
            return Decision(_preflight(request))
        return Decision(NotFoundAnswer())

    # -- deploys ---------------------------------------------------------------------------------

    def _deploy(self, fields: dict[str, Any]) -> Deploy:
        return Deploy(fields, self.jobs, self.install, self.product)

    def _refuse_fields(self, fields: dict[str, Any], request: RequestWitness) -> Decision | None:
        """A refusal of the operation; in an event stream, it is an event."""
        failure = check_fields(fields)
        if failure is None:
            return None
        if wants_events(request):
            return Decision(_stream(iter([failure.event()])))
        return Decision(self.dress(failure.answer(), request))

    def _begin_stream(self, fields: dict[str, Any], upload: UploadWitness) -> EventStream:
        deploy = self._deploy(fields)

        def steps() -> Iterator[StreamStep]:
            yield Await.FORM_ENDS
            # The payload is complete here, or its upload is cut.
            yield from deploy.events(read_form(upload.reader).file)

        return _stream(steps())

    # -- heads -----------------------------------------------------------------------------------

    def dress(self, answer: Answer, request: RequestWitness, *, closes: bool = False) -> Answer:
        content, media_type = answer.content, answer.media_type
        if wants_events(request):
            content, media_type = front.framed(content), MEDIA_TYPE
        return FastifyAnswer(
            answer.status,
            body=content,
            content_type=media_type,
            chunk_size=answer.chunk_size,
            closes=closes,
            origin=request.header("origin"),
        )

    def _refuse(
        self, status: int, text: str, request: RequestWitness, then: Then = "drain"
    ) -> Decision:
        answer = self.dress(Answer.error(status, text), request, closes=then == "close")
        return Decision(answer, then)


def _preflight(request: RequestWitness) -> Answer:
    origin = request.header("origin")
    if origin is None or request.header("access-control-request-method") is None:
        return FastifyAnswer(400, body="Invalid Preflight Request", content_type=TEXT)
    return PreflightAnswer(origin=origin)


def _stream(events: Iterator[StreamStep]) -> EventStream:
    head = FastifyAnswer(content_type=MEDIA_TYPE, headers=HEADERS, chunk_size=1)
    return EventStream(events, after_upload=False, head=head)


# PARSE-20; a folded line is read as one.
_MALFORMED = {rule for rule in Rule if rule.id == "PARSE-20"} - {Rule.PART_HEADER_FOLDED}


def _is_malformed(reader: UploadReader) -> bool:
    """Whether a header line is malformed (PARSE-20); Harper accepts a folded line."""
    return any(finding.rule in _MALFORMED for finding in reader.findings)


def _is_badly_framed(reader: UploadReader) -> bool:
    """Whether the HTTP parser refuses the framing of the body."""
    return any(finding.layer == "framing" for finding in reader.findings)

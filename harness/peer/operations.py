"""The operations API of a fake peer: minting, uploads, and the fault that is due at each."""

import json
from collections.abc import Callable, Sequence
from typing import Any, get_args

from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.faults.answers import (
    Answer,
    End,
)
from deploy_relay_kit.harness.faults.broken_answers import AnyAnswer
from deploy_relay_kit.harness.faults.events import EventStream
from deploy_relay_kit.harness.faults.kinds import AnswerEarly
from deploy_relay_kit.harness.peer.node import NodeState
from deploy_relay_kit.harness.profiles.harper_front import CBOR, content_type
from deploy_relay_kit.harness.profiles.layers import ParserAnswer
from deploy_relay_kit.harness.profiles.profile import (
    MINT,
    NO_JSON,
    Credential,
    Decision,
    refuse_credential,
    run_operation,
)
from deploy_relay_kit.harness.transport.conversation import Conversation
from deploy_relay_kit.harness.transport.exchange import Exchange, path_in
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.moments import MomentKind
from deploy_relay_kit.harness.witness.redaction import redacted_target
from deploy_relay_kit.harness.witness.requests import MintWitness, OperationWitness, UploadWitness
from deploy_relay_kit.harness.witness.wire import LegacyReader, OperationReader, UploadReader
from deploy_relay_kit.harness.witness.wire.finding import show


class OperationsApi:
    """Answers for one peer; called in the thread of each connection."""

    def __init__(self, node: NodeState, mark_offsets: Sequence[int] = ()) -> None:
        """Answer as the attributes of `node` say at the time of each request."""
        self._node = node
        self._mark_offsets = mark_offsets

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request, or leave it unanswered: then it is not found."""
        witness = exchange.witness
        # Compared as sent: a path with `%2F` is another path (URL-08).
        if (witness.method, path_in(witness.target)) == ("POST", path_in(self._node.path)):
            exchange.answered = True
            self._operate(exchange)
        elif decision := self._node.profile.elsewhere(witness):
            exchange.answered = True
            self._refuse(exchange, decision)
        else:
            serves = f"POST {redacted_target(self._node.path)}"
            target = f"{show(witness.method.encode())} {witness.redacted_target}"
            witness.connection.note(MomentKind.NOT_FOUND, serves=serves, target=target)

    def _operate(self, exchange: Exchange) -> None:
        witness = exchange.witness
        if (witness.header("expect") or "").lower() == "100-continue":
            exchange.send_continue()  # as Node does, before anything is decided
        credential = self._node.credential_of(witness)
        if _is_upload(witness):
            self._upload(exchange)
        elif refusal := self._node.profile.at_head(witness, credential):
            self._refuse(exchange, refusal)
        else:
            self._operate_json(exchange, credential)

    def malformed(self, exchange: Exchange, status: int) -> None:
        """Refuse a malformed head; the head of an upload is judged first."""
        reader = UploadReader(exchange.witness.raw_head)
        if _is_upload(exchange.witness):
            exchange.witness_as(UploadWitness, reader=reader)
        Conversation(exchange, self._node.profile, reader).answer(ParserAnswer(status), "close")

    def _refuse(self, exchange: Exchange, decision: Decision) -> None:
        """Answer a request whose body is not looked at."""
        reader = UploadReader(exchange.witness.raw_head)  # takes the framing off, keeps nothing
        conversation = Conversation(exchange, self._node.profile, reader)
        conversation.answer(decision.answer, decision.then)

    def _operate_json(self, exchange: Exchange, credential: Credential) -> None:
        profile = self._node.profile
        takes_cbor = profile.takes_cbor and content_type(exchange.witness)[0] == CBOR
        reader = (LegacyReader if takes_cbor else OperationReader)(exchange.witness.raw_head)
        witness = exchange.witness_as(OperationWitness, reader=reader)
        conversation = Conversation(exchange, profile, reader)
        body: Any = NO_JSON
        try:
            conversation.receive(until="ready")
            body = _body_of(reader)
        finally:  # also when the connection ends in the middle
            if _is_mint(body, reader):
                known = {"body": body} if isinstance(body, dict) else {}
                witness = exchange.witness_as(MintWitness, reader=reader, **known)
        if conversation.timed_out:
            conversation.answer(ParserAnswer(408), "close")
        elif reader.too_long:
            conversation.answer(Answer.error(413, "over 64 KiB of JSON"), "close")
        elif reader.broken or not reader.complete:
            conversation.answer(ParserAnswer(400), "close")
        elif decision := profile.at_body(witness, body, credential):
            conversation.answer(decision.answer, decision.then)
        elif isinstance(witness, MintWitness):
            self._mint(witness, conversation, credential)
        else:
            answer, close = run_operation(body, profile)
            answer = profile.dress(answer, witness, closes=close)
            conversation.answer(answer, "close" if close else "drain")

    def _mint(
        self, witness: MintWitness, conversation: Conversation, credential: Credential
    ) -> None:
        profile = self._node.profile
        fault = self._node.schedule.due("mint", witness)
        if not isinstance(fault, faults.TokensExpire | faults.MintForAnotherUser):
            self._node.schedule.show("mint")
        match fault:
            case faults.MintAnswer(answer):
                conversation.answer(answer)
            case faults.MintHangs():
                conversation.end(End.SILENCE)
            case faults.MintDropped():
                conversation.end(End.CLOSE)
            case _ if refusal := self._refuse_mint(witness.body, credential):
                conversation.answer(profile.dress(refusal, witness))
            case _:
                issued = self._node.issue_tokens(fault)
                witness.token = issued["operation_token"]
                nested = isinstance(fault, faults.MintNested)
                answer = Answer(json={"results": issued} if nested else issued)
                conversation.answer(profile.dress(answer, witness))

    def _refuse_mint(self, body: dict[str, object], credential: Credential) -> Answer | None:
        """MINT-11: user and password in the body, or a good Authorization header."""
        given = (body.get("username"), body.get("password"))
        if given == (None, None):
            refusal = refuse_credential(credential)
            return refusal or self._node.profile.refuse_mint(body)
        if given != (self._node.username, self._node.password):
            return Answer.error(401, "invalid credentials")
        return self._node.profile.refuse_mint(body)

    def _upload(self, exchange: Exchange) -> None:
        reader = UploadReader(exchange.witness.raw_head, mark_offsets=self._mark_offsets)
        upload = exchange.witness_as(UploadWitness, reader=reader)
        conversation = Conversation(exchange, self._node.profile, reader, self._node.redacted)
        schedule = self._node.schedule
        if self._node.credential_of(upload) in {"expired", "forbidden"}:
            schedule.show("mint")
        match schedule.due("upload", upload):
            case faults.ResetAfter(received):
                conversation.receive(limit=received)
                self._show_if(reader.received == received or reader.complete)
                conversation.end(End.RESET)
            case faults.StopReadingAfter(received, until):
                conversation.receive(limit=received)
                self._show_if(reader.received == received or reader.complete)
                self._stop_reading(conversation, upload, until)
            case faults.CloseWithoutAnswer():
                conversation.receive()
                self._show_if(_has_ended(reader))
                conversation.end(End.CLOSE)
            case faults.AnswerEarly() as early:
                self._answer_early(conversation, reader, early)
            case faults.ReadSlowly(rate):
                self._serve(conversation, upload, rate=rate)
            case answer if isinstance(answer, get_args(AnyAnswer | EventStream)):
                self._serve(conversation, upload, answer)
            case _:
                self._serve(conversation, upload)

    def _show_if(self, is_shown: bool) -> None:  # noqa: FBT001
        """Note that a client sees the fault of its upload."""
        if is_shown:
            self._node.schedule.show("upload")

    def _stop_reading(
        self,
        conversation: Conversation,
        upload: UploadWitness,
        until: Callable[[], object] | None,
    ) -> None:
        """Read no more of an upload, for ever or until `until` returns."""
        if until is None:
            conversation.end(End.SILENCE)
            return
        try:
            until()
        except TimeoutError:
            conversation.end(End.RESET)
        else:
            self._serve(conversation, upload)

    def _serve(
        self,
        conversation: Conversation,
        upload: UploadWitness,
        answer: AnyAnswer | EventStream | None = None,
        *,
        rate: int | None = None,
    ) -> None:
        """Receive and answer an upload as the profile does; `answer` replaces its last answer."""
        decision = self._decide(conversation, upload, answer, rate)
        # A client that has gone amid its upload does not see how it is answered.
        self._show_if(
            decision.answer is answer
            and (isinstance(answer, EventStream) or _has_ended(upload.reader))
        )
        conversation.answer(decision.answer, decision.then)

    def _decide(
        self,
        conversation: Conversation,
        upload: UploadWitness,
        answer: AnyAnswer | EventStream | None,
        rate: int | None,
    ) -> Decision:
        profile = self._node.profile
        credential = self._node.credential_of(upload)
        if refusal := profile.at_head(upload, credential):
            return refusal
        if rate is not None:
            self._node.schedule.show("upload")
        conversation.receive(until="file", rate=rate)
        early = profile.at_file(upload, credential) if upload.reader.file_started else None
        if isinstance(early, Decision):
            return early
        answer = answer or early
        if not isinstance(answer, EventStream):
            conversation.receive(until="ready", rate=rate)
            if conversation.timed_out:
                return Decision(ParserAnswer(408), "close")
        return Decision(answer) if answer else profile.at_end(upload, credential)

    def _answer_early(
        self, conversation: Conversation, reader: UploadReader, early: AnswerEarly
    ) -> None:
        if early.at == "file":
            conversation.receive(until="file")
            is_early = reader.file_started
        elif early.at != "head":
            conversation.receive(limit=early.at)
            is_early = reader.received == early.at
        else:
            is_early = True
        self._show_if(is_early)
        then = "silence" if early.then == "stop" else early.then  # for good, unlike a profile
        conversation.answer(early.answer, then, early.grace)


def _has_ended(reader: UploadReader) -> bool:
    """Whether the client has sent the end of its form, or of its body."""
    return reader.complete or reader.body_complete


def _is_upload(request: RequestWitness) -> bool:
    return (request.header("content-type") or "").lower().startswith("multipart/")


def _is_mint(body: Any, reader: OperationReader) -> bool:
    """Whether an operation is a mint; an incomplete one, or one not in JSON, by its bytes."""
    if body is NO_JSON:
        return MINT.encode() in reader.content
    return isinstance(body, dict) and body.get("operation") == MINT


def _body_of(reader: OperationReader) -> Any:
    if isinstance(reader, LegacyReader):
        return reader.body if reader.whole else NO_JSON
    return _from_json(reader.content)


def _from_json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return NO_JSON

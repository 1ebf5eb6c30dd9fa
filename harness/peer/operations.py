"""The operations API of a fake peer: minting, uploads, and the fault that is due at each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, get_args

from werkzeug import Request, Response

from harness.faults import kinds as faults
from harness.faults.answers import Answer, AnyAnswer, End
from harness.faults.events import EventStream
from harness.faults.kinds import AnswerEarly
from harness.peer.node import NodeState
from harness.profiles.layers import ParserAnswer
from harness.profiles.profile import (
    MINT,
    NO_JSON,
    Credential,
    Decision,
    refuse_credential,
    run_operation,
)
from harness.transport.connection import ConnectionEnded
from harness.transport.conversation import Conversation
from harness.transport.exchange import Exchange
from harness.witness.connections import RequestWitness
from harness.witness.requests import MintWitness, OperationWitness, UploadWitness
from harness.witness.wire import OperationReader, UploadReader

_CONTINUE = "100-continue"


class OperationsApi:
    """Answers for one peer; called in the thread of each connection."""

    def __init__(self, node: NodeState, mark_offsets: Sequence[int] = ()) -> None:
        """Answer as the attributes of `node` say at the time of each request."""
        self._node = node
        self._mark_offsets = mark_offsets

    # -- operations ------------------------------------------------------------------------------

    def __call__(self, request: Request) -> Response:
        """Handle one request, as pytest-httpserver asks it of a handler."""
        exchange = Exchange.of(request)
        seen = exchange.witness
        # As they stand on the request line: a path that says `%2F` is another one (URL-08).
        if (seen.method, _path_in(seen.target)) == ("POST", _path_in(self._node.path)):
            return self._handle(request, self._operate)
        decision = self._node.profile.elsewhere(seen)
        if decision is None:
            return Response("Not found\n", 404)
        return self._handle(request, lambda exchange: self._decide(exchange, decision))

    def _handle(self, request: Request, handle: Callable[[Exchange], object]) -> Response:
        exchange = Exchange.of(request)
        exchange.answered = True
        try:
            handle(exchange)
        except ConnectionEnded:  # the client's doing, and witnessed: no error of this handler
            exchange.keep_alive = False
        return Response()  # never sent: the exchange is answered

    def _operate(self, exchange: Exchange) -> None:
        profile = self._node.profile
        if (exchange.witness.header("expect") or "").lower() == _CONTINUE:
            # As Node does, before anything is decided; whether it may be asked is another matter.
            Conversation(exchange, profile).go_on()
        if _is_upload(exchange.witness):
            self._upload(exchange)
        elif refusal := profile.at_head(
            exchange.witness, self._node.credential_of(exchange.witness)
        ):
            self._decide(exchange, refusal)
        else:
            self._operate_json(exchange)

    def malformed(self, exchange: Exchange, status: int) -> None:
        """Refuse a head that is none; what was meant as an upload is judged as one."""
        reader = UploadReader(exchange.raw_head)
        if _is_upload(exchange.witness):
            exchange.witness_as(UploadWitness, reader=reader)
        conversation = Conversation(exchange, self._node.profile, reader)
        conversation.answer(ParserAnswer(status), close=True)

    def _decide(self, exchange: Exchange, decision: Decision) -> None:
        """Answer a request whose body nobody wants to see."""
        reader = UploadReader(exchange.raw_head)  # takes the framing off, keeps nothing
        self._carry_out(Conversation(exchange, self._node.profile, reader), decision)

    def _operate_json(self, exchange: Exchange) -> None:
        profile = self._node.profile
        reader = OperationReader(exchange.raw_head)
        exchange.witness_as(OperationWitness, reader=reader)
        conversation = Conversation(exchange, profile, reader)
        body = NO_JSON
        try:
            conversation.receive(until="ready")
            body = _from_json(reader.content)
        finally:  # also when it breaks off in the middle
            if _is_mint(body, reader):
                known = {"body": body} if isinstance(body, dict) else {}
                exchange.witness_as(MintWitness, reader=reader, **known)
        if conversation.timed_out:
            conversation.answer(ParserAnswer(408), close=True)
        elif reader.too_long:
            conversation.answer(Answer.error(413, "over 64 KiB of JSON"), close=True)
        elif reader.broken or not reader.complete:
            conversation.answer(ParserAnswer(400), close=True)
        else:
            self._run(exchange, conversation, body)

    def _run(self, exchange: Exchange, conversation: Conversation, body: Any) -> None:
        profile = self._node.profile
        witness = exchange.witness
        credential = self._node.credential_of(witness)
        if decision := profile.at_body(witness, body, credential):
            conversation.answer(decision.answer, close=decision.then == "close")
        elif isinstance(witness, MintWitness):
            self._mint(witness, conversation, credential)
        else:
            answer, close = run_operation(body, profile)
            conversation.answer(profile.dress(answer, witness), close=close)

    def _mint(
        self, witness: MintWitness, conversation: Conversation, credential: Credential
    ) -> None:
        profile = self._node.profile
        match fault := self._node.schedule.due("mint"):
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
            return refuse_credential(credential)
        if given != (self._node.username, self._node.password):
            return Answer.error(401, "invalid credentials")
        return None

    # -- uploads ---------------------------------------------------------------------------------

    def _upload(self, exchange: Exchange) -> None:
        reader = UploadReader(exchange.raw_head, mark_offsets=self._mark_offsets)
        upload = exchange.witness_as(UploadWitness, reader=reader)
        conversation = Conversation(exchange, self._node.profile, reader, self._node.redacted)
        match self._node.schedule.due("upload"):
            case faults.ResetAfter(received):
                conversation.receive(limit=received)
                conversation.end(End.RESET)
            case faults.StopReadingAfter(received, until):
                conversation.receive(limit=received)
                self._stand_still(conversation, upload, until)
            case faults.CloseWithoutAnswer():
                conversation.receive()
                conversation.end(End.CLOSE)
            case faults.AnswerEarly() as early:
                self._answer_early(conversation, early)
            case faults.ReadSlowly(rate):
                self._serve(conversation, upload, rate=rate)
            case answer if isinstance(answer, get_args(AnyAnswer | EventStream)):
                self._serve(conversation, upload, answer)
            case _:
                self._serve(conversation, upload)

    def _stand_still(
        self,
        conversation: Conversation,
        upload: UploadWitness,
        until: Callable[[], object] | None,
    ) -> None:
        """Take no more of an upload, for good or until something has happened."""
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
        """Go through an upload as the profile does; `answer` takes the place of its last word."""
        profile = self._node.profile
        credential = self._node.credential_of(upload)
        decision: Decision | EventStream | None = profile.at_head(upload, credential)
        if decision is None:
            conversation.receive(until="file", rate=rate)
            if upload.reader.file_started:
                decision = profile.at_file(upload, credential)
        if isinstance(decision, Decision):
            self._carry_out(conversation, decision)
            return
        answer = answer or decision
        if isinstance(answer, EventStream):
            self._carry_out(conversation, Decision(answer))
            return
        conversation.receive(until="ready", rate=rate)
        if conversation.timed_out:
            self._carry_out(conversation, Decision(ParserAnswer(408), "close"))
        elif answer is not None:
            self._carry_out(conversation, Decision(answer))
        else:
            self._carry_out(conversation, profile.at_end(upload, credential))

    def _carry_out(self, conversation: Conversation, decision: Decision) -> None:
        conversation.answer(decision.answer, close=decision.then == "close")
        self._after_early_answer(conversation, decision.then)

    def _answer_early(self, conversation: Conversation, early: AnswerEarly) -> None:
        if early.at == "file":
            conversation.receive(until="file")
        elif early.at != "head":
            conversation.receive(limit=early.at)
        conversation.answer(early.answer, close=early.then == "close")
        if early.then == "stop":  # for good, whatever the profile would do
            conversation.end(End.SILENCE)
        self._after_early_answer(conversation, early.then, early.grace)

    def _after_early_answer(
        self, conversation: Conversation, then: str, grace: float | None = None
    ) -> None:
        if not conversation.open:  # the client has asked for `Connection: close`, and got it
            return
        match then:
            case "drain":
                conversation.receive()
            case "stop":
                conversation.stall()
            case "grace":
                conversation.receive(seconds=grace)
                if not conversation.complete:
                    conversation.end(End.RESET)


def _path_in(target: str) -> str:
    """The path of a request target, which may be a whole URL (RFC 9112 section 3.2.2)."""
    path = target.partition("?")[0]
    _, is_url, rest = path.partition("://")
    return f"/{rest.partition('/')[2]}" if is_url else path


def _is_upload(request: RequestWitness) -> bool:
    return (request.header("content-type") or "").lower().startswith("multipart/")


def _is_mint(body: Any, reader: OperationReader) -> bool:
    """Whether an operation is a mint; one that is not whole or not JSON, by its looks."""
    if body is NO_JSON:
        return MINT.encode() in reader.content
    return isinstance(body, dict) and body.get("operation") == MINT


def _from_json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return NO_JSON

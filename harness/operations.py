"""The operations API of a fake peer: minting, uploads, and the fault that is due at each."""

from __future__ import annotations

import threading
from base64 import b64decode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Any, get_args

from werkzeug import Request, Response

from harness import faults
from harness.answers import Answer, End
from harness.connection import ConnectionEnded
from harness.conversation import Conversation
from harness.events import EventStream
from harness.server import Exchange
from harness.wire import UploadReader
from harness.witness import MintWitness, UploadWitness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.answers import AnyAnswer
    from harness.faults import AnswerEarly, MintFault, OneUploadFault
    from harness.peer import FakePeer

_OPERATION_LIMIT = 64 * 1024


class OperationsApi:
    """Answers for one peer; called in the thread of each connection."""

    def __init__(self, peer: FakePeer, mark_offsets: Sequence[int] = ()) -> None:
        """Answer as the attributes of `peer` say at the time of each request."""
        self._peer = peer
        self._mark_offsets = mark_offsets
        self._uploads_begun = 0
        self._lock = threading.Lock()

    def _mint_fault(self) -> MintFault | None:
        kinds = get_args(faults.MintFault)
        return next((fault for fault in self._peer.faults if isinstance(fault, kinds)), None)

    def _upload_fault(self) -> OneUploadFault | None:
        kinds = get_args(faults.UploadFault)
        due = next((fault for fault in self._peer.faults if isinstance(fault, kinds)), None)
        with self._lock:
            turn = self._uploads_begun
            self._uploads_begun += 1
        if isinstance(due, faults.InTurn):
            return due.turns[min(turn, len(due.turns) - 1)]
        return due

    # -- operations ------------------------------------------------------------------------------

    def __call__(self, request: Request) -> Response:
        """Handle one request, as pytest-httpserver asks it of a handler."""
        exchange = Exchange.of(request)
        exchange.answered = True
        try:
            if request.mimetype.startswith("multipart/"):
                self._upload(exchange)
            else:
                self._operation(exchange, request)
        except ConnectionEnded:  # the client's doing, and witnessed: no error of this handler
            exchange.keep_alive = False
        return Response()  # never sent: the exchange is answered

    def _operation(self, exchange: Exchange, request: Request) -> None:
        request.max_content_length = _OPERATION_LIMIT
        body = request.get_json(force=True, silent=True)
        if not isinstance(body, dict):
            text = "Body is not valid JSON but content-type is set to 'application/json'"
            Conversation(exchange).answer(Answer.error(400, text), close=True)
        elif body.get("operation") == "create_authentication_tokens":
            self._mint(exchange, body)
        else:
            answer = Answer.error(400, f"Operation '{body.get('operation')}' not found")
            Conversation(exchange).answer(answer)

    def _mint(self, exchange: Exchange, body: dict[str, Any]) -> None:
        witness = exchange.witness_as(MintWitness, body=body)
        conversation = Conversation(exchange)
        match fault := self._mint_fault():
            case faults.MintAnswer(answer):
                conversation.answer(answer)
            case faults.MintHangs():
                conversation.end(End.SILENCE)
            case faults.MintDropped():
                conversation.end(End.CLOSE)
            case _ if refusal := self._refuse_mint(witness, body):
                conversation.answer(refusal)
            case _:
                witness.token = self._peer.tokens.issue(
                    self._peer.username,
                    expire_first=fault.first if isinstance(fault, faults.TokensExpire) else 0,
                    forbidden=isinstance(fault, faults.MintForAnotherUser),
                )
                refresh = self._peer.tokens.issue_refresh(self._peer.username)
                issued = {"operation_token": witness.token, "refresh_token": refresh}
                nested = isinstance(fault, faults.MintNested)
                conversation.answer(Answer(json={"results": issued} if nested else issued))

    def _refuse_mint(self, witness: MintWitness, body: dict[str, Any]) -> Answer | None:
        given: tuple[Any, ...] = body.get("username"), body.get("password")
        if given == (None, None):
            scheme, _, credentials = (witness.header("authorization") or "").partition(" ")
            if scheme != "Basic":
                return Answer.error(401, "Must login")
            try:
                plain = b64decode(credentials, validate=True).decode()
            except (Base64Error, UnicodeDecodeError):
                return Answer.error(401, "Invalid character")
            given = tuple(plain.split(":", 1))
        if given != (self._peer.username, self._peer.password):
            return Answer.error(401, "invalid credentials")
        return None

    # -- uploads ---------------------------------------------------------------------------------

    def _upload(self, exchange: Exchange) -> None:
        reader = UploadReader(exchange.raw_head, mark_offsets=self._mark_offsets)
        upload = exchange.witness_as(UploadWitness, reader=reader)
        conversation = Conversation(exchange, reader)
        match self._upload_fault():
            case faults.ResetAfter(received):
                conversation.receive(limit=received)
                conversation.end(End.RESET)
            case faults.StopReadingAfter(received):
                conversation.receive(limit=received)
                conversation.end(End.SILENCE)
            case faults.CloseWithoutAnswer():
                conversation.receive()
                conversation.end(End.CLOSE)
            case faults.AnswerEarly() as early:
                self._answer_early(conversation, early)
            case faults.ReadSlowly(rate):
                self._serve(conversation, upload, rate=rate)
            case None:
                self._serve(conversation, upload)
            case answer:
                self._serve(conversation, upload, answer)

    def _serve(
        self,
        conversation: Conversation,
        upload: UploadWitness,
        answer: AnyAnswer | EventStream | None = None,
        *,
        rate: int | None = None,
    ) -> None:
        """Go through an upload as the profile does; `answer` takes the place of its last word."""
        credential = self._peer.tokens.worth(upload.header("authorization"))
        refusal = self._peer.profile.at_head(upload, credential)
        if refusal is None:
            conversation.receive(until="file", rate=rate)
            if upload.reader.file_started:
                refusal = self._peer.profile.at_file(upload, credential)
        if refusal is not None:
            conversation.answer(refusal.answer, close=refusal.then == "close")
            self._after_early_answer(conversation, refusal.then)
            return
        if isinstance(answer, EventStream):
            conversation.answer(answer)
        conversation.receive(rate=rate)
        if not isinstance(answer, EventStream):
            conversation.answer(answer or self._peer.profile.at_end(upload))

    def _answer_early(self, conversation: Conversation, early: AnswerEarly) -> None:
        if early.at == "file":
            conversation.receive(until="file")
        elif early.at != "head":
            conversation.receive(limit=early.at)
        conversation.answer(early.answer, close=early.then == "close")
        self._after_early_answer(conversation, early.then, early.grace)

    def _after_early_answer(
        self, conversation: Conversation, then: str, grace: float | None = None
    ) -> None:
        match then:
            case "drain":
                conversation.receive()
            case "stop":
                conversation.end(End.SILENCE)
            case "grace":
                conversation.receive(seconds=grace)
                if not conversation.complete:
                    conversation.end(End.RESET)

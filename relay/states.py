"""Pure: the states of one upload and of its answer, and the rules for each pair of them.

`upload.py` moves the bytes. It reports each `Step` to an `Exchange`, which says which time limit
starts, and at the end whether the attempt failed, and may have deployed anyway (`uncertain`).
"""

import enum
from dataclasses import dataclass
from typing import NamedTuple

from deploy_relay_kit.relay.answer import GATEWAY
from deploy_relay_kit.relay.errors import AttemptError, PeerError, SpoiledUploadError
from deploy_relay_kit.relay.limits import Limits

_CLOSE_SECONDS = 5.0  # how long a stream may stay open after its `done` event
_EARLY_SECONDS = 5.0  # how long an upload may stand still after its answer began
_STALLED = (
    "the node or a proxy in front of it stopped reading; Apache httpd hides the answer of a node "
    "that refuses a deploy and stops reading, so look into the node's log"
)


class BodyState(enum.Enum):
    SENDING = enum.auto()
    SENT = enum.auto()  # the connection has the whole body
    BROKEN = enum.auto()  # the payload cannot be read to its end


class AnswerState(enum.Enum):
    NONE = enum.auto()  # no head yet
    PLAIN = enum.auto()  # a success, as JSON or text
    STREAM = enum.auto()  # a success, as an event stream
    DONE = enum.auto()  # an event stream with its `done` event
    REFUSED = enum.auto()  # any other status


class Step(enum.Enum):
    """Something that happens in an exchange."""

    PART = enum.auto()  # the connection takes a part of the body, so it has sent the one before
    LAST_PART = enum.auto()
    READ_ERROR = enum.auto()  # of the payload
    HEAD = enum.auto()
    STREAM_HEAD = enum.auto()
    REFUSAL_HEAD = enum.auto()
    EVENT = enum.auto()  # of a stream
    DONE = enum.auto()  # the `done` event of a stream, or an event after it


class Limit(enum.Enum):
    """A time limit of an exchange; connecting has its own, in `connection.py`."""

    STALL = enum.auto()
    EARLY = enum.auto()  # a stall of an upload whose answer began
    ANSWER = enum.auto()
    CLOSE = enum.auto()
    NOW = enum.auto()  # nothing is left to wait for


class End(enum.Enum):
    """What the end of an exchange means."""

    SUCCESS = enum.auto()
    EARLY = enum.auto()  # a success before the upload finished
    STALLED = enum.auto()
    SPOILED = enum.auto()  # by the early beginning of its answer
    NO_ANSWER = enum.auto()
    ENDLESS = enum.auto()  # a refusal that did not end
    ERROR = enum.auto()  # the error that was raised
    READ_ERROR = enum.auto()


class Rule(NamedTuple):
    """What holds in a pair of states."""

    limit: Limit
    restarted_by: Step | None  # the limit also starts in place of another one
    late: End  # the limit is reached
    lost: End  # the connection is lost, or the answer is a refusal or incomplete


SENDING, SENT, BROKEN = BodyState
NONE, PLAIN, STREAM, DONE, REFUSED = AnswerState
_NEXT_BODY = {Step.LAST_PART: SENT, Step.READ_ERROR: BROKEN}
_NEXT_ANSWER = {
    Step.HEAD: PLAIN,
    Step.STREAM_HEAD: STREAM,
    Step.REFUSAL_HEAD: REFUSED,
    Step.DONE: DONE,
}
# fmt: off
RULES = {
    #                        limit         restarted by       late           lost
    (SENDING, NONE):    Rule(Limit.STALL,  Step.PART,         End.STALLED,   End.ERROR),
    (SENDING, PLAIN):   Rule(Limit.STALL,  Step.PART,         End.STALLED,   End.ERROR),
    (SENDING, STREAM):  Rule(Limit.EARLY,  Step.PART,         End.SPOILED,   End.ERROR),
    (SENDING, DONE):    Rule(Limit.NOW,    None,              End.EARLY,     End.EARLY),
    (SENDING, REFUSED): Rule(Limit.STALL,  Step.REFUSAL_HEAD, End.ENDLESS,   End.ERROR),
    (SENT, NONE):       Rule(Limit.ANSWER, None,              End.NO_ANSWER, End.ERROR),
    (SENT, PLAIN):      Rule(Limit.ANSWER, None,              End.NO_ANSWER, End.ERROR),
    (SENT, STREAM):     Rule(Limit.ANSWER, Step.EVENT,        End.NO_ANSWER, End.ERROR),
    (SENT, DONE):       Rule(Limit.CLOSE,  None,              End.SUCCESS,   End.SUCCESS),
    (SENT, REFUSED):    Rule(Limit.ANSWER, Step.REFUSAL_HEAD, End.ENDLESS,   End.ERROR),
    **{(BROKEN, answer): Rule(Limit.NOW, None, End.READ_ERROR, End.READ_ERROR)
       for answer in AnswerState},
}
# fmt: on


@dataclass
class Exchange:
    """One upload and its answer, from the first part of the body to the end of the answer."""

    limits: Limits
    asks_for_events: bool = False
    body: BodyState = SENDING
    answer: AnswerState = NONE
    status: int | None = None  # of the answer, once its head is there
    read_error: AttemptError | None = None  # of the payload

    def __post_init__(self) -> None:
        self._seconds = {
            Limit.STALL: self.limits.stall,
            # Without events, an answer does not begin early (SSE-02).
            Limit.EARLY: min(_EARLY_SECONDS, self.limits.stall)
            if self.asks_for_events
            else self.limits.stall,
            Limit.ANSWER: self.limits.answer,
            Limit.CLOSE: _CLOSE_SECONDS,
            Limit.NOW: 0.0,
        }

    @property
    def is_sent(self) -> bool:
        return self.body is SENT

    def advance(self, step: Step) -> float | None:
        """Take a step; return the seconds of the limit that it starts, if it starts one."""
        before = RULES[self.body, self.answer]
        self.body = _NEXT_BODY.get(step, self.body)
        self.answer = _NEXT_ANSWER.get(step, self.answer)
        rule = RULES[self.body, self.answer]
        if rule.limit is before.limit and rule.restarted_by is not step:
            return None
        return self._seconds[rule.limit]

    def failure(self, error: PeerError | TimeoutError | None) -> AttemptError | None:
        """Why the attempt failed, if it did; `error` ended it, or None after a complete success."""
        match self._end(error):
            case End.SUCCESS:
                return None
            case End.EARLY:
                return PeerError("answer", "success before the upload finished", uncertain=True)
            case End.STALLED | End.SPOILED as end:
                return self._stalled(end)
            case End.NO_ANSWER:
                reason = f"no answer in {self.limits.answer:g} s"
                return PeerError("answer", reason, uncertain=True)
            case End.READ_ERROR:
                return self.read_error
        if not isinstance(error, PeerError):
            error = PeerError("answer", "its answer did not end in time")
        if self.answer is REFUSED:
            if error.status_code is None:  # the head counts, however the rest ended
                error.reason = f"HTTP {self.status}, but {error.reason}"
                error.status_code = self.status
            error.uncertain = self.status in GATEWAY  # the node may have continued
        error.uncertain &= self.is_sent  # without the whole body a node cannot have deployed
        return error

    def _stalled(self, end: End) -> PeerError:
        if end is End.SPOILED and self.asks_for_events:
            seconds = self._seconds[Limit.EARLY]
            reason = f"the upload stood still for {seconds:g} s after its answer began"
            return SpoiledUploadError("upload", reason, hint=_STALLED)
        reason = f"the peer took no data for {self.limits.stall:g} s"
        return PeerError("upload", reason, hint=_STALLED)

    def _end(self, error: PeerError | TimeoutError | None) -> End:
        if error is None:
            return End.SUCCESS if self.is_sent else End.EARLY
        rule = RULES[self.body, self.answer]
        if isinstance(error, TimeoutError):
            return rule.late
        return End.ERROR if error.in_stream else rule.lost  # SSE-11: `done` does not outlive it

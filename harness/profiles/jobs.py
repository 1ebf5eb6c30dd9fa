"""The jobs of one fake peer: `restart_service` begins one, `get_job` polls it (RST-02)."""

import threading
import uuid
from collections import Counter
from typing import Any, Literal

from attrs import define, field


@define(eq=False)
class JobBook:
    """Begins jobs and answers polls; safe to use from many threads.

    Attributes:
        polls: polls of a job that are answered with `IN_PROGRESS`; the next one is the end.
        outcome: how every job ends.
        message: the message of an ended job.
        begun: the ids of all jobs, in order.
    """

    polls: int = 2
    outcome: Literal["COMPLETE", "ERROR"] = "COMPLETE"
    message: str = "Restarted http"
    begun: list[str] = field(init=False, factory=list)
    _polled: Counter[str] = field(init=False, factory=Counter, repr=False)
    _lock: threading.Lock = field(init=False, factory=threading.Lock, repr=False)

    def begin(self) -> str:
        """Begin a job and return its id."""
        job = str(uuid.uuid4())
        with self._lock:
            self.begun.append(job)
        return job

    def poll(self, job: object) -> list[dict[str, Any]] | None:
        """The answer of `get_job`; None for an unknown job."""
        with self._lock:
            if not isinstance(job, str) or job not in self.begun:
                return None
            self._polled[job] += 1
            ended = self._polled[job] > self.polls
        status = self.outcome if ended else "IN_PROGRESS"
        message = self.message if ended else None
        return [{"id": job, "type": "restart_service", "status": status, "message": message}]

"""The jobs of one fake peer: what `restart_service` begins and `get_job` asks after (RST-02)."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(eq=False)
class JobBook:
    """Begins jobs and tells how they go; safe to use from many threads.

    Attributes:
        polls: how often each job is `IN_PROGRESS` when asked after, before it has ended.
        outcome: how every job ends.
        message: what an ended job says.
        begun: the ids of all jobs, in order.

    """

    polls: int = 2
    outcome: Literal["COMPLETE", "ERROR"] = "COMPLETE"
    message: str = "Restarted http"
    begun: list[str] = field(default_factory=list)
    _asked: dict[str, int] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def begin(self) -> str:
        """Begin a job; its id."""
        job = str(uuid.uuid4())
        with self._lock:
            self.begun.append(job)
            self._asked[job] = 0
        return job

    def ask(self, job: object) -> list[dict[str, Any]] | None:
        """What `get_job` answers; None when there is no such job."""
        with self._lock:
            if not isinstance(job, str) or job not in self._asked:
                return None
            self._asked[job] += 1
            ended = self._asked[job] > self.polls
        status = self.outcome if ended else "IN_PROGRESS"
        message = self.message if ended else None
        return [{"id": job, "type": "restart_service", "status": status, "message": message}]

"""Pure: what the node answers: a refusal, the result of a deploy, an event (SSE-03, SSE-04)."""

import json
import logging
from collections.abc import Mapping, Sequence

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.report import Record

MEDIA_TYPE = "text/event-stream"
EVENT_HEADERS = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
PRIME = b": stream open\n\n"
_LOG = logging.getLogger(__name__)


class RefusalError(Exception):
    """A request that is refused: an HTTP status, and the text of `error`."""

    def __init__(self, status: int, error: str, **members: object) -> None:
        super().__init__(error)
        self.status = status
        self.body: dict[str, object] = {"error": error, **members}


def refusal_of(error: Exception, act: str) -> RefusalError:
    """The refusal that answers any exception; `act` is what the node could not do."""
    match error:
        case RefusalError():
            return error
        case InputError():  # of a file that the configuration names
            return RefusalError(400, str(error))
        case OSError():
            return RefusalError(500, f"cannot {act}: {error.strerror}")
    _LOG.error("cannot %s", act, exc_info=error)  # a bug
    return RefusalError(500, "internal error; see the log of the node")


def answer_of(
    done: str,
    message: str,
    given: Mapping[str, object],
    facts: Mapping[str, object],
    records: Sequence[Record] | None,
    *,
    not_restarted: RefusalError | None = None,
    differing: Sequence[str] = (),
) -> dict[str, object]:
    """The answer of a deploy or rollback that is live on this node: `facts` and records.

    There are no records if the request was for this node only (AGG-05). It is a RefusalError,
    which begins with what was `done` here, if a node failed and the request does not ignore that
    (DEP-15), the restart failed, or the nodes may hold different builds (BUG-42).
    """
    answer = dict(facts)
    if records is not None:
        answer["replicated"] = list(records)
    failed = [it for it in records or [] if it["status"] != "success"]
    failed_peers = [{"node": it["node"], "error": it["reason"]} for it in failed]
    problems = []
    if failed and given.get("ignore_replication_errors") is not True:
        names = ", ".join(f"{it['node']} ({it['reason']})" for it in failed)
        problems.append(f"{len(failed)} of {len(records or [])} nodes failed: {names}")
        answer["failed_peers"] = failed_peers
    if differing:
        problems.append(f"nodes may hold another build: {', '.join(differing)}")
    if not_restarted is not None:
        problems.append(f"not restarted: {not_restarted}")
        answer |= {name: it for name, it in not_restarted.body.items() if name != "error"}
    if problems:
        raise RefusalError(500, f"{done} here, but {'; '.join(problems)}", **answer)
    message += {True: ", restarted", "rolling": ", restarting"}.get(given.get("restart"), "")
    if records is not None and not records:
        message += "; the cluster has no other nodes, so it was replicated to none"  # DEP-16
    return answer | {"message": message}


def event_of(name: str, data: object) -> bytes:
    """One event; its data is JSON, which holds no line end."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()

"""Pure: the answer of a deploy, or of a rollback (DEP-12…17, AGG-01…05)."""

from collections.abc import Mapping, Sequence

from deploy_relay_kit.relay.origin.refusal import RefusalError
from deploy_relay_kit.relay.report import Record


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

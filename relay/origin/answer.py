"""Pure: the answer of a deploy (DEP-12…17, AGG-01…05)."""

from collections.abc import Mapping, Sequence

from deploy_relay_kit.relay.origin.refusal import RefusalError
from deploy_relay_kit.relay.report import Record


def answer_of(
    project: str,
    given: Mapping[str, object],
    facts: Mapping[str, object],
    records: Sequence[Record] | None,
    not_restarted: RefusalError | None,
    *,
    is_overtaken: bool = False,
) -> dict[str, object]:
    """The answer of a deploy that is live on this node.

    Args:
        project: Its name.
        given: The fields of the deploy.
        facts: Members of every answer, whatever happened on other nodes.
        records: Of the other nodes, or None if the deploy was for this node only (AGG-05).
        not_restarted: The failure of the restart.
        is_overtaken: Whether another deploy of the project reached this node during the fan-out.

    Raises:
        RefusalError: A node failed and the deploy does not ignore that (DEP-15), the restart
            failed, or the nodes may hold different builds (BUG-42). The records are part of it.
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
    if is_overtaken:
        problems.append("another deploy reached this node meanwhile, so the nodes may differ")
    if not_restarted is not None:
        problems.append(f"not restarted: {not_restarted}")
        answer |= {name: it for name, it in not_restarted.body.items() if name != "error"}
    if problems:
        raise RefusalError(500, f"deployed here, but {'; '.join(problems)}", **answer)
    message = f"Successfully deployed: {project}"
    message += {True: ", restarted", "rolling": ", restarting"}.get(given.get("restart"), "")
    if records is not None and not records:
        message += "; the cluster has no other nodes, so it was replicated to none"  # DEP-16
    return answer | {"message": message}

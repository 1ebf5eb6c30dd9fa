"""`--dry-run`: what would be sent to whom, and with `--probe` what each node runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from deploy_relay_kit.relay.fanout import FanOut, Reach
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Record
from deploy_relay_kit.relay.urls import resolve

Plan = dict[str, Any]


def plan_of(
    nodes: Sequence[Node],
    request: Mapping[str, object],
    package: Mapping[str, object],
    sources: Mapping[str, str],
    allow_http: bool,  # noqa: FBT001
) -> Plan:
    """What `--json` prints of a dry run."""
    return {
        "dryRun": True,
        "package": dict(package),
        "fields": [*request],
        "nodes": [
            {
                "node": node.name,
                "url": (api := resolve(node, allow_http=allow_http)).url,
                "posture": _posture(api.scheme, verify=node.verify),
            }
            for node in nodes
        ],
        "settings": dict(sources),
    }


def _posture(scheme: str, *, verify: bool) -> str:
    if scheme == "http":
        return "plain http"
    return "verified TLS" if verify else "TLS, NOT verified"


async def probed(nodes: Sequence[Node], reach: Reach) -> list[Record]:
    """One record per node, with its `version`; only the mint and one question are sent."""

    async def ask(peer: Peer) -> Mapping[str, object]:
        answer = await peer.ask({"operation": "registration_info"}, token=await peer.token())
        return {"version": answer.get("version")}

    return (await FanOut(nodes, **reach).run(ask)).records


def lines_of(plan: Plan) -> list[str]:
    """The plan for people."""
    package = plan["package"]
    size = f"{package['bytes']:,} bytes, SHA-256 {package['sha256']}"
    lines = [f"package\t{size}", f"fields\t{', '.join(plan['fields'])}"]
    for node in plan["nodes"]:
        found = node.get("version") or node.get("reason")
        more = f"\t{found}" if found else ""
        lines.append(f"node\t{node['node']}\t{node['url']}\t{node['posture']}{more}")
    for name, source in plan["settings"].items():
        lines.append(f"setting\t{name.replace('_', '-')}\t{source}")
    return [*lines, "nothing was deployed (--dry-run)"]

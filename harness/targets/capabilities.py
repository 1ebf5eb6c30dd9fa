"""What a target may declare that its relay can do. Pure."""

from __future__ import annotations

CAPABILITIES: dict[str, str] = {
    "mint.operations": "Gets a token from a node's operations API, with the user name and password of that node.",  # noqa: E501
    "mint.replication": "Gets a token over a node's replication socket.",
    "mint.given": "Takes a token that the deploy command hands over, one for each node.",
    "events": "Can be told to ask for an event stream, and makes the record from its last event.",
    "retry": "Makes another attempt after a passing failure, as often as it is told.",
    "limits": "Takes its time limits from the deploy command.",
    "cancel": "Can be told to give a deploy up after a while.",
    "insecure_node": "Can be told, node by node, not to verify a certificate.",
    "node_ca": "Takes a CA file for a single node beside that of the cluster.",
    "client_certificate": "Can show a certificate of its own to a node that asks for one.",
    "urls_from_parts": "Puts a node's URL together from its host, its port and the origin's own settings.",  # noqa: E501
    "allow_http": "Can be told to use plain http to another machine.",
    "native_values": "Takes the request as values of its own language, also those that JSON cannot express.",  # noqa: E501
}
"""A sentence for each capability, by its name."""

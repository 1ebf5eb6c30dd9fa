"""What a target may declare that its relay can do. Pure."""

CAPABILITIES: dict[str, str] = {
    "mint.operations": "Mints a token over a node's operations API, as that node's user.",
    "mint.replication": "Mints a token over a node's replication socket.",
    "mint.given": "Uses a token from the deploy command, one for each node.",
    "events": "Requests an event stream on demand, and makes the record from its last event.",
    "retry": "Makes further attempts after a temporary failure, as many as allowed.",
    "limits": "Takes its time limits from the deploy command.",
    "cancel": "Cancels a deploy after a given time.",
    "insecure_node": "Can disable certificate verification for a single node.",
    "node_ca": "Takes a CA file for a single node in addition to the CA file of the cluster.",
    "client_certificate": "Can show a certificate of its own to a node that requests one.",
    "urls_from_parts": "Builds a node's URL from its host, its port and the origin's settings.",
    "allow_http": "Can use plain http to another machine if the deploy command allows it.",
    "native_values": "Takes values of its own language in the request, also without a JSON form.",
}
"""A sentence for each capability that a target declares, by its name."""

OF_CALLED_TARGETS: dict[str, str] = {
    "staged_payload": "Reads the payload of the deploy command, which may be missing or change.",
    "any_request": "Takes requests that no client can send to an origin as a form.",
}
"""What only an origin cannot do, because the kit sends it a deploy as a client does."""

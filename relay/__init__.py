"""Relay one staged deploy package to every node of a cluster.

A deploy package (a gzipped tar file of any size) lies staged on the origin node and must reach its
peers. For each peer the relay mints a token, opens HTTPS to the peer's operations API, streams one
`multipart/form-data` POST and turns the answer into one record. All peers are served at once; one
that fails never stops the others.

    import asyncio
    from pathlib import Path
    import relay

    report = asyncio.run(
        relay.deploy(
            nodes=[
                relay.Node("node-1", "https://node-1.example:9925/"),
                relay.Node("node-2", "https://node-2.example/ops/"),
            ],
            request={"operation": "deploy_component", "project": "demo", "restart": True},
            payload=Path("package.tar.gz"),
            mint=relay.OperationsMint("admin", password),
            tls=relay.Tls(ca_file=Path("ca.pem")),
        )
    )
    for record in report.records:
        print(record["node"], record["status"], record.get("reason", ""))

`deploy` raises `InputError` when the call itself makes no sense, before anything is sent; whatever
goes wrong with a node or with the payload is in the records instead (see `Report`). Limits and
their defaults are in `Limits`. The payload is read in blocks, never whole. Passwords and tokens
appear in no repr, record, event or error.

Beyond that: `Retry` tries failed nodes again, `restart` restarts them afterwards,
`ReplicationMint` gets tokens over the replication socket, `Event` tells the course of it all.

The parts, from the top: `fanout` (all nodes), `upload` (one attempt to one peer), `restarts`,
`token` and `replication` (minting), `payload` (the staged file), `connection`, `sockets`, `tls` and
`failures` (one peer, HTTP, and what goes wrong with it), and, without any I/O, `answer`, `events`,
`formdata`, `request`, `node`, `redact`, `retry`, `limits`, `report`, `errors`. Statement ids such
as WIRE-03 in the comments refer to docs/protocol.md.
"""

from relay.errors import InputError
from relay.events import Event
from relay.fanout import Reach, deploy
from relay.limits import Limits
from relay.node import LocalSettings, Node
from relay.replication import ReplicationMint
from relay.report import Record, Report
from relay.request import OMIT
from relay.restarts import restart
from relay.retry import Retry
from relay.tls import Tls
from relay.token import GivenToken, Mint, OperationsMint

__all__ = [
    "OMIT",
    "Event",
    "GivenToken",
    "InputError",
    "Limits",
    "LocalSettings",
    "Mint",
    "Node",
    "OperationsMint",
    "Reach",
    "Record",
    "ReplicationMint",
    "Report",
    "Retry",
    "Tls",
    "deploy",
    "restart",
]

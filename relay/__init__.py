"""Relay one staged deploy package to every node of a cluster.

A deploy package (a gzipped tar file of any size) is staged on the origin node and must reach its
peers. For each peer the relay mints a token, opens HTTPS to the peer's operations API, streams one
`multipart/form-data` POST and turns the answer into one record. All peers are served at once, and a
failing peer never stops the others.

    import asyncio
    from pathlib import Path
    from deploy_relay_kit import relay

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

`deploy` raises `InputError` for invalid input, before anything is sent. Every later failure, of a
node or of the payload, is a record (see `Report`). `Limits` holds timeouts and size limits. The
payload is read in blocks, never whole. Passwords and tokens appear in no repr, record, event or
error.

`Retry` tries failed nodes again, `restart` restarts nodes after a deploy, `ReplicationMint` gets
tokens over the replication socket, and `Event` reports the progress.

Read the modules in this order; each imports only modules that stand after it:

    command                     the command line `relay deploy`
    origin                      one small real node, `relay serve`
    via                         one origin, which has the nodes
    restarts fanout             all nodes, and the report
    threads places              how many nodes at once, in how many threads
    upload states               one attempt for one node
    peer replication token      one node, and ways to get a token
    connection failures         aiohttp, and the errors it raises
    tls link pace rate          certificates, and what a peer may do on its connection
    handshake deadline          TLS on a connected socket, and time limits
    tlstransport sockets        its bytes
    payload proxy               the staged file, a proxy on the way
    keylog                      a variable that would break the import of aiohttp
    cbor request formdata       what is sent, in both forms
    files                       small files that the caller names
    report                      what is returned
    retry answer events urls    rules of the protocol, without I/O
    framing                     where the bytes of an answer end
    redact node limits errors   small types that the others share
    escapes                     how a text may hide a secret

To port the relay, begin with `upload` and follow its calls. The protocol is in `urls`, `request`,
`formdata`, `payload`, `token`, `peer`, `states`, `answer`, `events`, `retry`, `report`, `redact`
and `escapes`.
With a blocking socket and a thread for each direction, a port needs nothing of `connection`,
`link`, `framing`, `pace`, `handshake`, `tlstransport` and `sockets`, which make aiohttp do what
those do.

Statement ids such as WIRE-03 in comments refer to docs/protocol.md.
"""

import deploy_relay_kit.relay.keylog  # noqa: F401  before anything imports aiohttp

# isort: split
from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.fanout import Reach, deploy
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.node import LocalSettings, Mint, MintContext, Node
from deploy_relay_kit.relay.replication import ReplicationMint
from deploy_relay_kit.relay.report import Record, Report
from deploy_relay_kit.relay.request import OMIT
from deploy_relay_kit.relay.restarts import restart
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.tls import Tls
from deploy_relay_kit.relay.token import GivenToken, OperationsMint

if __name__ == "relay":
    from deploy_relay_kit.alias import alias

    alias(__name__)

__all__ = [
    "OMIT",
    "Event",
    "GivenToken",
    "InputError",
    "Limits",
    "LocalSettings",
    "Mint",
    "MintContext",
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

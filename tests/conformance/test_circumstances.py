"""Certificates that are flawed later: every flaw, in every phase, for every kind of node."""

from __future__ import annotations

from itertools import count, product
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness import (
    Answer,
    Authority,
    CertificateFlaw,
    FakeCluster,
    Matching,
    MintAnswer,
    in_turn,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.peer.triggers import CertificateChange
from deploy_relay_kit.harness.targets import DeployNode, GivenToken
from deploy_relay_kit.harness.targets.deploy_command import STOCK

HOST = "127.0.0.1"
FLAWS = (
    CertificateFlaw.WRONG_AUTHORITY,
    CertificateFlaw.WRONG_ADDRESS,
    CertificateFlaw.EXPIRED,
)
UPLOAD = "the upload after a mint"
LATER_UPLOAD = "the upload of the second attempt"
SECOND, THIRD = "the second attempt", "the third attempt"
KINDS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "a usual node": (None, (UPLOAD, SECOND, LATER_UPLOAD, THIRD)),
    "a node with its own authority": ("node_ca", (UPLOAD, SECOND, LATER_UPLOAD, THIRD)),
    "a node by its name": (None, (UPLOAD, SECOND, LATER_UPLOAD)),
    "a node by its name with its own authority": ("node_ca", (UPLOAD, SECOND)),
    "a node by host and port": ("urls_from_parts", (UPLOAD, SECOND, LATER_UPLOAD)),
    "a node with a given token": ("mint.given", (SECOND,)),
    "a node with a socket": ("mint.replication", (SECOND,)),
    "the socket of a node": ("mint.replication", (SECOND,)),
    "the socket of a node with its own authority": ("mint.replication", (SECOND,)),
}
"""The capability that each kind of node needs, and in which phases its certificate is flawed."""


class Nodes:
    """The nodes of a deploy, each with a certificate that changes in one phase.

    A socket of another authority than the cluster's would not know the relay's certificate.
    """

    def __init__(self, cluster: FakeCluster, relay: Relay, tmp_path: Path) -> None:
        self._cluster, self._relay = cluster, relay
        self._own = Authority()
        self._ca_file = self._own.write(tmp_path / "ca-of-some-nodes.pem")
        self._numbers = count(1)
        self.changes: dict[str, CertificateChange] = {}

    def node(self, kind: str, phase: str, flaw: CertificateFlaw) -> DeployNode:
        """A node of this kind, whose certificate has this flaw from this phase on."""
        is_own = "own authority" in kind
        how: dict[str, Any] = {"ca_file": self._ca_file} if is_own else {}
        authority = self._own if is_own else self._cluster.authority
        peer = self._cluster.peer(
            f"node-{next(self._numbers)}", host=HOST, authority=self._own if is_own else None
        )
        socket = None
        if "socket" in kind:
            socket = self._cluster.replication(peer, authority=self._own if is_own else None)
        changed = peer if socket is None or "with a socket" in kind else socket
        context = authority.server_context(peer.name, HOST, "localhost", flaw=flaw)
        number = 2 if phase in (LATER_UPLOAD, THIRD) else 1
        change = CertificateChange(changed, context, number)
        self.changes[f"{phase} of {kind}, which is {flaw.value} then"] = change
        minted = MintAnswer(Answer(json=peer.node.issue_tokens(None)))
        is_minted = phase in (UPLOAD, LATER_UPLOAD)
        peer.fault = Matching(change, minted if is_minted else Answer(503))
        if phase == LATER_UPLOAD:
            peer.fault = (peer.fault, in_turn(Answer(503), None))
        if socket is not None:
            return self._relay.minting_over(socket, peer, **how)
        if "given" in kind:
            token = peer.tokens.issue(peer.username)
            return self._relay.node(peer, mint=GivenToken(token), **how)
        if "by its name" in kind:
            how["url"] = peer.url.replace(HOST, "localhost")
        if "host and port" in kind:
            how |= {"url": None, "host": HOST, "port": peer.http.port}
        return self._relay.minting(peer, **how)


@pytest.mark.parametrize("shows", [False, True], ids=["alone", "with-a-certificate"])
def test_a_certificate_that_is_flawed_later_is_refused_in_every_circumstance(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    client_certificate: Path,
    tmp_path: Path,
    *,
    shows: bool,
) -> None:
    """A certificate that is flawed in a later phase is refused then, also of the last of many.

    With a certificate of the relay's own, each kind of node in each phase has one of the flaws.
    """
    declared = relay.target.capabilities
    relay.need("mint.operations", *(["client_certificate"] if shows else []))
    made, nodes = Nodes(cluster, relay, tmp_path), list[DeployNode]()
    places = [
        (kind, phase)
        for kind, (needed, phases) in KINDS.items()
        for phase in phases
        if needed is None or needed in declared
        if "own authority" not in kind
        or ("node_ca" in declared and not (shows and "socket" in kind))
    ]
    if shows:
        used = [(flaw, at) for at, flaw in zip(places, FLAWS * len(places), strict=False)]
    else:
        used = list(product(FLAWS, places))
    for flaw, (kind, phase) in used:
        nodes.append(made.node(kind, phase, flaw))
    own = client_certificate if shows else None
    relay.deploy(to=nodes, limits=THRICE, certificate_file=own, key_file=own, local=STOCK)
    for when, change in made.changes.items():
        if UPLOAD in when and not change.connections:
            continue  # the relay uploads on the connection of the mint
        with check("TLS-01", f"the requests in {when}"):
            check.need(change.connections, "the relay opened no connection then")
            assert len(change.requests) == 0

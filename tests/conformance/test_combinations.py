"""Each pair of a fault, a size, a posture, a mint, a number of peers and what the deploy asks for.

A failure names the smallest combination that causes it, which is found by deploys with fewer
conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    Authority,
    CertificateFlaw,
    CloseWithoutAnswer,
    FakeCluster,
    FakePeer,
    Fault,
    MintAnswer,
    Payload,
    in_turn,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.targets import DeployNode, GivenToken, Limits, Outcome

REFUSED = Answer.error(403, "may not deploy")
FAULTS: Mapping[str, Callable[[], Fault | None]] = {
    "no fault": lambda: None,
    "a refusal": lambda: REFUSED,
    "a refusal during the upload": lambda: AnswerEarly(REFUSED, "file", "stop"),
    "a refused mint": lambda: MintAnswer(Answer.error(401, "who?")),
    "503 once": lambda: in_turn(Answer.error(503, "busy"), None),
    "a connection lost once": lambda: in_turn(CloseWithoutAnswer(), None),
    "an expired certificate": lambda: CertificateFlaw.EXPIRED,
}
TEMPORARY = ("503 once", "a connection lost once")


@dataclass(frozen=True)
class Row:
    """The conditions of one deploy; each has its usual value first in `VALUES`."""

    fault: str = "no fault"
    size: int = 65_536
    posture: str = "verified"
    peers: int = 1
    place: str = "the first node"
    attempts: int = 1
    events: bool = False
    target: str = "/"
    mint: str = "the usual mint"

    def __str__(self) -> str:
        """What is not usual."""
        words = {
            "fault": self.fault,
            "size": f"{self.size:,} bytes",
            "posture": self.posture,
            "peers": f"{self.peers} nodes",
            "place": self.place,
            "attempts": f"{self.attempts} attempts",
            "events": "events",
            "target": f"the target {self.target}",
            "mint": self.mint,
        }
        return ", ".join(words[name] for name in NAMES if self.differs(name)) or "nothing unusual"

    def differs(self, name: str) -> bool:
        return bool(getattr(self, name) != getattr(Row(), name))


NAMES = [it.name for it in fields(Row)]
VALUES: Mapping[str, tuple[Any, ...]] = {
    "fault": tuple(FAULTS),
    "size": (65_536, 1, 1_048_576, 1_048_577),
    "posture": ("verified", "insecure", "its own authority", "a client certificate"),
    "peers": (1, 2, 5),
    "place": ("the first node", "the last node"),
    "attempts": (1, 2),
    "events": (False, True),
    "target": ("/", "/ops/?zone=%2f1"),
    "mint": ("the usual mint", "a given token", "a mint over its socket"),
}
Pair = tuple[tuple[str, Any], tuple[str, Any]]


def pairs_of(values: Mapping[str, Any]) -> set[Pair]:
    return set(combinations(((name, values[name]) for name in NAMES if name in values), 2))


def rows() -> Iterator[Row]:
    """Few rows that have each pair of values, in a fixed order."""
    missing = {
        ((one, first), (other, second)): None
        for one, other in combinations(NAMES, 2)
        for first, second in product(VALUES[one], VALUES[other])
    }
    while missing:
        chosen: dict[str, Any] = dict(next(iter(missing)))
        for name in NAMES:
            if name not in chosen:
                chosen[name] = max(
                    VALUES[name],
                    key=lambda value: sum(
                        pair in missing for pair in pairs_of({**chosen, name: value})
                    ),
                )
        for pair in pairs_of(chosen):
            missing.pop(pair, None)
        yield Row(**chosen)


# -- one deploy ----------------------------------------------------------------------------------

Failure = tuple[str, str, str]
"""A requirement, what was looked at, and what was expected and seen."""


@dataclass
class Trial:
    """Deploys with the conditions of a row, as far as the relay has the capabilities."""

    cluster: FakeCluster
    relay: Relay
    staged: Callable[[int, Path], Payload]
    directory: Path
    count: int = 0
    judged: set[str] = field(default_factory=set)
    """The requirements of which the nodes of the last deploy saw enough to judge them."""

    def has(self, capability: str) -> bool:
        return capability in self.relay.target.capabilities

    def failures(self, row: Row) -> list[Failure]:
        """Deploy, and look at each peer."""
        self.count += 1
        payload = self.staged(row.size, self.directory / f"{self.count}.tar.gz")
        own = Authority() if row.posture == "its own authority" and self.has("node_ca") else None
        bad = 0 if row.place == "the first node" else row.peers - 1
        peers = [
            self.cluster.peer(
                fault=FAULTS[row.fault]() if place == bad else None,
                path=row.target,
                authority=own if place == bad else None,
            )
            for place in range(row.peers)
        ]
        file = self.directory / f"{self.count}.pem"
        how: dict[str, Any] = {} if own is None else {"ca_file": own.write(file)}
        insecure = row.posture == "insecure" and self.has("insecure_node")
        how |= {"verify": False} if insecure else {}
        deploy: dict[str, Any] = {}
        if row.posture == "a client certificate" and self.has("client_certificate"):
            own_certificate = self.directory / "origin.pem"
            own_certificate.write_bytes(self.cluster.authority.client_certificate("origin"))
            deploy = {"certificate_file": own_certificate, "key_file": own_certificate}
        again = row.attempts > 1 and self.has("retry")
        outcome = self.relay.deploy(
            to=[self.node(row, it, own, how) if it is peers[bad] else it for it in peers],
            payload=payload.path,
            events=row.events and self.has("events"),
            limits=Limits(attempts=2, retry_delay=0.01) if again else Limits(),
            **deploy,
        )
        found, self.judged = list[Failure](), set()
        for peer in peers:
            is_healthy = peer is not peers[bad] or row.fault == "no fault"
            failures = _of_targets(peer)
            if not failures and not is_healthy:
                failures = _of_faulty(row, peer, outcome, again=again, insecure=insecure)
            found += failures or _of_success(peer, outcome, payload, healthy=is_healthy)
            if is_healthy:
                self.judged.add("AGG-04")
            elif peer.connections:
                self.judged.add(_expected(row, again=again, insecure=insecure)[0])
            self.judged |= {"URL-08"} if peer.requests else set()
            if peer.uploads:
                done = outcome[peer].status == "success"
                self.judged |= {"RTY-04", "FLD-08"} if done else {"RTY-04"}
        if targets := [it for it in found if it[0] == "URL-08"]:  # no peer got as far as its fault
            peers[bad].fault = None
            self.judged = {"URL-08"}
        return targets or found

    def node(
        self, row: Row, peer: FakePeer, authority: Authority | None, how: dict[str, Any]
    ) -> DeployNode:
        """The node with the fault, which is minted on as the row says if the relay can do it."""
        if row.fault == "a refused mint":
            return self.relay.minting(peer, **how)
        if row.mint == "a given token" and self.has("mint.given"):
            return self.relay.node(peer, mint=GivenToken(peer.tokens.issue(peer.username)), **how)
        if row.mint == "a mint over its socket" and self.has("mint.replication"):
            socket = self.cluster.replication(peer, authority=authority)
            return self.relay.minting_over(socket, peer, **how)
        return self.relay.node(peer, **how)


def _of_targets(peer: FakePeer) -> list[Failure]:
    """Requests for another path and query than those of the peer."""
    seen = {request.target for it in peer.http.connections for request in it.requests}
    others = ", ".join(sorted(seen - {peer.path}))
    return [("URL-08", "the targets", f"expected {peer.path}, got {others}")] if others else []


def _expected(row: Row, *, again: bool, insecure: bool) -> tuple[str, str, int | None]:
    """The requirement of a fault, and the status and the status code of its record."""
    is_unseen = insecure and row.fault == "an expired certificate"
    is_success = is_unseen or (again and row.fault in TEMPORARY)
    codes = {"a refusal": 403, "a refusal during the upload": 403, "a refused mint": 401}
    code = 503 if row.fault == "503 once" else codes.get(row.fault)
    of_faults = {"a refused mint": "SEQ-06", "a refusal during the upload": "EARLY-04"}
    of_faults["an expired certificate"] = "TLS-01"
    id_ = of_faults.get(row.fault, "RTY-02" if is_success else "RES-05" if code else "RES-10")
    return id_, "success" if is_success else "failed", code


def _of_faulty(
    row: Row, peer: FakePeer, outcome: Outcome, *, again: bool, insecure: bool
) -> list[Failure]:
    """What is wrong with the record of the faulty peer, and with its uploads."""
    id_, status, code = _expected(row, again=again, insecure=insecure)
    record = outcome[peer]
    found: list[Failure] = []
    if record.status != status:
        return [(id_, "the status of the record", f"expected {status}, got {record.status}")]
    if status == "failed" and record.status_code != code:
        text = f"expected {code or 'none'}, got {record.status_code or 'none'}"
        found.append((id_, "the status code of the record", text))
    is_trusted = insecure or row.fault != "an expired certificate"
    is_reached = is_trusted and row.fault != "a refused mint"
    allowed = 1 + (again and row.fault in TEMPORARY) if is_reached else 0
    if len(peer.uploads) > allowed:
        id_ = "RTY-04" if allowed else id_
        found.append((id_, "the uploads", f"expected at most {allowed}, got {len(peer.uploads)}"))
    return found


def _of_success(
    peer: FakePeer, outcome: Outcome, payload: Payload, *, healthy: bool
) -> list[Failure]:
    """What is wrong with the record of a healthy peer, and with the payload of any success."""
    if healthy and (status := outcome[peer].status) != "success":
        return [("AGG-04", "the record of a healthy node", f"expected success, got {status}")]
    if outcome[peer].status != "success" or not peer.uploads:
        return []
    last = peer.uploads[-1]
    if not last.file or last.file.sha256 != payload.sha256 or not last.complete:
        size = last.file.length if last.file else 0
        text = f"expected {payload.size:,} bytes and their SHA-256, got {size:,} bytes"
        return [("FLD-08", "the payload of a success", text)]
    return []


def smallest(trial: Trial, row: Row, failure: Failure) -> Row:
    """The row with every condition made usual that the failure does not need."""
    for name in NAMES:
        if row.differs(name):
            fewer = replace(row, **{name: getattr(Row(), name)})
            if failure[:2] in [it[:2] for it in trial.failures(fewer)]:
                row = fewer
    return row


@pytest.mark.parametrize("row", list(rows()), ids=str)
def test_a_fault_has_its_record_under_all_other_conditions(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    staged: Callable[[int, Path], Payload],
    tmp_path: Path,
    *,
    row: Row,
) -> None:
    """A fault has the same record, and leaves the other nodes alone, in each pair of conditions."""
    trial = Trial(cluster, relay, staged, tmp_path)
    first, failures, judged = row, trial.failures(row), trial.judged
    if failures and failures[0][0] == "URL-08" and row.differs("target"):
        # A relay that loses the target is judged on all else without it.
        lost, row = failures, replace(row, target=Row().target)
        failures, judged = lost + trial.failures(row), {"URL-08"} | trial.judged
    check.need(judged or failures, "the relay reached no node")
    of_faults = ("EARLY-04", "RES-05", "RES-10", "RTY-02", "RTY-04", "SEQ-06", "TLS-01")
    for id_ in ("AGG-04", "FLD-08", "URL-08", *of_faults):
        found = [failure for failure in failures if failure[0] == id_]
        for failure in found:
            cause = smallest(trial, first, failure) if failure is failures[0] else row
            with check(id_, failure[1]):
                raise AssertionError(f"{failure[2]}, with {cause}")
        if not found and id_ in judged:
            with check(id_, f"a deploy with {row}"):
                pass

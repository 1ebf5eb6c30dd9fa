"""Mutants of the whole deploy: one record for each node in its order, all served at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from deploy_relay_kit import relay as reference
from deploy_relay_kit.harness.faults.kinds import HangInHandshake, MintHangs
from deploy_relay_kit.relay import fanout, upload
from deploy_relay_kit.relay.answer import success_members
from deploy_relay_kit.relay.errors import AttemptError, PeerError
from deploy_relay_kit.relay.fanout import FanOut
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.places import Places
from deploy_relay_kit.relay.report import Record, Report
from deploy_relay_kit.relay.tls import contexts_for
from tests.conformance import (
    test_answers,
    test_attempts,
    test_fanout,
    test_faults,
    test_isolation,
    test_neighbours,
    test_payload,
    test_payload_changes,
    test_streaming,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_records import change_report, without

ORDER = case(test_fanout.test_records_are_in_node_order)


@mutant("AGG-01", killed_by=ORDER)
def records_are_sorted_by_name(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, lambda records: sorted(records, key=lambda record: str(record["node"])))


@mutant(
    "AGG-03",
    killed_by=(
        case(test_answers.test_no_answer_changes_node_and_status),
        case(test_faults.test_a_deploy_that_fails_everywhere_has_every_record),
        case(test_payload_changes.test_a_payload_that_vanishes_ends_in_a_record),
    ),
)
def records_have_no_names(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, without("node"))


@mutant("AGG-05", killed_by=case(test_fanout.test_a_deploy_to_no_nodes_has_no_records))
def no_nodes_have_a_record(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, lambda records: records or [{"node": "", "status": "success"}])


@mutant(
    "AGG-02",
    killed_by=(
        case(test_faults.test_a_peer_that_takes_no_connection_costs_one_record),
        case(test_isolation.test_a_record_depends_on_the_fault_of_its_own_peer_alone),
        case(test_faults.test_a_peer_that_closes_without_an_answer_costs_one_record),
        case(test_payload.test_a_directory_is_no_payload),
    ),
)
def a_failure_breaks_the_deploy(patch: pytest.MonkeyPatch) -> None:
    def broken(records: list[Record]) -> list[Record]:
        for record in records:
            if record["status"] == "failed":
                raise reference.InputError(f"{record['node']}: {record['reason']}")
        return records

    change_report(patch, broken)


@mutant(
    "AGG-02",
    killed_by=case(test_fanout.test_an_answer_nested_too_deeply_costs_one_record),
)
def answers_are_parsed_at_the_end_of_the_deploy(patch: pytest.MonkeyPatch) -> None:
    def parsed(record: Record) -> Record:
        text = str(record.get("message"))
        try:
            read = json.loads(text) if text[:1] in {"{", "["} else record
            return {**read, **{name: it for name, it in record.items() if name != "message"}}
        except RecursionError as error:
            raise reference.InputError(str(error)) from error

    patch.setattr(upload, "success_members", lambda a: success_members(a) and {"message": a.text})
    change_report(patch, lambda records: list(map(parsed, records)))


@mutant(
    "AGG-04",
    killed_by=(
        case(test_attempts.test_each_peer_has_its_own_attempts),
        case(test_fanout.test_one_failing_peer_changes_nothing_for_the_others),
        case(test_isolation.test_a_record_depends_on_the_fault_of_its_own_peer_alone),
    ),
)
def one_failure_fails_all(patch: pytest.MonkeyPatch) -> None:
    def change(records: list[Record]) -> list[Record]:
        failed = [record for record in records if record["status"] == "failed"]
        return [{**(failed[0] if failed else r), "node": r["node"]} for r in records]

    change_report(patch, change)


@mutant(
    "SEQ-03",
    killed_by=(
        case(test_streaming.test_all_peers_are_served_at_the_same_time),
        case(test_streaming.test_a_peer_that_stalls_delays_no_other),
    ),
)
def peers_are_served_in_turn(patch: pytest.MonkeyPatch) -> None:
    begin = FanOut.__init__

    def in_turn(self: FanOut, *at: Any, **how: Any) -> None:
        begin(self, *at, **how)
        self._places = Places(1, Limits())

    patch.setattr(FanOut, "__init__", in_turn)


@mutant(
    "SEQ-03",
    killed_by=case(test_streaming.test_all_peers_are_served_at_the_same_time, count=101),
)
def a_hundred_peers_are_served_at_once(patch: pytest.MonkeyPatch) -> None:
    begin = FanOut.__init__

    def with_a_pool(self: FanOut, *at: Any, **how: Any) -> None:
        begin(self, *at, **how)
        self._places = Places(100, Limits())

    patch.setattr(FanOut, "__init__", with_a_pool)


@mutant(
    "SEQ-03",
    killed_by=case(test_faults.test_a_peer_that_is_back_is_served_again),
    also={
        "RTY-02": "another attempt opens no connection",
        "RTY-04": "not every allowed attempt is made",
    },
)
def a_lost_peer_is_skipped_for_a_while(patch: pytest.MonkeyPatch) -> None:
    attempt, lost = fanout._attempt, set[str]()

    async def breaking(work: Any, peer: Peer) -> Any:
        if peer.api.address in lost:
            return PeerError("connect", "not tried, as it failed a moment ago")
        outcome = await attempt(work, peer)
        if isinstance(outcome, AttemptError) and outcome.stage == "connect":
            lost.add(peer.api.address)
        return outcome

    patch.setattr(fanout, "_attempt", breaking)


LATE = test_streaming.test_no_upload_waits_for_a_peer_that_has_not_minted_or_connected


@mutant(
    "SEQ-03",
    killed_by=(case(LATE, fault=MintHangs()), case(LATE, fault=HangInHandshake())),
    also={"AGG-02": "beside a node that mints nothing, the deploy never ends"},
)
def every_token_is_minted_before_any_upload(patch: pytest.MonkeyPatch) -> None:
    run, token = FanOut.run, Peer.token
    barrier = asyncio.Barrier(1)

    async def counted(self: FanOut, *at: Any) -> Report:
        nonlocal barrier
        barrier = asyncio.Barrier(len(self._peers))
        return await run(self, *at)

    async def together(self: Peer) -> str:
        try:
            return await token(self)
        finally:
            await barrier.wait()

    patch.setattr(FanOut, "run", counted)
    patch.setattr(Peer, "token", together)


@mutant("SEQ-03", killed_by=case(LATE, fault=MintHangs()))
def one_token_is_minted_at_a_time(patch: pytest.MonkeyPatch) -> None:
    token = Peer.token
    locks = dict[object, asyncio.Lock]()

    async def locked(self: Peer) -> str:
        async with locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            return await token(self)

    patch.setattr(Peer, "token", locked)


@mutant(
    "TLS-01",
    killed_by=case(
        test_neighbours.test_verification_is_disabled_by_node_and_not_by_host, first=True
    ),
)
def trust_is_counted_without_nodes_that_have_no_place(patch: pytest.MonkeyPatch) -> None:
    """As two lists do of which only one leaves out the nodes with an unusable URL."""
    begin = FanOut.__init__

    def shifted(self: FanOut, nodes: Iterable[Node], **how: Any) -> None:
        nodes = list(nodes)
        begin(self, nodes, **how)
        trust = contexts_for([(node.ca_file, node.verify) for node in nodes], how["tls"])
        peers = [peer for _, peer in self._peers if isinstance(peer, Peer)]
        for peer, context in zip(peers, trust, strict=False):
            object.__setattr__(peer, "tls", context)

    patch.setattr(FanOut, "__init__", shifted)

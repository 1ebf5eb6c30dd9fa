"""Mutants that take one node for another: by its name, or by its URL."""

from __future__ import annotations

import asyncio
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deploy_relay_kit import relay as reference
from deploy_relay_kit.relay import fanout
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Record, Report
from tests.conformance import test_names
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_records import change_report

OWN = case(test_names.test_every_node_has_its_own_upload_and_record_whatever_its_name)
AT_ONE_URL = case(test_names.test_every_node_at_one_url_has_its_own_mint_upload_and_record)


def share_records(patch: pytest.MonkeyPatch, key: Callable[[str], str]) -> None:
    """Keep the records in a table with this key of the name: the last one counts."""

    def shared(records: list[Record]) -> list[Record]:
        known = {key(str(it["node"])): it for it in records}
        return [{**known[key(str(it["node"]))], "node": it["node"]} for it in records]

    change_report(patch, shared)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


alike(
    share_records,
    "AGG-04",
    killed_by=OWN,
    names_in_small_letters_are_equal=str.lower,
    names_without_blanks_are_equal=str.strip,
    names_end_at_a_colon=lambda it: it.partition(":")[0],
    names_have_255_characters=lambda it: it[:255],
    names_have_no_first_zeros=lambda it: it.lstrip("0"),
    names_that_are_one_number_are_equal=lambda it: (
        str(float(it)) if re.fullmatch(r"-?\d[\de]*", it) else it
    ),
    composed_names_are_equal=_composed,
    names_are_words=lambda it: re.sub(r"\W", "", it),
)


def lose_records(patch: pytest.MonkeyPatch, key: Callable[[str], str]) -> None:
    """Return one record for each key of the names."""
    change_report(
        patch, lambda records: list({key(str(it["node"])): it for it in records}.values())
    )


alike(
    lose_records,
    "AGG-01",
    killed_by=OWN,
    nodes_of_one_name_in_small_letters_are_one=str.lower,
)


def rename(patch: pytest.MonkeyPatch, change: Callable[[str], object]) -> None:
    """Write other names into the records."""
    change_report(
        patch, lambda records: [{**it, "node": change(str(it["node"]))} for it in records]
    )


def _as_json(name: str) -> object:
    try:
        return json.loads(name)
    except ValueError:
        return name


alike(
    rename,
    *("AGG-01", "AGG-03", "RES-02"),
    killed_by=OWN,
    names_of_digits_are_numbers=lambda it: int(it) if it.isdecimal() else it,
    names_are_read_as_json=_as_json,
    names_are_one_line=lambda it: it.replace("\n", " "),
    names_are_cut_after_200_characters=lambda it: it[:200],
)


def sort_records(patch: pytest.MonkeyPatch, key: Callable[[str], Any]) -> None:
    change_report(patch, lambda records: sorted(records, key=lambda it: key(str(it["node"]))))


alike(
    sort_records,
    "AGG-01",
    killed_by=OWN,
    records_with_numbers_come_first=lambda it: (
        not it.isdecimal(),
        int(it or 0) if it.isdecimal() else 0,
    ),
)


@mutant(
    "AGG-01",
    killed_by=case(test_names.test_two_nodes_of_one_name_are_refused_or_have_a_record_each),
)
def the_last_node_of_a_name_counts(patch: pytest.MonkeyPatch) -> None:
    deploy = reference.deploy

    async def last(*, nodes: list[reference.Node], **how: Any) -> Report:
        return await deploy(nodes=list({it.name: it for it in nodes}.values()), **how)

    patch.setattr(reference, "deploy", last)


def share_attempts(patch: pytest.MonkeyPatch, key: Callable[[Peer], object]) -> None:
    """Make one attempt for all nodes of a deploy with the same key."""
    attempt, known = fanout._attempt, dict[object, asyncio.Future[Any]]()

    async def shared(work: Any, peer: Peer) -> Any:
        at = (key(peer), id(peer.connections))
        if at not in known:
            known[at] = asyncio.ensure_future(attempt(work, peer))
        outcome = await asyncio.shield(known[at])
        return replace(outcome) if isinstance(outcome, PeerError) else outcome

    patch.setattr(fanout, "_attempt", shared)


alike(
    share_attempts,
    "SEQ-03",
    killed_by=AT_ONE_URL,
    also={
        "one_upload_serves_a_host_and_port": {
            "RTY-02": "an attempt that failed is kept, too: no other one is made"
        },
        "one_upload_serves_a_url": {
            "RTY-02": "an attempt that failed is kept, too: no other one is made"
        },
    },
    one_upload_serves_a_url=lambda it: it.api.url,
    one_upload_serves_a_host_and_port=lambda it: it.api.address,
)


@mutant(
    "SEQ-08",
    "BUG-41",
    killed_by=AT_ONE_URL,
    also={"RTY-03": "a second attempt has the token of the first"},
)
def one_token_serves_a_url(patch: pytest.MonkeyPatch) -> None:
    token, known = Peer.token, dict[object, asyncio.Future[str]]()

    async def shared(self: Peer) -> str:
        at = (self.api.url, id(self.connections))
        if at not in known:
            known[at] = asyncio.ensure_future(token(self))
        return await asyncio.shield(known[at])

    patch.setattr(Peer, "token", shared)

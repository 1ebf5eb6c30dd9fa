"""Secrets that a peer quotes in a later attempt: none stays in a record, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from attrs import frozen

from deploy_relay_kit.harness import Answer, FakeCluster, FakePeer, in_turn
from deploy_relay_kit.harness.faults.answers import Script
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.leaks.places import PLACES, tokens_of
from deploy_relay_kit.harness.judge.cases.leaks.search import leaked, reported_by
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.targets import DeployNode, Outcome


@frozen
class Quoting(Answer):
    """An answer that quotes texts, as they are when it is sent, in one of the places."""

    place: str = "an error"
    texts: Callable[[], Iterable[str]] = tuple

    def script(self, *, keep_alive: bool) -> Script:
        text = " and ".join(self.texts())
        temporary = Answer.error(503, f"busy: {text}")
        answer = temporary if self.status == 503 else PLACES[self.place](text)
        yield from answer.script(keep_alive=keep_alive)


def check_records(check: Checks, outcome: Outcome, places: Mapping[str, FakePeer]) -> None:
    """No record of these peers holds a secret of its peer."""
    for place, peer in places.items():
        with check("BUG-41", f"the records, where a peer quotes a secret in {place}"):
            check.need(peer.requests, f"{peer.name} saw no request, and quoted nothing")
            found = leaked(peer, reported_by(outcome))
            assert not found, f"expected no password and no token, got {found}"


def test_a_token_of_an_earlier_attempt_is_in_no_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A later attempt hides its token, and those of earlier ones, wherever a peer quotes them."""
    places, nodes = dict[str, FakePeer](), list[DeployNode]()
    mints_over = ["mint.operations", "mint.replication"]
    mints_over = [it for it in mints_over if it in relay.target.capabilities]
    relay.need(*mints_over or ["mint.operations"])
    for number, place in enumerate(PLACES):
        places[f"{place}, in a second attempt"] = peer = cluster.peer()
        nodes.append(
            relay.minting(peer)
            if mints_over[number % len(mints_over)] == "mint.operations"
            else relay.minting_over(cluster.replication(peer), peer)
        )
        peer.fault = in_turn(Answer(503), Quoting(place=place, texts=partial(tokens_of, peer)))
    # A relay may tell of the first attempt in the record of the second.
    for fails in (True, False):
        what = "failed" if fails else "succeeded"
        places[f"the first of two attempts, before one that {what}"] = peer = cluster.peer()
        quoting = Quoting(503, texts=partial(tokens_of, peer))
        peer.fault = in_turn(quoting, Answer.error(403, "no") if fails else None)
        nodes.append(relay.node(peer))
    outcome = relay.deploy(to=nodes, limits=THRICE)
    for peer in places.values():
        check.need(len(peer.uploads) > 1, f"the relay made no second attempt at {peer.name}")
    check_records(check, outcome, places)

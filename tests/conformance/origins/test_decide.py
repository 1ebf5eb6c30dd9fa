"""What an origin fans out, what it answers, and what it records."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import pytest

from deploy_relay_kit.harness import Answer, FakeCluster, FakePeer
from deploy_relay_kit.harness.faults.broken_answers import Held
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.uploads import file_of
from deploy_relay_kit.harness.judge.forms.origin import Known, Origin

OTHER_VALUES = [
    "true",
    "null",
    "False",
    "FALSE",
    "0",
    "no",
    "",
    " false",
    "false ",
    '"false"',
    "[]",
]
AT_ONCE = 50
OF_A_HELD_ANSWER = 20.0  # seconds


def test_exactly_false_stays_on_the_origin(
    cluster: FakeCluster, origin: Origin, check: Checks
) -> None:
    """With `replicated` that decodes to false, no node is reached."""
    peer = cluster.peer()
    answer = origin.deploy([peer], origin.form(replicated=False))
    with check("GATE-01", "the code of the answer"):
        assert answer.code == 200
    with check("GATE-01", "the number of connections to a node"):
        assert len(peer.connections) == 0
    with check("GATE-01", "whether the answer has replicated"):
        assert "replicated" not in answer.members, f"expected no member, got {answer}"


@pytest.mark.parametrize("value", [None, *OTHER_VALUES])
def test_any_other_value_fans_out(
    cluster: FakeCluster, origin: Origin, check: Checks, value: str | None
) -> None:
    """`replicated` in any other spelling, or absent, reaches the node."""
    peer = cluster.peer()
    form = origin.form(**({} if value is None else {"replicated": value}))
    form.raw = ["replicated"]
    answer = origin.deploy([peer], form)
    with check("GATE-02", f"the statuses with replicated {value!r}"):
        assert answer.statuses == ["success"]
    with check("GATE-02", "whether the node got the payload"):
        assert [it.complete for it in peer.uploads] == [True]


@pytest.mark.parametrize("ignores", [False, True])
def test_a_failed_node_fails_the_answer(
    cluster: FakeCluster, origin: Origin, check: Checks, *, ignores: bool
) -> None:
    """With a failed node the code is 500 and it is named, unless the deploy ignores that."""
    healthy, failing = cluster.peer("n-1"), cluster.peer("n-2", fault=Answer.error(500, "full"))
    more = {"ignore_replication_errors": True} if ignores else {}
    answer = origin.deploy([healthy, failing], origin.form(**more))
    with check("ANSWER-01", "the statuses of the records"):
        assert answer.statuses == ["success", "failed"]
    with check("ANSWER-01", "the code of the answer"):
        assert answer.code == (200 if ignores else 500)
    if not ignores:
        with check("ANSWER-01", "the names in failed_peers"):
            named = answer.members.get("failed_peers")
            assert [it.get("node") for it in named or []] == ["n-2"]


def test_no_other_nodes_are_an_empty_list(origin: Origin, check: Checks) -> None:
    """A deploy to no other nodes succeeds, with an empty list of records."""
    answer = origin.deploy([], origin.form())
    with check("ANSWER-02", "the code and the records"):
        assert (answer.code, answer.members.get("replicated")) == (200, [])


def holding(cluster: FakeCluster) -> tuple[FakePeer, threading.Event, threading.Event]:
    """A node that holds its answer until the second event; the first says that it works on one."""
    taken, release = threading.Event(), threading.Event()

    def work() -> None:
        taken.set()
        release.wait(OF_A_HELD_ANSWER)

    peer = cluster.peer(fault=Held(Answer(200, json={"message": "deployed"}), work))
    return peer, taken, release


def test_a_second_deploy_of_a_project_waits_or_is_refused(
    cluster: FakeCluster, origin: Origin, check: Checks
) -> None:
    """While the node works on a deploy, it gets no second one of the project."""
    peer, taken, release = holding(cluster)
    with origin.knowing([peer]) as known, ThreadPoolExecutor(2) as pool:
        first = pool.submit(known.deploy, origin.form())
        check.need(taken.wait(OF_A_HELD_ANSWER), "no node got the first deploy")
        second = pool.submit(known.deploy, origin.form(note="second"))
        # Deploys of another project pass both, so the second one had its time to begin.
        with check("ANSWER-03", "the codes for another project meanwhile"):
            other = origin.form(project="other", replicated=False)
            assert [known.deploy(other).code for _ in range(5)] == [200] * 5
        with check("ANSWER-03", "the uploads to the node meanwhile"):
            assert len(peer.live_uploads) == 1
        release.set()
        answers = first.result(), second.result()
    with check("ANSWER-03", "the code of the first answer"):
        assert answers[0].code == 200
    with check("ANSWER-03", "whether the second was deployed or refused with 409"):
        assert answers[1].code in {200, 409}, f"got {answers[1]}"


def test_two_uploads_at_once_reach_a_node_one_after_the_other(
    cluster: FakeCluster, origin: Origin, check: Checks
) -> None:
    """Of two uploads that arrive at once, the node gets the second after the first, if at all."""
    peer, taken, release = holding(cluster)
    forms = [origin.form(), origin.form(note="second")]
    other = origin.form(project="other", replicated=False)
    with origin.knowing([peer]) as known, ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        clients = [stack.enter_context(known.client()) for _ in forms]
        for client, form in zip(clients, forms, strict=True):
            known.begin(client, form)
            client.send(form.body[:-1_000])
        known.deploy(other)  # the origin had time to read what both clients sent
        for client, form in zip(clients, forms, strict=True):
            client.send(form.body[-1_000:])
        answers = [pool.submit(client.answer) for client in clients]
        check.need(taken.wait(OF_A_HELD_ANSWER), "no node got a deploy")
        for _ in range(5):
            known.deploy(other)
        with check("ANSWER-03", "the uploads to the node while it works on one"):
            assert len(peer.live_uploads) == 1
        release.set()
        codes = sorted(it.result().code for it in answers)
    with check("ANSWER-03", "the codes of the answers"):
        assert codes in ([200, 200], [200, 409])


def test_many_deploys_at_once_are_not_mixed(
    cluster: FakeCluster, origin: Origin, check: Checks
) -> None:
    """Of 50 deploys at once, each is answered, and the node gets each payload with its project."""
    peer = cluster.peer()

    def deploy(known: Known, number: int) -> int:
        payload = f"payload {number} ".encode() * 1_000
        return known.deploy(origin.form(payload, project=f"p-{number}")).code

    with origin.knowing([peer]) as known, ThreadPoolExecutor(AT_ONCE) as pool:
        codes = list(pool.map(partial(deploy, known), range(AT_ONCE)))
    with check("ANSWER-04", "the codes of the answers"):
        assert codes == [200] * AT_ONCE
    with check("ANSWER-04", "the projects at the node, with the beginnings of their payloads"):
        arrived = {it.fields["project"].decode(): file_of(it).first for it in peer.uploads}
        wrong = [it for it, first in arrived.items() if not _belongs(it, first)]
        assert (len(peer.uploads), len(arrived), wrong) == (AT_ONCE, AT_ONCE, [])


def _belongs(project: str, first: bytes) -> bool:
    return first.startswith(f"payload {project.removeprefix('p-')} ".encode())


def test_a_deploy_can_be_looked_up(cluster: FakeCluster, origin: Origin, check: Checks) -> None:
    """The record of a deploy has its project, its status and the records of the nodes."""
    peer = cluster.peer()
    with origin.knowing([peer]) as known:
        answer = known.deploy(origin.form())
        with check("RECORD-01", "the record"):
            id_ = answer.members.get("deployment_id")
            found = known.ask(operation="get_deployment", deployment_id=id_)
            row = found.members if found.code == 200 else {}
            assert (found.code, row.get("project"), row.get("status")) == (200, "demo", "success")
            records = row.get("peer_results") or []
            assert [it.get("node") for it in records] == [peer.name]

"""Passwords and tokens that a peer quotes, in every place of an answer; none stays in a record."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from secrets import randbelow
from typing import Any

import pytest
from attrs import frozen

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    Event,
    EventStream,
    FakeCluster,
    FakePeer,
    MintAnswer,
    MintNested,
    NestedToken,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.leaks.places import (
    PLACES,
    PLAIN,
    tokens_of,
)
from deploy_relay_kit.harness.judge.cases.leaks.search import leaked, reported_by
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.targets import DeployNode, GivenToken, Outcome
from deploy_relay_kit.harness.witness.secrets import (
    hex_forms,
    html_forms,
    json_forms,
    url_forms,
)

SPECIAL = 'pa"ss/{}!(*) wörd\\%20☃ of a node'
SPECIALS = (SPECIAL, "-{}<b>&'$1+=:,;.?^[|]# of another", "\ta{}\tb\nc𝄞é of a third==")


def check_records(check: Checks, outcome: Outcome, places: Mapping[str, FakePeer]) -> None:
    """No record of these peers holds a secret of its peer."""
    for place, peer in places.items():
        with check("BUG-41", f"the records, where a peer quotes a secret in {place}"):
            check.need(peer.requests, f"{peer.name} saw no request, and quoted nothing")
            is_read = "nothing" not in places or PLAIN in reported_by(outcome)
            check.need(is_read, "the words of a plain refusal are in no record either (RES-06)")
            found = leaked(peer, reported_by(outcome))
            assert not found, f"expected no password and no token, got {found}"


@pytest.mark.parametrize("secret", ["operation_token", "refresh_token"])
def test_a_token_that_a_peer_quotes_is_in_no_record(
    cluster: FakeCluster, relay: Relay, check: Checks, secret: str
) -> None:
    """A token that a peer quotes in its answer is in no record, neither is the refresh token."""
    places = {}
    for place, answer in PLACES.items():
        places[place] = peer = cluster.peer()
        issued = peer.node.issue_tokens(None)
        quoting = answer(issued[secret])
        early = place == "an early error"
        fault = AnswerEarly(quoting, then="drain") if early else quoting
        peer.fault = (MintAnswer(Answer(json=issued)), fault)
    outcome = relay.deploy(to=map(relay.minting, places.values()))
    check_records(check, outcome, places)


def test_a_token_that_was_given_and_is_quoted_is_in_no_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A token that was given, and that a peer quotes in its answer, is in no record."""
    places, nodes = {}, list[DeployNode]()
    for place, answer in PLACES.items():
        places[place] = peer = cluster.peer()
        token = peer.tokens.issue(peer.username)
        peer.fault = answer(token)
        nodes.append(relay.node(peer, mint=GivenToken(token)))
    check_records(check, relay.deploy(to=nodes), places)


def test_a_password_that_a_peer_quotes_is_in_no_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A password that a peer quotes is in no record, whatever characters it has."""
    places = {}
    special = {"an error": "~w8)x", "a body": "q7!Z~k|"}  # in no file by chance
    special |= {"a list": f"{randbelow(10**20):020}", "a page": f"{randbelow(10**20):020}" * 150}
    for number, (place, answer) in enumerate(PLACES.items()):
        password = special.get(place) or SPECIALS[number % 3].format(f"{number:02}")
        places[place] = peer = cluster.peer(password=password)
        peer.fault = answer(password)
    for number, text in enumerate(SPECIALS):
        password = text.format(f"last {number}")
        peer = cluster.peer(password=password)
        places[f"a body in which the password {number} is escaped"] = peer
        logs = [f'log: {{"seen":"{it}"}}' for it in json_forms(password)]
        logs += [f"POST /?password={it}" for it in url_forms(password)]
        logs += [f"<td>{it}</td>" for it in html_forms(password)]
        logs += [f"bytes: {it}" for it in hex_forms(password.encode())]
        peer.fault = Answer(body="\n".join(logs), content_type="text/plain")  # which no relay cuts
    outcome = relay.deploy(to=map(relay.minting, places.values()))
    check_records(check, outcome, places)


def test_a_password_that_a_mint_quotes_is_in_no_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A password that the answer of a mint quotes is in no record."""
    places = {}
    for number, (place, answer) in enumerate(PLACES.items()):
        password = SPECIALS[(number + 1) % 3].format(f"{number:02}")
        places[place] = peer = cluster.peer(password=password)
        peer.fault = MintAnswer(answer(password))
    outcome = relay.deploy(to=map(relay.minting, places.values()))
    check_records(check, outcome, places)


@frozen
class Quotes(Answer):
    """A refusal that quotes texts as they are when it is sent."""

    texts: Callable[[], Iterable[str]] = tuple

    @property
    def content(self) -> bytes:
        return json.dumps({"error": f"bad header: {' and '.join(self.texts())}"}).encode()


def headers_of(peer: FakePeer) -> list[str]:
    return [request.header("authorization", "") for request in peer.live_requests]


def test_the_credentials_of_a_header_that_a_peer_quotes_are_in_no_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A header `Authorization` that a peer quotes, also in the scheme Basic, is in no record."""
    places = {}
    for number in range(3):  # what the peer was not sent as it is, but knows
        password = f"{randbelow(10**20):020}{'x' * number}"
        peer = cluster.peer(username="u" * (8 + number), password=password)
        places[f"its answer with user and password {number}"] = peer
        # What stands before and after a password decides how its ends are encoded.
        inside = (b64encode(f"{'u' * it}:{password}: more".encode()) for it in range(3))
        said = [f"bad header: Basic {peer.node.basic}", *(it.decode() for it in inside)]
        peer.fault = Answer.error(401, ", ".join(said))
    peer = cluster.peer(username="u" * 8, password=f"???~~~{randbelow(10**20):020}")  # Pz8/fn5+
    places["its answer with user and password in the alphabet of URLs"] = peer
    in_alphabet = peer.node.basic.replace("+", "-").replace("/", "_")
    peer.fault = Answer.error(401, f"bad header: Basic {in_alphabet}, for a user")
    for number in range(6):  # base64 has three ways to end
        password = f"{randbelow(10**20):020}{'x' * (number // 2)}"  # in no file of another program
        places[f"its answer {number}"] = peer = cluster.peer(password=password)
        answer = Quotes(401, texts=partial(headers_of, peer))
        peer.fault = answer if number % 2 else MintAnswer(answer)
    outcome = relay.deploy(to=map(relay.minting, places.values()))
    check_records(check, outcome, places)


def test_a_refresh_token_is_hidden_wherever_a_mint_has_it(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A refresh token inside `results` or of a socket is in no record, too, if a peer quotes it."""
    places, nodes = dict[str, FakePeer](), list[DeployNode]()
    if "mint.operations" in relay.target.capabilities:
        places["its answer after a token inside results"] = peer = cluster.peer()
        peer.fault = (MintNested(), Quotes(401, texts=partial(tokens_of, peer)))
        nodes.append(relay.minting(peer))
        places["its answer after a token inside results, beside one"] = peer = cluster.peer()
        issued = peer.node.issue_tokens(None)
        both = {"refresh_token": issued.pop("refresh_token"), "results": issued}
        peer.fault = (MintAnswer(Answer(json=both)), Quotes(401, texts=partial(tokens_of, peer)))
        nodes.append(relay.minting(peer))
    if "mint.replication" in relay.target.capabilities:
        for where, fault in (("an answer", None), ("the results of an answer", NestedToken())):
            places[f"its answer after {where} of a socket"] = peer = cluster.peer()
            peer.fault = Quotes(401, texts=partial(tokens_of, peer))
            nodes.append(relay.minting_over(cluster.replication(peer, fault=fault), peer))
    if not nodes:
        relay.need("mint.operations")
    check_records(check, relay.deploy(to=nodes), places)


@pytest.mark.parametrize("name", ["error", "done"])
def test_a_token_that_an_event_quotes_is_in_no_record(
    cluster: FakeCluster, relay: Relay, check: Checks, name: str
) -> None:
    """A token that a peer quotes in an event is in no record, neither is the refresh token."""
    places = {}
    for secret, form in product(("operation_token", "refresh_token"), ("JSON", "text", "a text")):
        places[f"the event {name} with {form}, its {secret}"] = peer = cluster.peer()
        issued = peer.node.issue_tokens(None)
        message = f"bad header: {issued[secret]}"
        data: Any = {"message": message, "seen": [{issued[secret]: 1}]}
        data |= {"request": {"token": issued[secret], "password": issued[secret]}}
        data = {"result": data} if name == "done" else data
        data = {"JSON": data, "text": message, "a text": json.dumps(message)}[form]
        peer.fault = (MintAnswer(Answer(json=issued)), EventStream((Event(name, data),)))
    outcome = relay.deploy(to=map(relay.minting, cluster.peers), events=True)
    check_records(check, outcome, places)


def test_a_token_that_cannot_be_used_is_in_no_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A token that does not fit a header, or is in the wrong place, is not shown in the reason."""
    places = {}
    for place, answer in WRONG.items():
        places[place] = peer = cluster.peer()
        peer.fault = MintAnswer(Answer(json=answer(peer.node.issue_tokens(None))))
    outcome = relay.deploy(to=map(relay.minting, places.values()))
    check_records(check, outcome, places)


WRONG: dict[str, Callable[[dict[str, str]], Any]] = {
    "a token with a line end": lambda it: {**it, "operation_token": it["operation_token"] + "\n"},
    "a token with a blank": lambda it: {**it, "operation_token": "x " + it["operation_token"]},
    "a token beyond ASCII": lambda it: {**it, "operation_token": it["operation_token"] + "ü"},
    "an answer with a refresh token alone": lambda it: {"refresh_token": it["refresh_token"]},
    "a token in a list": lambda it: {"operation_token": [it["operation_token"]]},
    "a list of tokens": lambda it: list(it.values()),
    "a text": lambda it: it["operation_token"],
    "a message": lambda it: {"message": it["operation_token"]},
}
"""Answers to a mint without a usable token."""


@pytest.mark.parametrize("end", ["\n", " x", "ü"], ids=ascii)
def test_a_given_token_that_cannot_be_used_is_in_no_record(
    cluster: FakeCluster, relay: Relay, check: Checks, end: str
) -> None:
    """A given token that does not fit a header is not shown where the relay refuses it."""
    peer, other = cluster.peer(), cluster.peer()
    token = peer.tokens.issue(peer.username)
    outcome = relay.deploy(to=[relay.node(peer, mint=GivenToken(token + end))])
    relay.deploy(to=[relay.node(other, mint=GivenToken(other.tokens.issue(other.username)))])
    check.need(other.uploads, "the relay does not use a right token either")
    with check("BUG-35", "the uploads with a token that does not fit a header"):
        assert len(peer.uploads) == 0
    with check("BUG-41", "what the relay reports of a token that does not fit a header"):
        found = leaked(peer, reported_by(outcome))
        assert not found, f"expected no token, got {found}"

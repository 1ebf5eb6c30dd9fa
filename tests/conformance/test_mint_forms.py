"""Tables of logins, tokens and answers of a mint, each at a peer of its own."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

from deploy_relay_kit.harness import Answer, FakeCluster, MintAnswer, mint_with_token
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay

REASON = "token mint failed: "

CHANCE = f"{secrets.randbelow(10**9):09}"
"""The files of other programs are searched for passwords, too."""
LOGINS = [
    ("größe e\u0301", f"decomposed e\u0301 ☃🚀 {CHANCE}"),
    (" a b ", f"  blanks at both ends of {CHANCE}  "),
    ("user@example.com", f"colon:at@hash#{CHANCE}/question?"),
    ("$HOME", f"$HOME `id` $(id) {CHANCE} %20 %41"),
    ("'a'", f'"in quotes, {CHANCE}"'),
    ("back\\slash", f"back\\slash\\n and \\u0041 {CHANCE}"),
    ("007", f"000123456789{CHANCE}"),
    ("a&b=c", f"<b>&amp;</b>&{CHANCE}=b"),
    ("lines", f"first line {CHANCE}\nsecond line"),
    ("long", "0123456789" * 12 + CHANCE),
]


def test_every_login_reaches_its_node(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A user name and a password with any characters reach the peer unchanged."""
    peers = [cluster.peer(username=name, password=word) for name, word in LOGINS]
    relay.deploy(to=map(relay.minting, peers))
    for peer, (name, _) in zip(peers, LOGINS, strict=True):
        with check("MINT-11", f"the login of {name!r}"):
            check.need(peer.mints, f"{peer.name} saw no mint")
            assert peer.mint.token, "expected the user and password of this node, got others"


TOKENS = {
    "every character": "".join(map(chr, range(0x21, 0x7F))),
    "one character": "t",
    "padding": "YWJj+/==",
    "escapes": "%41%20\\n&amp;",
    "separators": "a,b;c=d",
    "quotes": '"quoted"',
    "capitals": "AbC.dEf",
    "the name of a scheme": "Bearer.a.b",
    "8,100 characters": "0123456789" * 810,
}


def test_every_token_is_used_as_it_is(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A token of the characters from ! to ~ is used unchanged, whatever it looks like."""
    peers = [cluster.peer(fault=mint_with_token(token)) for token in TOKENS.values()]
    relay.deploy(to=map(relay.minting, peers))
    for peer, (what, token) in zip(peers, TOKENS.items(), strict=True):
        with check("MINT-02", f"the token of the upload, minted with {what}"):
            check.need(peer.mints, f"{peer.name} saw no mint")
            assert [upload.token for upload in peer.uploads] == [token]


NO_TOKENS: list[Any] = [
    *({name: "a.b.c"} for name in ("token", "access_token", "operationToken", "message", "result")),
    *({name: {"operation_token": "a.b.c"}} for name in ("result", "data", "operation_token")),
    *({name: [{"operation_token": "a.b.c"}]} for name in ("result", "results")),
    *([{"operation_token": "a.b.c"}], "a.b.c", ["a.b.c"], 5, None),
]


def test_no_other_member_is_a_token(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """Only `operation_token` is a token, in the answer or inside of `results`."""
    peers = [cluster.peer(fault=MintAnswer(Answer(json=it))) for it in NO_TOKENS]
    outcome = relay.deploy(to=map(relay.minting, peers))
    for peer, answer in zip(peers, NO_TOKENS, strict=True):
        with check("MINT-03", f"the uploads after a mint that is answered {answer}"):
            check.need(peer.mints, f"{peer.name} saw no mint")
            assert len(peer.uploads) == 0
        with check("MINT-03", f"the reason after a mint that is answered {answer}"):
            check.need(not peer.uploads, "the relay took it for a token")
            reason = outcome[peer].reason
            check.need(reason.startswith(REASON), f"it does not begin with {REASON!r}")
            assert reason.removeprefix(REASON) == "peer did not return an operation_token"


BESIDE: dict[str, dict[str, Any]] = {
    **{f"results {shown}": {"results": it} for shown, it in (("null", None), ("empty", {}))},
    **{f"results {shown}": {"results": it} for shown, it in (("a list", []), ("a text", "done"))},
    "results without a token": {"results": {"operation_token": None}},
    "an error that is null": {"error": None},
    "an error": {"error": "the mail was not sent"},
    "members of a record": {"node": "n", "status": "failed", "reason": "no", "message": "minted"},
    "a list and numbers": {"roles": ["super_user"], "at": 1_767_225_600_123, "more": {"a": [1]}},
    "texts outside ASCII": {"user": "größe \U0001f680", "name": "a\u2028\0\x7f"},
    "texts outside ASCII in escapes": {"user": "größe \U0001f680", "name": "a\u2028\0\x7f"},
    "a long list": {"roles": ["super_user"] * 6_000},
    "a deep list": {"roles": json.loads("[" * 30 + "]" * 30), "a": {"b": {"c": {"d": {}}}}},
}
"""Other members of an answer with a token."""


def test_a_token_is_found_beside_any_other_members(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A token in an answer 2xx is used, whatever else the answer has, in blanks and line ends."""
    peers = {}
    for what, more in BESIDE.items():
        peers[what] = peer = cluster.peer()
        is_ascii = "escapes" in what
        tokens = peer.node.issue_tokens(None)
        body = json.dumps({**more, **tokens}, indent=2, ensure_ascii=is_ascii)
        peer.fault = MintAnswer(Answer(body=f"\n {body}\r\n", content_type="application/json"))
    peers["a token that is null, and results"] = peer = cluster.peer()
    inner = {"operation_token": None, "results": peer.node.issue_tokens(None)}
    peer.fault = MintAnswer(Answer(json=inner))
    relay.deploy(to=map(relay.minting, peers.values()))
    for what, peer in peers.items():
        with check("MINT-02", f"the tokens of the uploads after a mint that is answered {what}"):
            check.need(peer.mints, f"{peer.name} saw no mint")
            assert [it.token in peer.tokens.issued for it in peer.uploads] == [True]


REFUSALS: list[tuple[Answer, str]] = [
    (Answer(400, json={"error": "e", "message": "m"}), "e"),
    (Answer(401, json={"message": "m"}), "m"),
    (Answer(403, json={"error": {"message": "deep"}}), "deep"),
    (Answer(404, body="<p>no</p>", content_type="text/html"), "<p>no</p>"),
    (Answer(401), "HTTP 401"),
    (Answer(500, json={"error": "long " * 100}), "long " * 100),
    (Answer(401, json={"operation_token": "a.b.c"}), '{"operation_token":"a.b.c"}'),
    (Answer(500, json={"operation_token": "a.b.c"}), '{"operation_token":"a.b.c"}'),
]
# A relay may hide what it takes for a token.
TOKEN_IN_A_REFUSAL = re.compile(r'(?<=^\{"operation_token":")[^"]+(?="\}$)')
REDIRECTED = Answer(302, json={"operation_token": "a.b.c"}, headers=(("Location", "/else"),))


def test_a_refused_mint_has_the_reason_and_the_status_of_its_answer(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A refused mint fails with the text of its answer and its status, also with a token in it."""
    answers = [*(answer for answer, _ in REFUSALS), REDIRECTED]
    peers = [cluster.peer(fault=MintAnswer(answer)) for answer in answers]
    outcome = relay.deploy(to=map(relay.minting, peers))
    for peer, answer in zip(peers, answers, strict=True):
        with check("SEQ-06", f"the uploads after a mint that is answered {answer.status}"):
            check.need(peer.mints, f"{peer.name} saw no mint")
            assert len(peer.uploads) == 0
    for peer, (answer, reason) in zip(peers, REFUSALS, strict=False):
        with check("SEQ-06", f"the reason after a mint that is answered {answer.status}"):
            check.need(not peer.uploads, "the relay took it for a token")
            got = outcome[peer].reason
            assert got.startswith(REASON)
            assert TOKEN_IN_A_REFUSAL.sub("a.b.c", got.removeprefix(REASON)) == reason
        with check("SEQ-06", f"the status code after a mint that is answered {answer.status}"):
            check.need(not peer.uploads, "the relay took it for a token")
            assert outcome[peer].status_code == answer.status


def test_a_mint_has_any_status_of_a_success(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A mint with any status from 200 to 299 is a success."""
    statuses = (200, 201, 202, 203, 206, 226, 299)
    peers = [cluster.peer() for _ in statuses]
    for peer, status in zip(peers, statuses, strict=True):
        peer.fault = MintAnswer(Answer(status, json=peer.node.issue_tokens(None)))
    relay.deploy(to=map(relay.minting, peers))
    for peer, status in zip(peers, statuses, strict=True):
        with check("HTTP-05", f"the uploads after a mint that is answered {status}"):
            check.need(peer.mints, f"{peer.name} saw no mint")
            assert len(peer.uploads) == 1


UNUSABLE = [
    *(" a.b.c", "a.b.c ", "a.b.c\n", "a.b.c\r\n", "\ta.b.c", "a.b\tc", "a.b c", "a.b\x7fc"),
    *("a.b\u00e9c", "a.b\u20acc", "a.b\nX-Injected: 1", "a.b\0c", ' "a.b.c"', "Bearer a.b.c"),
]


def test_no_token_is_changed_until_it_fits(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A token with any other character fails the mint: nothing is cut off or left out of it."""
    peers = [cluster.peer(fault=mint_with_token(token)) for token in UNUSABLE]
    outcome = relay.deploy(to=map(relay.minting, peers))
    for peer, token in zip(peers, UNUSABLE, strict=True):
        with check("BUG-35", f"the uploads with a token made of {token!r}"):
            check.need(peer.mints, f"{peer.name} saw no mint")
            assert len(peer.uploads) == 0
        with check("BUG-35", f"the status of the record, with the token {token!r}"):
            assert outcome[peer].status == "failed"

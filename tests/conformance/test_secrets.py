"""Passwords and tokens, searched for wherever they do not belong."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest

from deploy_relay_kit.harness import (
    Answer,
    CertificateFlaw,
    ClientCertificateRequired,
    FakeCluster,
    FakePeer,
    MintAnswer,
    OneFault,
    Payload,
    ReadSlowly,
    UnfinishedChunks,
    WithToken,
    mint_with_token,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.leaks.search import (
    changed_since,
    contents,
    files_in_reach,
    leaked_in_part,
    leaked_to_another,
    leaks,
    received_by,
    reported_by,
)
from deploy_relay_kit.harness.judge.cases.leaks.troubled import Malformed, troubled
from deploy_relay_kit.harness.judge.cases.leaks.watch import watch_files
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.targets import DeployNode, GivenToken, Limits
from deploy_relay_kit.harness.targets.processes import watch_processes


def node_with(
    peer: FakePeer, cluster: FakeCluster, relay: Relay, token: str, answer: OneFault
) -> DeployNode:
    """A node whose token this is, given or minted as the relay can, with this answer."""
    peer.fault = answer
    if "mint.given" in relay.target.capabilities:
        return relay.node(peer, mint=GivenToken(token))
    if "mint.operations" not in relay.target.capabilities:
        socket = cluster.replication(peer, fault=WithToken(token))
        return relay.minting_over(socket, peer)
    peer.fault = (mint_with_token(token), answer)
    return relay.minting(peer)


def most_attempts(relay: Relay) -> Limits:
    """Three attempts, of a relay that makes more than one: what it shows may differ in each."""
    return THRICE if "retry" in relay.target.capabilities else Limits()


def look_for_secrets(
    check: Checks, where: str, text: str, *peers: FakePeer, of_others: bool = False
) -> None:
    """No password and no token of these peers, and no long piece of one, is in a text."""
    with check("BUG-41", where):
        look = leaked_to_another if of_others else leaked_in_part
        shown = ", ".join(peer.name for peer in peers if look(peer, text))
        assert not shown, f"expected no password and no token, got those of {shown}"


def test_no_peer_is_sent_a_credential_of_another(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """No peer receives a password or a token of another, also none of an earlier deploy."""
    peers = troubled(cluster, relay)
    relay.deploy(to=peers)
    peers.append(cluster.peer())
    relay.deploy(to=peers[-1:])
    for peer in peers:
        others = [it for it in peers if it is not peer]
        look_for_secrets(
            check, f"the requests to {peer.name}", received_by(peer), *others, of_others=True
        )


@pytest.mark.parametrize("events", [False, True])
def test_no_record_and_no_output_holds_a_credential(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    capfd: pytest.CaptureFixture[str],
    *,
    events: bool,
) -> None:
    """No password and no token is in a record or in the relay's output."""
    peers = troubled(cluster, relay)
    outcome = relay.deploy(to=peers, events=events, limits=most_attempts(relay))
    look_for_secrets(check, "the records", reported_by(outcome), *peers)
    written = relay.output + "".join(capfd.readouterr())
    look_for_secrets(check, "the output of the relay", written, *peers)


def test_no_record_of_a_truncated_answer_holds_a_credential(
    cluster: FakeCluster, relay: Relay, check: Checks, capfd: pytest.CaptureFixture[str]
) -> None:
    """No password and no token is in the record or the output after a truncated answer."""
    peer = cluster.peer(fault=UnfinishedChunks(Answer(json={})))
    outcome = relay.deploy(to=[peer])
    look_for_secrets(check, "the records", reported_by(outcome), peer)
    written = relay.output + "".join(capfd.readouterr())
    look_for_secrets(check, "the output of the relay", written, peer)


@pytest.mark.parametrize("at", ["mint", "upload"])
def test_a_secret_that_a_peer_quotes_is_not_shown_in_part(
    cluster: FakeCluster, relay: Relay, check: Checks, at: str
) -> None:
    """A secret is removed from a body before the body is cut.

    The secret is where a raw body is cut, so that its first half would remain.
    """
    peer = cluster.peer()
    secret = peer.password if at == "mint" else peer.tokens.issue(peer.username)
    refusal = Answer(500, body="x" * (200 - len(secret) // 2) + secret, content_type="text/plain")
    if at == "mint":
        peer.fault = MintAnswer(refusal)
        outcome = relay.deploy(to=[relay.minting(peer)])
    else:
        outcome = relay.deploy(to=[node_with(peer, cluster, relay, secret, refusal)])
    check.need(peer.requests, f"{peer.name} saw no request, and quoted nothing")
    with check("BUG-41", "the records"):
        is_shown = secret[: len(secret) // 2 - 1] in reported_by(outcome)
        assert not is_shown, "expected no part of the secret, got its first half"


def test_a_token_that_contains_another_is_hidden_whole(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Of two tokens of which one begins with the other, no rest of the longer one is shown."""
    peers = {"refresh_token": cluster.peer(), "operation_token": cluster.peer()}
    for longer, peer in peers.items():
        issued = peer.node.issue_tokens(None)
        shorter = next(name for name in issued if name != longer)
        issued[longer] = f"{issued[shorter]}.and-more-of-{peer.name}"
        peer.tokens.accept(issued[longer])
        quoting = Answer.error(401, f"bad header: {issued[longer]}")
        peer.fault = (MintAnswer(Answer(json=issued)), quoting)
    outcome = relay.deploy(to=map(relay.minting, peers.values()))
    for longer, peer in peers.items():
        check.need(peer.uploads, f"{peer.name} saw no upload, and quoted nothing")
        where = f"the records, where the {longer} is the longer"
        look_for_secrets(check, where, reported_by(outcome), peer)


ENDS = ("|^~{", "}~^`")  # in no text by chance


def test_no_end_of_a_token_is_shown(
    cluster: FakeCluster, relay: Relay, check: Checks, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not even four characters of a token are in a record or in the output, quoted or not."""
    answers = (
        Answer(json={"message": "seen: {token}"}),
        Answer(body="seen: {token}", content_type="text/plain"),
        Answer.error(401, "invalid token {token}"),
        Answer.error(401, "invalid token"),
    )
    peers, nodes = [cluster.peer() for _ in answers], list[DeployNode]()
    for peer, answer in zip(peers, answers, strict=True):
        token = f"of-{peer.name}".join(ENDS)
        peer.tokens.accept(token)
        body = answer.content.replace(b"{token}", token.encode())
        quoting = Answer(answer.status, body=body, content_type=answer.media_type)
        nodes.append(node_with(peer, cluster, relay, token, quoting))
    outcome = relay.deploy(to=nodes)
    check.need(any(peer.uploads for peer in peers), "the relay uses no such token")
    written = relay.output + "".join(capfd.readouterr())
    texts = {"the records": reported_by(outcome), "the output of the relay": written}
    for where, text in texts.items():
        with check("BUG-41", f"{where}, after a deploy with a token that has rare characters"):
            shown = sum(end in text for end in ENDS)
            assert shown == 0, f"expected no end of the token, got {shown}"


def test_a_cookie_of_one_peer_is_not_sent_to_another(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A cookie that a peer sets is not sent to another peer at the same host.

    Cookies ignore ports; an upload here begins when another peer may have set a cookie.
    """
    peers = [cluster.peer(host="127.0.0.1") for _ in range(2)]
    for peer in peers:
        cookie = ("Set-Cookie", f"of-{peer.name}=cookie-of-{peer.name}; Path=/")
        peer.fault = MintAnswer(Answer(json=peer.node.issue_tokens(None), headers=(cookie,)))
    relay.deploy(to=peers)
    for peer in peers:
        check.need(peer.uploads, f"{peer.name} saw no upload")
        cookies = [f"cookie-of-{other.name}" for other in peers if other is not peer]
        with check("BUG-41", f"the requests to {peer.name}"):
            sent = ", ".join(cookie for cookie in cookies if cookie in received_by(peer))
            assert not sent, f"expected no cookie of another peer, got {sent}"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no processes are shown here")
def test_no_process_shows_a_credential_during_a_deploy(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """No process has a password or a token in an argument or an environment variable."""
    peers = [cluster.peer(fault=ReadSlowly(2_000_000)), *troubled(cluster, relay)]
    with watch_processes(relay.target.pid) as shown:
        relay.deploy(to=peers, limits=most_attempts(relay))
    check.need(shown.arguments, "no process of the relay was seen during the deploy")
    parts = {"arguments": shown.arguments, "environment variables": shown.environments}
    for part, texts in parts.items():
        look_for_secrets(check, f"the {part} of a process", "\n".join(texts), *peers)


def test_no_file_with_a_credential_is_left_behind(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload
) -> None:
    """No file with a password or a token is written where the relay runs, or beside the payload.

    Also none that the relay removes again, such as one of settings for another program.
    """
    before, beside = files_in_reach(), set(payload.path.parent.iterdir())
    peers = [cluster.peer(fault=ReadSlowly(2_000_000)), *troubled(cluster, relay)]
    with watch_files(payload.path.parent) as written:
        relay.deploy(to=peers, limits=most_attempts(relay))
    look_for_secrets(check, "the files during the deploy", written.text, *peers, of_others=True)
    left = changed_since(before) | (set(payload.path.parent.iterdir()) - beside)
    elsewhere = set(leaks(peers, relay, []))
    with check("BUG-41", "the files after the deploy"):
        found = "; ".join(it for it in leaks(peers, relay, left) if it not in elsewhere)
        assert not found, f"expected no password and no token, got this: {found}"


PIECE = 16  # characters of a key that are in no text by chance


def test_the_key_of_the_relay_is_shown_nowhere(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    client_certificate: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The private key of the relay is in no record, no output, no process and no file.

    Also not in a file that the relay removes again, such as one with another form of the key.
    """
    before = files_in_reach()
    strict = ClientCertificateRequired()
    # A peer that requires a certificate and has a flawed one fails the handshake.
    troubles: list[OneFault] = [ReadSlowly(2_000_000), Answer(503), Malformed()]
    troubles.append(CertificateFlaw.EXPIRED)
    peers = [cluster.peer(fault=(strict, it)) for it in troubles]
    peers.append(cluster.peer(fault=strict))
    file = client_certificate
    with watch_processes(relay.target.pid) as shown, watch_files(file.parent) as written:
        outcome = relay.deploy(
            to=peers, certificate_file=file, key_file=file, limits=most_attempts(relay)
        )
    lines = file.read_text().partition("-----BEGIN CERTIFICATE-----")[0].split("\n")
    key = max(lines, key=len)
    pieces = [it[at : at + PIECE] for it in lines for at in range(0, len(it) - PIECE + 1, PIECE)]
    texts = {"the records": reported_by(outcome)}
    texts["the output of the relay"] = relay.output + "".join(capfd.readouterr())
    texts["the files after the deploy"] = contents(changed_since(before))
    texts["the files during the deploy"] = written.text
    texts["the arguments of a process"] = "\n".join(shown.arguments)
    texts["the environment variables of a process"] = "\n".join(shown.environments)
    for where, text in texts.items():
        with check("BUG-41", f"{where}, after a deploy with a key"):
            shown_pieces = sum(it in text for it in pieces if "--" not in it)
            assert shown_pieces == 0, "expected no private key, got a part of one"
    with check("BUG-41", "the files during the deploy, in the binary form of a key"):
        assert b64decode(key) not in written.data, "expected no private key, got one"

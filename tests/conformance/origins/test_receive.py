"""What an origin takes from a client, and what it stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_relay_kit.harness import Answer, FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.uploads import file_of
from deploy_relay_kit.harness.judge.forms.origin import Origin

REFUSALS = range(400, 500)
SOON = 8.0  # seconds; an answer that waits for nothing


def test_fields_after_the_file_are_ignored(
    cluster: FakeCluster, origin: Origin, check: Checks
) -> None:
    """Fields after the file reach no node, and do not keep the deploy on the origin."""
    peer = cluster.peer()
    form = origin.form(note="before")
    form.after = {"note": "after", "late": "x", "replicated": False}
    answer = origin.deploy([peer], form)
    with check("RECV-01", "the statuses of the records"):
        assert answer.statuses == ["success"]
    with check("RECV-01", "the fields at the node"):
        fields = peer.upload.fields
        assert (fields.get("note"), "late" in fields) == (b"before", False)
    with check("RECV-01", "the payload at the node"):
        assert file_of(peer.upload).sha256 == origin.payload.sha256


@pytest.mark.parametrize("kind", ["long", "many"])
def test_a_form_above_a_limit_is_refused_or_passed_on_whole(
    cluster: FakeCluster, origin: Origin, check: Checks, kind: str
) -> None:
    """A field of more than 1 MiB, or more than 64 fields, are refused or reach the node whole."""
    peer = cluster.peer()
    more = {"note": "x" * 1_048_577} if kind == "long" else {f"f{n}": n for n in range(70)}
    answer = origin.deploy([peer], origin.form(**more))
    with check("RECV-02", "the code of the answer, or the fields at the node"):
        if answer.code in {400, 413}:
            assert [it.complete for it in peer.uploads] == []
        else:
            arrived = {name: value.decode() for name, value in peer.upload.fields.items()}
            assert {it: v for it, v in arrived.items() if it in more} == {
                it: str(v) for it, v in more.items()
            }, f"got {answer}"


@pytest.mark.parametrize("name", ["__proto__", "constructor", "prototype"])
def test_a_name_of_the_prototype_is_refused(
    cluster: FakeCluster, origin: Origin, check: Checks, name: str
) -> None:
    """A field with a name that objects inherit is refused with 400."""
    peer = cluster.peer()
    answer = origin.deploy([peer], origin.form(**{name: {"bypass_auth": True}}))
    with check("RECV-03", f"the answer to a field {name}"):
        assert answer.code == 400
    with check("RECV-03", "the number of uploads to a node"):
        assert len(peer.uploads) == 0


@pytest.mark.parametrize("ends", ["cleanly", "abruptly"])
@pytest.mark.parametrize("place", ["fields", "headers", "file", "delimiter"])
def test_a_cut_form_is_no_deploy(
    cluster: FakeCluster, origin: Origin, check: Checks, place: str, ends: str
) -> None:
    """A form that ends early, as a body of that length or with its connection, deploys nothing."""
    peer = cluster.peer()
    form = origin.form()
    other = origin.form(project="other", replicated=False)
    whole = form.body
    after = {"fields": 20, "headers": len(form.head) - 5, "file": len(form.head) + 100_000}
    cut = whole[: after.get(place, len(whole) - 6)]
    with origin.knowing([peer]) as known:
        with known.client() as client:
            known.begin(client, form, length=len(cut) if ends == "cleanly" else len(whole))
            client.send(cut)
            if ends == "cleanly":
                with check("RECV-04", "whether the answer is a refusal"):
                    answer = client.answer()
                    assert answer.code >= 400, f"expected a refusal, got {answer}"
            else:  # give the origin time to read what was sent, which a reset would discard
                known.deploy(other)
        known.deploy(other)  # and time to find out that the client has left
        again = known.deploy(form)
    with check("RECV-04", "the answer to the next deploy"):
        assert again.statuses == ["success"], f"got {again}"
    with check("RECV-04", "the number of uploads to a node"):
        assert len(peer.uploads) == 1


@pytest.mark.parametrize("project", ["../evil", "../../evil", "/tmp/evil", "..", "a/../../b"])
def test_a_project_that_is_a_path_stays_inside(
    cluster: FakeCluster, origin: Origin, check: Checks, project: str
) -> None:
    """A project with a path makes no file outside the directory of the origin."""
    before = {it for it in origin.directory.parent.iterdir() if it.name != "deploy.json"}
    elsewhere = Path("/tmp/evil")
    was_there = elsewhere.exists()
    origin.deploy([cluster.peer()], origin.form(project=project))
    with check("RECV-05", "the files beside the directory of the origin"):
        after = {it for it in origin.directory.parent.iterdir() if it.name != "deploy.json"}
        assert {it.name for it in after - before} == set()
        assert elsewhere.exists() == was_there


@pytest.mark.parametrize("login", ["", "Basic bm9ib2R5Om5vdGhpbmc=", "Bearer not.a.token"])
def test_a_stranger_is_refused_before_the_payload(
    cluster: FakeCluster, origin: Origin, check: Checks, login: str
) -> None:
    """Without a valid login, the answer is 401 while the payload has not arrived."""
    peer = cluster.peer()
    form = origin.form()
    with origin.knowing([peer]) as known, known.client() as client:
        known.begin(client, form, login=login, length=100_000_000)
        client.send(form.head)
        with check("RECV-06", "the code of the answer before the payload"):
            assert client.answer(SOON).code == 401
    with check("RECV-06", "the number of connections to a node"):
        assert len(peer.connections) == 0


HOSTILE = {
    "deep JSON": ("", b"[" * 100_000 + b"]" * 100_000),
    "JSON that does not end": ("", b'{"a":' * 100_000),
    "a long number": ("", b"9" * 100_000),
    "a number beyond all": ("", b"1e999"),
    "half of a pair": ("", b'"\\ud800"'),
    "no text": ("", b"\xff\xfe\x00"),
    "punycode": ("Content-Type: text/plain; charset=punycode", b"a-" + b"z" * 500_000),
    "an unknown charset": ("Content-Type: text/plain; charset=no-such", b"x"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_field_of_any_bytes_does_not_fail_the_origin(
    cluster: FakeCluster, origin: Origin, check: Checks, kind: str
) -> None:
    """A field that is hard to read is refused with 400 or 413, or the node gets the deploy."""
    peer = cluster.peer()
    form = origin.form()
    form.part = HOSTILE[kind]
    answer = origin.deploy([peer], form)
    with check("RECV-07", "the answer to a deploy with such a field"):
        whole = [it.complete for it in peer.uploads]
        as_expected = whole == [True] if answer.code == 200 else answer.code in {400, 413}
        assert as_expected, f"expected a deploy, 400 or 413, got {answer} and {len(whole)} uploads"
    with check("RECV-07", "the statuses of the next deploy"):
        assert origin.deploy([peer], origin.form()).statuses == ["success"]


def test_payloads_do_not_pile_up(cluster: FakeCluster, origin: Origin, check: Checks) -> None:
    """After six deploys that succeed, are refused, are cut or fail, three payloads may be left."""
    healthy, failing = cluster.peer(), cluster.peer(fault=Answer.error(500, "full"))
    content = origin.payload.path.read_bytes() * 10  # much more than a record of the deploys
    before, form = origin.kept(), origin.form(content)
    refused = origin.form(content, __proto__=1)
    with origin.knowing([healthy]) as known:
        for _ in range(2):
            check.need(known.deploy(form).statuses == ["success"], "a healthy deploy fails")
        known.deploy(refused)
        with known.client() as client:
            known.begin(client, form)
            client.send(form.body[:-1_000_000])
        known.deploy(form)
    with origin.knowing([healthy, failing]) as known:
        known.deploy(form)
        known.deploy(form)
    with check("STAGE-01", "the payloads that the origin keeps"):
        payloads = (origin.kept() - before) / len(content)
        assert payloads < 3.5, f"expected at most 3, got {payloads:.1f}"


@pytest.mark.parametrize("with_payload", [True, False])
def test_a_client_names_no_staged_file(
    cluster: FakeCluster,
    origin: Origin,
    check: Checks,
    tmp_path: Path,
    *,
    with_payload: bool,
) -> None:
    """A file that `_stagedPayloadPath` names is not deployed, and stays."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"a file of the origin")
    peer = cluster.peer()
    payload = b"" if with_payload else None
    form = origin.form(payload, _stagedPayloadPath=str(secret))
    answer = origin.deploy([peer], form)
    with check("STAGE-02", "the payload at the node"):
        if with_payload:
            assert file_of(peer.upload).sha256 == origin.payload.sha256
        else:
            assert len(peer.uploads) == 0
    with check("STAGE-02", "whether the file is still there"):
        assert secret.exists()
    if not with_payload:
        with check("STAGE-02", "whether the answer is a refusal"):
            assert answer.code in REFUSALS or answer.code == 500, f"got {answer}"

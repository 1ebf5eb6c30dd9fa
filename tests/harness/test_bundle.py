"""Bundles: a failure in one file, and the same case once more."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from deploy_relay_kit.harness.cli.main import main
from deploy_relay_kit.harness.judge.bundle import archive
from deploy_relay_kit.harness.judge.bundle.difference import difference
from deploy_relay_kit.harness.judge.bundle.document import Bundle, BundledRequest
from deploy_relay_kit.harness.judge.explain import every_case
from deploy_relay_kit.harness.judge.model import Case, Evidence, Verdict
from deploy_relay_kit.harness.peer.payloads import seeded_blocks
from tests.harness.driving import case, failed
from tests.mutants.of_values import names_are_escaped_as_browsers_do

CASE = "test_fields.py::test_quotes_and_line_breaks_are_deleted_from_a_name"


def test_a_failure_is_repeated_from_its_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        names_are_escaped_as_browsers_do(patch)
        assert main(["run", "--case", CASE, "--bundle", str(tmp_path)]) == 1
        [path] = tmp_path.iterdir()
        assert path.name.startswith("01-WIRE-10-test_quotes_and")
        assert f"bundle: {path}\n" in capsys.readouterr().out
        assert main(["replay", str(path)]) == 1
        assert capsys.readouterr().out.splitlines()[1:] == [
            "then: failed (WIRE-10); reference (the reference relay 0.1.0), kit 0.1.0",
            "now:  failed (WIRE-10); reference (the reference relay 0.1.0), kit 0.1.0",
            "no difference",
        ]
    assert main(["replay", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "now:  passed; reference (the reference relay 0.1.0), kit 0.1.0" in lines
    assert {line[:9] for line in lines if "WIRE-10" in line} > {"-  WIRE-1", "+  WIRE-1"}
    assert [line for line in lines if line.startswith("+") and 'name="noteX-' in line]
    assert not [line for line in lines if "password-of" in line]

    bundle = archive.read(path)
    assert bundle.requirements == ["WIRE-10"]
    assert [node.title for node in bundle.nodes] == ["node-1", "node-2"]
    [payload, _] = bundle.payloads
    digest = hashlib.sha256(b"".join(seeded_blocks(payload.size, payload.seed or 0)))
    assert (payload.seed, payload.sha256) == (0, digest.hexdigest())
    assert [request.node for request in bundle.requests] == ["node-1"] * 2 + ["node-2"] * 2
    upload = bundle.requests[1]
    assert upload.head.startswith(b"POST / HTTP/1.1\r\n")
    assert b'name="no%22te' in upload.begin
    assert len(upload.begin) == 16 * 1024
    assert upload.end.endswith(b"--\r\n\r\n0\r\n\r\n")
    with zipfile.ZipFile(path) as file:
        assert b"ms  accepted from 127.0.0.1" in file.read("timeline.txt")


def test_the_cases_of_origins_are_named_as_a_run_takes_them() -> None:
    places = {place for places in every_case().values() for place in places}
    of_origins = {place for place in places if place.startswith("origins/")}
    assert of_origins
    for place in places:
        assert Case(place).place == Case(f"tests/conformance/{place}").place == place


def test_a_run_without_a_failure_has_no_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--case", CASE, "--bundle", str(tmp_path / "new")]) == 0
    assert "bundle: none" in capsys.readouterr().out
    assert list((tmp_path / "new").iterdir()) == []


def test_a_relay_that_does_not_deploy_at_all_has_a_bundle_of_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "idle.py").write_text(
        "def deploy(message):\n"
        "    record = {'status': 'failed', 'reason': 'idle'}\n"
        "    return [{'node': it['name'], **record} for it in message['nodes']]\n"
    )
    monkeypatch.chdir(tmp_path)
    relay = "python:idle:deploy"
    assert main(["run", "--relay", relay, "-k", "no_such", "--bundle", "bundles"]) == 1
    assert "The run ended before the cases." in capsys.readouterr().out
    [path] = (tmp_path / "bundles").iterdir()
    assert archive.read(path).case.verdict == Verdict.UNTESTABLE
    assert main(["replay", str(path), "--relay", relay]) == 1
    assert "now:  untestable" in capsys.readouterr().out


def test_a_bundle_that_would_be_too_large_costs_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names_are_escaped_as_browsers_do(monkeypatch)
    monkeypatch.setattr(archive, "_LONGEST_DOCUMENT", 100)
    assert main(["run", "--case", CASE, "--bundle", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "1 must failed" in told
    assert f"no bundle of {CASE}: " in told
    assert list(tmp_path.iterdir()) == []


def bundle_of(place: str = CASE, relay: str = "reference") -> Bundle:
    it = case("test_x", failed("WIRE-10", got="\ud800 \x1b[31m"), evidence=Evidence(seen="\ud800"))
    it.id = f"tests/{place}"
    return Bundle(it, relay=relay)


def test_a_difference_leaves_out_what_differs_in_each_run() -> None:
    then, now = bundle_of(), bundle_of()
    assert then.case.evidence is not None
    assert now.case.evidence is not None
    then.case.evidence.seen = "  0.1 ms  accepted from 127.0.0.1:4711\n  0.2 ms  closed"
    now.case.evidence.seen = " 10.7 ms  accepted from 127.0.0.1:4712\n 99.2 ms  closed"
    head = b'POST / HTTP/1.1\r\nContent-Type: x; boundary="%s"\r\nAuthorization: Basic %s\r\n\r\n'
    then.requests = [BundledRequest("a", 1, 9, head % (b"abc", b"QQ=="), b"--abc\r\n\x00\xff")]
    now.requests = [BundledRequest("a", 1, 9, head % (b"xyz", b"Qg=="), b"--xyz\r\n\x80\n\x01")]
    assert difference(then, now) == []
    now.case.checks[0].got = "a\nb"
    now.requests[0].begin += b"\r\n--xyz--"
    lines = [line for line in difference(then, now) if line[0] in "+-" and line[:3] not in "---+++"]
    assert lines == [
        "-  WIRE-10 failed: \ud800 \x1b[31m",
        "+  WIRE-10 failed: a; b",
        "+  --[boundary]--",
    ]


def test_the_only_secrets_in_it_are_those_of_the_fake_peers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "of-the-user-1")
    bundle = bundle_of(relay="cmd:adapter --token of-the-user-1")
    bundle.requests = [BundledRequest("node-1", 1, head=b"X-Api: of-the-user-1\r\n", begin=b"own")]
    archive.write(bundle, tmp_path / "x.zip")
    read = archive.read(tmp_path / "x.zip")
    assert read.relay == "cmd:adapter --token [secret of the environment]"
    assert read.requests[0].head == b"X-Api: [secret of the environment]\r\n"
    assert read.requests[0].begin == b"own"
    assert read.case == bundle.case


def test_a_command_in_a_bundle_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    archive.write(bundle_of(relay="cmd:touch run"), tmp_path / "x.zip")
    assert main(["replay", "x.zip"]) == 2
    assert "with --relay 'cmd:touch run'; name the relay" in capsys.readouterr().err
    assert [it.name for it in tmp_path.iterdir()] == ["x.zip"]


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return buffer.getvalue()


def document(**members: object) -> bytes:
    found = {**msgspec.to_builtins(bundle_of()), **members}
    return zipped(("bundle.json", json.dumps(found).encode()))


def changed(content: bytes, *at: int, to: bytes) -> bytes:
    found = bytearray(content)
    for position in at:
        found[position : position + len(to)] = to
    return bytes(found)


def encrypted() -> bytes:
    plain = document()
    return changed(plain, 6, plain.index(b"PK\1\2") + 8, to=b"\1\0")


def of_unknown_compression() -> bytes:
    plain = document()
    return changed(plain, 8, plain.index(b"PK\1\2") + 10, to=b"\x63\0")


NODE = {"title": "a", "kind": "FakePeer", "url": "https://127.0.0.1/"}
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "no zip file"),
    "text": (lambda: b"{}" * 50, "no zip file"),
    "cut": (lambda: document()[:-30], "no zip file"),
    "broken": (lambda: changed(document(), 60, to=b"\xff" * 40), "not a bundle"),
    "foreign": (lambda: zipped(("README", b"x")), "unexpected member 'README'"),
    "no document": (lambda: zipped(("timeline.txt", b"x")), "no bundle.json"),
    "escape": (lambda: zipped(("../escaped", b"x")), "unexpected member '../escaped'"),
    "inside": (lambda: zipped(("witness/../../x.bin", b"x")), "unexpected member 'witness/"),
    "absolute": (lambda: zipped(("/tmp/escaped", b"x")), "unexpected member '/tmp/escaped'"),
    "bomb": (lambda: zipped(("bundle.json", bytes(200_000_000))), "bundle.json is too long"),
    "part": (lambda: zipped(("witness/001-head.bin", bytes(200_000))), "head.bin is too long"),
    "many": (lambda: zipped(*((f"{n:060}", b"") for n in range(3000))), "too many members"),
    "encrypted": (encrypted, "encrypted"),
    "compression": (of_unknown_compression, "compression"),
    "no JSON": (lambda: zipped(("bundle.json", b"{")), "not a bundle"),
    "deep": (lambda: zipped(("bundle.json", b"[" * 100_000)), "not a bundle"),
    "a list": (lambda: zipped(("bundle.json", b"[]")), "not a bundle"),
    "another format": (lambda: document(format=2), "format 2; this kit reads 1"),
    "requirement": (lambda: document(requirements=["NO-01"]), "'NO-01' is not a requirement"),
    "nodes": (lambda: document(nodes=[NODE] * 1001), "more than 1000 nodes"),
    "case": (lambda: document(case={"id": "t/no.py::x"}), "the case no.py::x is not in this"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_bundle_is_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, words = BAD[name]
    path = tmp_path / "in" / "x.zip"
    path.parent.mkdir()
    path.write_bytes(content())
    assert main(["replay", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"relay-harness: {path}: ")
    assert words in error
    assert len(error) < 500
    assert [it.name for it in tmp_path.rglob("*")] == ["in", "x.zip"]


def test_what_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "no.zip")]) == 2
    assert "no.zip: No such file or directory; give a file of" in capsys.readouterr().err
    assert main(["replay", str(tmp_path)]) == 2
    assert "not a regular file" in capsys.readouterr().err
    with (tmp_path / "huge.zip").open("wb") as file:
        file.truncate(33 * 1024 * 1024)
    assert main(["replay", str(tmp_path / "huge.zip")]) == 2
    assert "more than 32 MiB" in capsys.readouterr().err

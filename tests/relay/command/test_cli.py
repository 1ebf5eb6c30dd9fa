from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.events import Event, EventStream, success_events
from deploy_relay_kit.harness.faults.kinds import (
    ClientCertificateRequired,
    MintHangs,
    ReadSlowly,
    StopReadingAfter,
    in_turn,
)
from deploy_relay_kit.relay.command.cli import main
from tests.relay.command.calling import PASSWORD, command, options, peer_of, run

VERY_BYTES = b"\x1f\x8b and the very bytes"


def test_a_directory_is_packed_and_deployed(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = peer_of(cluster, "a")
    assert main(["deploy", str(component), *options(cluster, files)]) == 0
    assert peer.upload.fields["project"] == b"demo"
    assert peer.upload.findings == []
    output = capsys.readouterr()
    assert output.out == "a\tsuccess\tSuccessfully deployed: demo\n"
    assert "a: sending" in output.err


def test_json_is_one_document_and_failures_exit_1(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer_of(cluster, "a")
    peer_of(cluster, "b", fault=Answer.error(500, "boom"))
    assert main(["deploy", str(component), *options(cluster, files), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["succeeded"] is False
    assert [record["status"] for record in document["records"]] == ["success", "failed"]


def test_a_password_file_in_the_tree_is_not_sent(
    cluster: FakeCluster, component: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = peer_of(cluster, "a")
    (component / "password").write_text(PASSWORD)
    assert main(["deploy", str(component), *options(cluster, component), "--quiet"]) == 0
    assert "left out password: it holds credentials" in capsys.readouterr().err
    (component / "password").rename(component.parent / "password")
    assert main(["deploy", str(component), *options(cluster, component.parent)]) == 0
    first, second = (upload.file for upload in peer.uploads)
    assert first is not None
    assert second is not None
    assert first.sha256 == second.sha256


def test_the_project_has_the_name_of_the_path_as_given(
    cluster: FakeCluster, component: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = peer_of(cluster, "a")
    (files / "current").symlink_to(component)
    assert main(["deploy", str(files / "current"), *options(cluster, files)]) == 0
    monkeypatch.chdir(component)
    assert main(["deploy", ".", *options(cluster, files)]) == 0
    assert [upload.fields["project"] for upload in peer.uploads] == [b"current", b"demo"]


def test_nodes_from_a_file_and_excluded_files(
    cluster: FakeCluster, component: Path, files: Path
) -> None:
    peers = [peer_of(cluster, name) for name in "abc"]
    lines = ["\ufeff# all nodes", "", f"  a={peers[0].url}", f"b={peers[1].url}  "]
    (files / "nodes").write_text("\r\n".join(lines), encoding="utf-8")
    who = options(cluster, files)[-3:]
    command = ["deploy", str(component), *who, f"--nodes={files / 'nodes'}", "--quiet"]
    command += [f"--node=c={peers[2].url}", "--only=a", "--only=c", "--exclude=./*.log"]
    assert main(command) == 0
    (component / "a.log").write_text("left out")
    assert main(command) == 0
    assert [len(peer.uploads) for peer in peers] == [2, 0, 2]
    assert len({upload.file.sha256 for upload in peers[0].uploads if upload.file}) == 1


def test_a_project_that_looks_like_a_number_stays_a_name(
    cluster: FakeCluster, component: Path, files: Path
) -> None:
    peer = peer_of(cluster, "a", profile="harper-5.1")
    main(["deploy", str(component), *options(cluster, files), "--project=123", "--quiet"])
    assert peer.upload.fields["project"] == b'"123"'


@pytest.mark.parametrize(
    "wrong", ["--ca=none", "--cert=none", "--attempts=0", "--node=a=https://h/"]
)
def test_mistakes_are_found_before_a_directory_is_packed(
    cluster: FakeCluster, component: Path, files: Path, wrong: str
) -> None:
    """Packing this one would take minutes."""
    (component / "large").touch()
    os.truncate(component / "large", 1 << 36)
    peer_of(cluster, "a")
    assert main(["deploy", str(component), *options(cluster, files), wrong]) == 2


def test_many_nodes_are_counted(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(11):
        peer_of(cluster, f"n{number}", fault=Answer.error(500, "no") if number > 8 else None)
    assert main(["deploy", str(component), *options(cluster, files)]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "relay: 9 of 11 nodes succeeded; failed: n9, n10"


def test_a_html_page_of_a_proxy_is_shown_as_its_title(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (
        "<!DOCTYPE html>\n<html><head><title>Bad\n gateway &amp; more</title><style>h1 {}</style>"
        f"<p>try <b>later</b> <{'x' * 300}"
    )
    for name, status in (("a", 502), ("b", 200)):
        peer_of(cluster, name, fault=Answer(status, body=page, content_type="text/html"))
    deploy = ["deploy", str(component), *options(cluster, files), "--attempts=1"]
    assert main(deploy) == 1
    assert capsys.readouterr().out == (
        "a\tfailed\ta proxy got no answer of the node, or not in its own time limit: "
        "HTTP 502: Bad gateway & more (it may have deployed anyway)\n"
        "b\tsuccess\tHTTP 200: Bad gateway & more\n"
    )
    assert main([*deploy, "--json", "--quiet"]) == 1
    refused, took = json.loads(capsys.readouterr().out)["records"]
    assert refused["reason"] == "HTTP 502: Bad gateway & more"
    assert took["message"] == "HTTP 200: Bad gateway & more"


@pytest.mark.parametrize("status", [200, 500])
def test_a_text_too_long_to_read_is_cut_for_people_alone(
    cluster: FakeCluster,
    component: Path,
    files: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    status: int,
) -> None:
    message = "npm failed " + "x" * 1_000_000
    answer = Answer(status, json={"message" if status == 200 else "error": message})
    peer_of(cluster, "a", fault=answer)
    main(["deploy", str(component), *options(cluster, files), "--attempts=1"])
    out, err = capsys.readouterr()
    assert "npm failed xxx" in out
    assert "… (of 1,000,011 characters; --json has all)" in out
    assert len(out) < 3_000
    assert len(err) < 6_000
    main(["deploy", str(component), *options(cluster, files), "--attempts=1", "--json", "--quiet"])
    [record] = json.loads(capsys.readouterr().out)["records"]
    assert message in (record.get("message"), record.get("reason"))


def test_the_relays_own_certificate_and_a_limit_of_nodes(
    cluster: FakeCluster, component: Path, files: Path
) -> None:
    peers = [peer_of(cluster, name, fault=ClientCertificateRequired()) for name in "ab"]
    pem = cluster.authority.client_certificate("origin").split(b"-----BEGIN CERTIFICATE")
    (files / "key.pem").write_bytes(pem[0])
    (files / "cert.pem").write_bytes(b"".join(b"-----BEGIN CERTIFICATE" + p for p in pem[1:]))
    own = [f"--cert={files / 'cert.pem'}", f"--key={files / 'key.pem'}", "--concurrency=1"]
    assert main(["deploy", str(component), *options(cluster, files), *own]) == 0
    first, second = (peer.upload.times for peer in peers)
    assert first["answer end"] <= second["head"] or second["answer end"] <= first["head"]


def test_a_byte_order_mark_is_not_part_of_a_password(
    cluster: FakeCluster, component: Path, files: Path
) -> None:
    peer = peer_of(cluster, "a")
    (files / "password").write_text(PASSWORD + "\r\n", encoding="utf-8-sig")
    assert main(["deploy", str(component), *options(cluster, files)]) == 0
    assert peer.mints[0].body["password"] == PASSWORD


def test_an_archive_is_sent_as_it_is_with_more_fields(cluster: FakeCluster, files: Path) -> None:
    peer = peer_of(cluster, "a")
    archive = files / "shop.tar.gz"
    archive.write_bytes(VERY_BYTES)
    assert main(["deploy", str(archive), *options(cluster, files), "--field=restart=true"]) == 0
    assert peer.upload.fields["project"] == b"shop"
    assert peer.upload.fields["restart"] == b"true"
    assert peer.upload.file.length == len(VERY_BYTES)


def test_a_peer_cannot_control_the_terminal(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer_of(cluster, "a", fault=Answer.error(500, "\x1b[2J\x1b[31mgone\nb\tsuccess\tnot really"))
    assert main(["deploy", str(component), *options(cluster, files)]) == 1
    output = capsys.readouterr()
    assert "\x1b" not in output.out + output.err
    assert len(output.out.splitlines()) == 1


def test_as_a_program_without_secrets_in_its_output(cluster: FakeCluster, component: Path) -> None:
    peer = peer_of(cluster, "a")
    (component / "broken").symlink_to("nowhere")
    command = [sys.executable, "-m", "deploy_relay_kit.relay", "deploy", str(component)]
    environment = {**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD}
    arguments = [f"--node=a={peer.url}", f"--ca={cluster.ca_file}"]
    done = subprocess.run(
        command + arguments, capture_output=True, check=False, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "left out broken: dangling" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert "token-of" not in done.stdout + done.stderr


def test_events_are_json_lines(cluster: FakeCluster, component: Path) -> None:
    peer_of(cluster, "a", fault=EventStream())
    done = run(cluster, component, "--events")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    times = [datetime.fromisoformat(line.pop("time")) for line in lines]
    assert times == sorted(times)
    assert times[0].tzinfo is not None
    assert {line["node"] for line in lines} == {"a"}
    assert [line["event"] for line in lines if line["event"] != "phase"] == [
        *("mint", "sent", "sent", "settled")
    ]
    assert {"node": "a", "event": "phase", "phase": "prepare", "status": "start"} in lines
    assert lines[-1]["record"]["status"] == "success"


def test_quiet_shows_only_the_records_and_asks_for_no_events(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = peer_of(cluster, "a")
    assert main(["deploy", str(component), *options(cluster, files), "--quiet"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out == "a\tsuccess\tSuccessfully deployed: demo\n"
    assert peer.upload.header("accept") is None


def test_lines_show_the_progress_of_the_peer(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Event("install", {"manager": "npm", "stream": "stderr", "line": "\x1b[2Jadded 1"})
    peer_of(cluster, "a", fault=EventStream((line, *success_events())))
    assert main(["deploy", str(component), *options(cluster, files)]) == 0
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", it) for it in capsys.readouterr().err.splitlines()]
    assert "a: |  [2Jadded 1" in lines
    assert "a: phase prepare: start" in lines
    assert lines[-2] == "a: success: Successfully deployed: demo"
    assert lines[-1].startswith("relay: 1 of 1 done, 0:00:0")


def test_an_error_in_a_success_is_shown(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RES-14: an `error` in a success is not a failure, but people should see it."""
    peer_of(cluster, "a", fault=Answer(200, json={"message": "fine", "error": {"message": "full"}}))
    peer_of(cluster, "b", fault=Answer(200, json={"error": "<html>full</html>"}))
    assert main(["deploy", str(component), *options(cluster, files)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "a\tsuccess\tfine (the node also reports: full)",
        "b\tsuccess\t(the node also reports: full)",
    ]


@pytest.mark.parametrize(("option", "code", "uploads"), [([], 0, 2), (["--attempts=1"], 1, 1)])
def test_failures_are_tried_again_by_default(
    cluster: FakeCluster,
    component: Path,
    files: Path,
    option: list[str],
    *,
    code: int,
    uploads: int,
) -> None:
    busy = Answer.error(503, "busy", headers=(("Retry-After", "0"),))
    peer = peer_of(cluster, "a", fault=in_turn(busy, None))
    assert main(["deploy", str(component), *options(cluster, files), *option]) == code
    assert len(peer.uploads) == uploads


def test_an_empty_token_in_the_environment_is_ignored(
    cluster: FakeCluster, component: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like an unset secret of a CI job."""
    peer = peer_of(cluster, "a")
    monkeypatch.setenv("RELAY_TOKEN", "")
    monkeypatch.setenv("RELAY_PASSWORD", PASSWORD)
    given = [it for it in options(cluster, files) if not it.startswith("--password-file")]
    assert main(["deploy", str(component), *given]) == 0
    assert len(peer.mints) == 1


def test_an_interrupted_node_with_the_whole_payload_is_uncertain(
    cluster: FakeCluster, component: Path
) -> None:
    peer = peer_of(cluster, "a", fault=StopReadingAfter(1 << 30))
    environment = {**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD}
    with subprocess.Popen(
        command(cluster, component, "--json", "--quiet"),
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        peer.wait_until(lambda peer: any(it.complete for it in peer.live_uploads), timeout=30)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    [record] = json.loads(output)["records"]
    assert record == {
        "node": "a", "status": "failed", "reason": "interrupted", "uncertain": True
    }  # fmt: skip


def test_limits_are_options(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer_of(cluster, "a", fault=MintHangs())
    waits = ["--limit=mint=0.25", "--limit=connect=9.5", "--attempts=1"]
    assert main(["deploy", str(component), *options(cluster, files), *waits]) == 1
    assert "no answer in 0.25 s" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["--restart", "--restart=rolling"])
def test_nodes_that_took_the_package_are_restarted(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    good, bad = peer_of(cluster, "a"), peer_of(cluster, "b", fault=Answer.error(500, "boom"))
    assert main(["deploy", str(component), *options(cluster, files), how, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [record["message"] for record in document["restarted"]] == ["Restarting http"]
    assert good.upload.fields["restart"] == b"false"
    assert (len(good.profile.jobs.begun), len(bad.profile.jobs.begun)) == (1, 0)
    assert main(["deploy", str(component), *options(cluster, files), how]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "a\tsuccess\tSuccessfully deployed: demo",
        "b\tfailed\tboom (HTTP 500)",
        "a\trestarted\tRestarting http",
    ]


def test_an_interrupt_leaves_no_half_open_upload(cluster: FakeCluster, files: Path) -> None:
    peer = peer_of(cluster, "a", fault=ReadSlowly(5_000_000))
    archive = files / "large.tar.gz"
    archive.write_bytes(b"\x1f\x8b")
    os.truncate(archive, 64_000_000)
    environment = {**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD}
    with subprocess.Popen(
        command(cluster, archive, "--events"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        peer.wait_until(lambda peer: bool(peer.live_uploads), timeout=30)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    repeat, interrupted = errors.splitlines()
    assert repeat.startswith("relay: to repeat it for the rest: relay deploy --only=a ")
    assert interrupted == "relay: interrupted; unfinished work was aborted"
    assert not peer.upload.complete
    assert peer.upload.connection.closed_by == "client"

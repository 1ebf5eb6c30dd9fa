from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.answers import Answer
from harness.events import Event, EventStream, success
from harness.faults import (
    ClientCertificateRequired,
    MintHangs,
    ReadSlowly,
    StopReadingAfter,
    in_turn,
)
from relay.command.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from harness.cluster import FakeCluster
    from harness.peer import FakePeer

VERY_BYTES = b"\x1f\x8b and the very bytes"
PASSWORD = "pass-word-of-all"


@pytest.fixture(autouse=True)
def _no_credentials_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RELAY_USER", "RELAY_PASSWORD", "RELAY_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a password file."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    return tmp_path


@pytest.fixture
def bad_files(
    tmp_path: Path, component: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The working directory of the bad calls, with files to go wrong on."""
    assert component.parent == files == tmp_path
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "latin").write_bytes(b"a=https://h/\xe4")
    (tmp_path / "nodes").write_text("a=https://h/\n\nb\n")
    (tmp_path / "bad name").mkdir()
    (tmp_path / "bad name" / "x").touch()
    (tmp_path / "nothing").mkdir()
    (tmp_path / "zero.tar.gz").touch()
    (tmp_path / "text.tgz").write_text("hunter2")
    os.mkfifo(tmp_path / "pipe.tar.gz")
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


def peer_of(cluster: FakeCluster, name: str, **how: Any) -> FakePeer:
    peer = cluster.peer(name, **how)
    peer.username, peer.password = "admin", PASSWORD
    return peer


def options(cluster: FakeCluster, files: Path) -> list[str]:
    nodes = [f"--node={peer.name}={peer.url}" for peer in cluster.peers]
    who = ["--user=admin", f"--password-file={files / 'password'}", f"--ca={cluster.ca_file}"]
    return nodes + who


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


def test_the_name_of_the_project_is_that_of_the_path_as_typed(
    cluster: FakeCluster, component: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = peer_of(cluster, "a")
    (files / "current").symlink_to(component)
    assert main(["deploy", str(files / "current"), *options(cluster, files)]) == 0
    monkeypatch.chdir(component)
    assert main(["deploy", ".", *options(cluster, files)]) == 0
    assert [upload.fields["project"] for upload in peer.uploads] == [b"current", b"demo"]


def test_nodes_may_stand_in_a_file_and_files_stay_out(
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
def test_what_is_wrong_is_said_before_a_directory_is_packed(
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


def test_a_page_of_a_proxy_is_told_without_its_markup(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = "<html><head><title>502</title><style>h1 {}</style></head><body><h1>Bad gateway</h1>"
    answer = Answer(502, body=f"{page}<p>try <b>later</b> <{'x' * 300}", content_type="text/html")
    peer_of(cluster, "a", fault=answer)
    assert main(["deploy", str(component), *options(cluster, files), "--attempts=1"]) == 1
    assert capsys.readouterr().out == (
        "a\tfailed\tBad gateway try later (HTTP 502) (it may be deployed all the same)\n"
    )


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


def test_a_mark_of_the_byte_order_is_no_part_of_a_password(
    cluster: FakeCluster, component: Path, files: Path
) -> None:
    peer = peer_of(cluster, "a")
    (files / "password").write_text(PASSWORD + "\r\n", encoding="utf-8-sig")
    assert main(["deploy", str(component), *options(cluster, files)]) == 0
    assert peer.mints[0].body["password"] == PASSWORD


def test_an_archive_is_sent_as_it_is_with_further_fields(cluster: FakeCluster, files: Path) -> None:
    peer = peer_of(cluster, "a")
    archive = files / "shop.tar.gz"
    archive.write_bytes(VERY_BYTES)
    assert main(["deploy", str(archive), *options(cluster, files), "--field=restart=true"]) == 0
    assert peer.upload.fields["project"] == b"shop"
    assert peer.upload.fields["restart"] == b"true"
    assert peer.upload.file is not None
    assert peer.upload.file.length == len(VERY_BYTES)


def test_a_peer_does_not_steer_the_terminal(
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
    command = [sys.executable, "-m", "relay", "deploy", str(component)]
    environment = {**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD}
    arguments = [f"--node=a={peer.url}", f"--ca={cluster.ca_file}"]
    done = subprocess.run(
        command + arguments, capture_output=True, check=False, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "left out broken: dangling" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert "token-of" not in done.stdout + done.stderr


def run(cluster: FakeCluster, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(cluster, path, *arguments),
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD},
    )


def command(cluster: FakeCluster, path: Path, *arguments: str) -> list[str]:
    nodes = [f"--node={peer.name}={peer.url}" for peer in cluster.peers]
    program = [sys.executable, "-m", "relay", "deploy", str(path)]
    return [*program, *nodes, f"--ca={cluster.ca_file}", *arguments]


def test_events_are_json_lines(cluster: FakeCluster, component: Path) -> None:
    peer_of(cluster, "a", fault=EventStream())
    done = run(cluster, component, "--events")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["node"] for line in lines} == {"a"}
    assert [line["event"] for line in lines if line["event"] != "phase"] == [
        *("mint", "sent", "sent", "settled")
    ]
    assert {"node": "a", "event": "phase", "phase": "prepare", "status": "start"} in lines
    assert lines[-1]["record"]["status"] == "success"


def test_quiet_shows_the_records_alone_and_asks_for_no_events(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = peer_of(cluster, "a")
    assert main(["deploy", str(component), *options(cluster, files), "--quiet"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out == "a\tsuccess\tSuccessfully deployed: demo\n"
    assert peer.upload.header("accept") is None


def test_lines_tell_what_the_peer_does(
    cluster: FakeCluster, component: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Event("install", {"manager": "npm", "stream": "stderr", "line": "\x1b[2Jadded 1"})
    peer_of(cluster, "a", fault=EventStream((line, *success())))
    assert main(["deploy", str(component), *options(cluster, files)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert "a: |  [2Jadded 1" in told
    assert "a: phase prepare: start" in told
    assert told[-1] == "a: success: Successfully deployed: demo"


def test_bars_on_a_terminal_show_rate_and_phase(cluster: FakeCluster, component: Path) -> None:
    peer_of(cluster, "a", fault=EventStream())
    peer_of(cluster, "b", fault=Answer.error(500, "boom"))
    ours, theirs = os.openpty()
    environment = {**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD}
    environment |= {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        command(cluster, component), stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal ends
            while block := os.read(ours, 65_536):
                shown += block
        os.close(ours)
    assert process.returncode == 1
    text = shown.decode()
    assert "success: Successfully deployed: demo" in text
    assert "failed: boom" in text
    assert "bytes" in text


@pytest.mark.parametrize(("option", "code", "uploads"), [([], 0, 2), (["--attempts=1"], 1, 1)])
def test_failures_are_tried_again_unless_told_otherwise(
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


def test_a_token_that_is_there_and_empty_is_none(
    cluster: FakeCluster, component: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the secret of a CI job that is not set."""
    peer = peer_of(cluster, "a")
    monkeypatch.setenv("RELAY_TOKEN", "")
    monkeypatch.setenv("RELAY_PASSWORD", PASSWORD)
    given = [it for it in options(cluster, files) if not it.startswith("--password-file")]
    assert main(["deploy", str(component), *given]) == 0
    assert len(peer.mints) == 1


def test_a_node_that_had_it_all_when_interrupted_may_have_deployed(
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


def test_a_node_is_waited_for_as_long_as_one_is_told_to(
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
    assert errors == "relay: interrupted; whatever was under way was aborted\n"
    assert not peer.upload.complete
    assert peer.upload.connection.closed_by == "client"


NODE = "--node=a=https://h/"
WHO = ("--user=u", "--password-file=password")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: verb"),
        (["deploy"], "required: PATH"),
        (["deploy", "demo"], "no node to deploy to; give --node NAME=URL, or --nodes FILE"),
        (["deploy", "demo", "--nodes=none", *WHO], "cannot read 'none': No such file"),
        (["deploy", "demo", "--nodes=latin", *WHO], "cannot read 'latin': it is not UTF-8 text"),
        (["deploy", "demo", "--nodes=nodes", *WHO], "nodes:3: 'b' is not NAME=URL"),
        (["deploy", "demo", NODE, *WHO, "--only=b"], "--only names no node: b"),
        (["deploy", "demo", "--node=a=https://h/\udcff", *WHO], "what is no text"),
        (["deploy", "demo", "--node=a", *WHO], "NAME=URL"),
        (["deploy", "demo", "--node=https://u:hunter2@h/", *WHO], "NAME=URL"),
        (["deploy", "demo", "--node=https://u:hun=ter2@h/", *WHO], "NAME=URL"),
        (["deploy", "demo", "--node=a=u:hunter2@h", *WHO], "user name or password"),
        (["deploy", "demo", "--node=a=https://u:hunter2@h:x/", *WHO], "user name or password"),
        (["deploy", "demo", "--node=a=https://u:hun/ter2@h/", *WHO], "cannot be read"),
        (["deploy", "demo", "--node=a=ftp://h/", *WHO], "https or http"),
        (["deploy", "demo", "--node=a=http://h/", *WHO], "use https, or allow it (--allow-http)"),
        (["deploy", "demo", "--node=a=https://u:hunter2@h/", *WHO], "user name or password"),
        (["deploy", "demo", NODE, NODE, *WHO], "2 nodes are named 'a'"),
        (["deploy", "demo", NODE, *WHO, "--insecure=b"], "names no node: b"),
        (["deploy", "demo", NODE], "no credentials"),
        (["deploy", "demo", NODE, "--user=u"], "no password"),
        (["deploy", "demo", NODE, "--user=u", "--password-file=none"], "cannot read 'none'"),
        (["deploy", "demo", NODE, "--user=u", "--password-file=demo"], "cannot read 'demo'"),
        (["deploy", "demo", NODE, "--user=u", "--password-file=empty"], "'empty' is empty"),
        (["deploy", "demo", NODE, "--user=u", "--password-file=binary"], "not UTF-8"),
        (["deploy", "demo", NODE, "--token-file=empty"], "'empty' is empty"),
        (["deploy", "demo", NODE, *WHO, "--token-file=password"], "exclude each other"),
        (["deploy", "demo", NODE, *WHO, "--ca=none.pem"], "'none.pem'"),
        (["deploy", "demo", NODE, *WHO, "--ca=password"], "CA file 'password'"),
        (["deploy", "demo", NODE, *WHO, "--field=x"], "KEY=VALUE"),
        (["deploy", "demo", NODE, *WHO, "--field=project=x"], "given twice"),
        (["deploy", "demo", NODE, *WHO, "--field=password=hunter2"], "'password': the relay never"),
        (
            ["deploy", "demo", NODE, *WHO, "--field=replicated=true"],
            "'replicated': the relay never",
        ),
        (["deploy", "demo", NODE, *WHO, "--project=../x"], "'../x' cannot be a project name"),
        (["deploy", "demo", NODE, *WHO, "--project="], "'' cannot be a project name"),
        (["deploy", "demo", NODE, "--user=u", "--password", "hunter2"], "use --password-file"),
        (["deploy", "demo", NODE, "--token=hunter2"], "use --token-file"),
        (["deploy", "zero.tar.gz", NODE, *WHO], "'zero.tar.gz' is not gzipped, or empty"),
        (["deploy", "text.tgz", NODE, *WHO], "'text.tgz' is not gzipped, or empty"),
        (["deploy", "pipe.tar.gz", NODE, *WHO], "neither a directory nor a .tar.gz"),
        (["deploy", "demo", NODE, *WHO, "--attempts=0"], "attempts is 0"),
        (["deploy", "demo", NODE, *WHO, "--limit=5"], "'5' is not NAME=SECONDS"),
        (["deploy", "demo", NODE, *WHO, "--limit=answer=soon"], "'answer=soon' is not NAME"),
        (["deploy", "demo", NODE, *WHO, "--limit=retry=5"], "there are connect, mint, stall"),
        (["deploy", "demo", NODE, *WHO, "--limit=answer=0"], "limit 'answer' is 0.0; give a"),
        (["deploy", "demo", NODE, *WHO, "--limit=stall=nan"], "limit 'stall' is nan"),
        (["deploy", "demo", NODE, *WHO, "--restart=now"], "invalid choice: 'now' (choose from"),
        (
            ["deploy", NODE, *WHO, "--restart", "demo"],
            "--restart: invalid choice: 'demo' (choose",
        ),
        (["deploy", "demo", "--node=a=https://::1:9925/", *WHO], "stands in brackets"),
        (["deploy", "demo", NODE, *WHO, "--restart", "--field=restart=true"], "of its own"),
        (["deploy", "demo", NODE, *WHO, "--json", "--events"], "not allowed with"),
        (["deploy", "bad name", NODE, *WHO], "give --project"),
        (["deploy", "none", NODE, *WHO], "'none': No such file"),
        (["deploy", "", NODE, *WHO], "PATH: it is empty"),
        (["deploy", "loop", NODE, *WHO, "--project=x"], "'loop': Too many levels"),
        (["deploy", "x" * 300, NODE, *WHO], "File name too long"),
        (["deploy", "a\0b", NODE, *WHO, "--project=x"], "null"),
        (["deploy", "empty/x", NODE, *WHO], "Not a directory"),
        (["deploy", "demo", NODE, *WHO, "--key=password"], "without its certificate"),
        (["deploy", "demo", NODE, *WHO, "--concurrency=0"], "limit 'concurrency' is 0"),
        (["deploy", "password", NODE, *WHO], "neither a directory nor"),
        (["deploy", "nothing", NODE, *WHO], "holds no files"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_named_and_exits_2(
    bad_files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert bad_files.is_dir()
    try:
        code = main(arguments)
    except SystemExit as exit_:
        code = int(str(exit_.code))
    output = capsys.readouterr()
    assert code == 2
    assert words in output.err
    assert "hun" not in output.err
    assert output.out == ""


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert re.fullmatch(r"relay \S.*\n", capsys.readouterr().out)

"""Invalid input of `relay deploy`, with its messages."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.relay.command.cli import main
from tests.relay.command.calling import command, peer_of


@pytest.fixture
def bad_files(
    tmp_path: Path, component: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The working directory of the invalid calls, with unusable files."""
    assert component.parent == files == tmp_path
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "latin").write_bytes(b"a=https://h/\xe4")
    (tmp_path / "nodes").write_text("a=https://h/\n\nb\n")
    (tmp_path / "same").write_text("a=https://other/\n")
    (tmp_path / "login").write_text("a=https://u:hunter2@h/\n")
    (tmp_path / "secret").write_text("hunter2\n")
    (tmp_path / "gzip.tgz").write_bytes(b"\x1f\x8b")
    (tmp_path / "bad name").mkdir()
    (tmp_path / "bad name" / "x").touch()
    (tmp_path / "nothing").mkdir()
    (tmp_path / "zero.tar.gz").touch()
    (tmp_path / "text.tgz").write_text("hunter2")
    os.mkfifo(tmp_path / "pipe.tar.gz")
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


NODE = "--node=a=https://h/"
WHO = ("--user=u", "--password-file=password")
VIA = ("--via=https://h/", *WHO)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: COMMAND"),
        (["deploy"], "required: PATH"),
        (["depoly", "demo"], "unknown command 'depoly'; did you mean deploy?"),
        (["xyzzy"], "unknown command 'xyzzy'; see relay --help"),
        (["--versoin"], "unknown option --versoin (did you mean --version?)"),
        (["deploy", "demo", NODE, "--profile", ""], "unknown profile ''; known are none"),
        (["-q", "deploy", "demo"], "-q belongs after the command, as in relay deploy -q"),
        (["-x", "deploy"], "unknown option -x; see relay --help"),
        (["deploy", "-x", "demo"], "unknown option -x; see relay deploy --help"),
        ([NODE, "deploy", "demo"], "--node belongs after the command, as in relay deploy --node"),
        (
            ["serve", "--confg=x"],
            "unknown option --confg (did you mean --config?); see",
        ),
        (["deployments", "--statu=x"], "unknown option --statu (did you mean --status?)"),
        (["serve", "--config=none"], "--config: cannot read 'none': No such file"),
        (["serve", "--config=binary"], "cannot read 'binary': it is not UTF-8 text"),
        (["serve", "--config=nodes"], "'nodes' is not TOML"),
        (["serve", "--config=/dev/zero"], "'/dev/zero' is longer than 1,048,576 bytes"),
        (["deploy", "demo"], "no nodes; give --node, --nodes or --via"),
        (["deploy", "demo", "--nodes=none", *WHO], "cannot read 'none': No such file"),
        (["deploy", "demo", "--nodes=latin", *WHO], "cannot read 'latin': it is not UTF-8 text"),
        (["deploy", "demo", "--nodes=nodes", *WHO], "nodes:3: not NAME=URL"),
        (["deploy", "demo", "--nodes=empty", *WHO], "'empty' has none"),
        (["deploy", "demo", "--nodes=secret", *WHO], "secret:1: not NAME=URL"),
        (["deploy", "demo", "--nodes=", *WHO], "--nodes: it is empty; is a variable not set?"),
        (["deploy", "demo", NODE, "--nodes=same", *WHO], "same:1: duplicate node name 'a'"),
        (["deploy", "demo", "--nodes=login", *WHO], "login:1: the URL of node 'a' holds a user"),
        (["deploy", "demo", NODE, *WHO, "--only=b"], "--only 'b': unknown node; known are a"),
        (
            ["deploy", "demo", NODE, *WHO, "hunter2"],
            "unexpected argument; relay deploy takes one PATH; see",
        ),
        (["deploy", "demo", NODE, *WHO, "--passwd=hunter2"], "unknown option --passwd ("),
        (["deploy", "demo", NODE, *WHO, "-phunter2"], "unknown option -p;"),
        (["deploy", "gzip.tgz", NODE, *WHO, "--exclude=.env"], "'gzip.tgz' is sent as it is"),
        (["deploy", "demo", "--node=a=https://h/\udcff", *WHO], "invalid text"),
        (["deploy", "demo", "--node=a", *WHO], "NAME=URL"),
        (["deploy", "demo", "--node=https://u:hunter2@h/", *WHO], "NAME=URL"),
        (["deploy", "demo", "--node=https://u:hun=ter2@h/", *WHO], "NAME=URL"),
        (["deploy", "demo", "--node=a=u:hunter2@h", *WHO], "user name or password"),
        (["deploy", "demo", "--node=a=https://u:hunter2@h:x/", *WHO], "user name or password"),
        (["deploy", "demo", "--node=a=https://u:hun/ter2@h/", *WHO], "its host or port is invalid"),
        (["deploy", "demo", "--node=a=ftp://h/", *WHO], "https or http"),
        (["deploy", "demo", "--node=a=http://h/", *WHO], "use https, or allow it (--allow-http)"),
        (["deploy", "demo", "--node=a=https://u:hunter2@h/", *WHO], "user name or password"),
        (["deploy", "demo", NODE, NODE, *WHO], "duplicate node name 'a'"),
        (["deploy", "demo", NODE, NODE.replace("a=", "b="), *WHO], "'a' has the same URL"),
        (["deploy", "demo", NODE, *WHO, "--insecure=b"], "--insecure 'b': unknown node"),
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
        (["deploy", "demo", NODE, *WHO, "--project=../x"], "project name '../x' must consist of"),
        (["deploy", "demo", NODE, *WHO, "--project="], "project name '' must consist of"),
        (["deploy", "demo", NODE, "--user=u", "--password", "hunter2"], "use --password-file"),
        (["deploy", "demo", NODE, "--token=hunter2"], "use --token-file"),
        (["--token", "hunter2", "deploy", "demo", NODE], "use --token-file"),
        (["deploy", "zero.tar.gz", NODE, *WHO], "'zero.tar.gz' is not gzipped, or empty"),
        (["deploy", "text.tgz", NODE, *WHO], "'text.tgz' is not gzipped, or empty"),
        (["deploy", "pipe.tar.gz", NODE, *WHO], "neither a directory nor a .tar.gz"),
        (
            ["deploy", "demo", NODE, *WHO, "--attempts=0"],
            "--attempts: give an integer of 1 or more, not '0'",
        ),
        (["deploy", "demo", NODE, *WHO, "--attempts=1.5"], "1 or more, not '1.5'"),
        (["deploy", "demo", NODE, *WHO, "--threads=0"], "--threads: give an integer of 1 or more"),
        (["deploy", "demo", NODE, *WHO, "--concurrency=é"], "--concurrency: give an integer of 1"),
        (
            ["deploy", "demo", NODE, *WHO, "--probe", "--legacy"],
            "not allowed with argument --probe",
        ),
        (["deploy", "demo", *VIA, "--probe"], "--probe has no effect; leave it out"),
        (["deploy", "demo", *VIA, "--concurrency=2"], "--concurrency has no effect; leave it out"),
        (["deploy", "demo", *VIA, "--threads=2"], "--threads has no effect; leave it out"),
        (["deployments", *VIA, "--limit=0"], "--limit: give an integer of 1 or more, not '0'"),
        (["deployments", *VIA, "hunter2"], "unexpected argument; relay deployments takes options"),
        (["deployment", *VIA, ""], "argument ID: it is empty; is a variable not set?"),
        (["hash-password", "hunter2"], "unexpected argument; relay hash-password takes options"),
        (["deploy", "demo", NODE, *WHO, "--cert=none"], "client certificate 'none' cannot be used"),
        (
            ["deploy", "demo", NODE, *WHO, "--cert=secret", "--key=none"],
            "key 'none' cannot be used: No such file or directory; give",
        ),
        (
            ["deploy", "demo", NODE, *WHO, "--cert=secret"],
            "'secret' cannot be used: not PEM, empty",
        ),
        (["deploy", "demo", NODE, *WHO, "--limit=5"], "'5' is not NAME=SECONDS"),
        (["deploy", "demo", NODE, *WHO, "--limit=answer=soon"], "'answer=soon' is not NAME"),
        (["deploy", "demo", NODE, *WHO, "--limit=retry=5"], "known are connect, mint, stall"),
        (
            ["deploy", "demo", NODE, *WHO, "--limit=answer=0"],
            "--limit 'answer=0': limit 'answer' must be a number above 0, not 0.0",
        ),
        (
            ["deploy", "demo", NODE, *WHO, "--limit=stall=nan"],
            "limit 'stall' must be a number above 0, not nan",
        ),
        (["deploy", "demo", NODE, *WHO, "--restart=now"], "invalid choice: 'now' (choose from"),
        (
            ["deploy", NODE, *WHO, "--restart", "demo"],
            "--restart: invalid choice: 'demo' (choose",
        ),
        (["deploy", "demo", "--node=a=https://::1:9925/", *WHO], "needs brackets"),
        (["deploy", "demo", NODE, *WHO, "--restart", "--field=restart=true"], "has its own option"),
        (["deploy", "demo", NODE, *WHO, "--json", "--events"], "not allowed with"),
        (["deploy", "bad name", NODE, *WHO], "give --project"),
        (["deploy", "none", NODE, *WHO], "'none': No such file"),
        (["deploy", "", NODE, *WHO], "PATH: it is empty"),
        (["deploy", "loop", NODE, *WHO, "--project=x"], "'loop': Too many levels"),
        (["deploy", "x" * 300, NODE, *WHO], "File name too long"),
        (["deploy", "a\0b", NODE, *WHO, "--project=x"], "null"),
        (["deploy", "empty/x", NODE, *WHO], "Not a directory"),
        (["deploy", "demo", NODE, *WHO, "--key=password"], "without its certificate"),
        (
            ["deploy", "demo", NODE, *WHO, "--threads=0"],
            "--threads: give an integer of 1 or more, not '0'",
        ),
        (
            ["deploy", "demo", NODE, *WHO, "--concurrency=0"],
            "--concurrency: give an integer of 1 or more, not '0'",
        ),
        (["deploy", "demo", NODE, *WHO, "--limit-rate=fast"], "'fast' is not RATE or NAME=RATE"),
        (["deploy", "demo", NODE, *WHO, "--limit-rate=other=5M"], "unknown node; known are"),
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


def test_a_deleted_working_directory_gives_no_project_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["deploy", ".", NODE, "--user=u"]) == 2
    assert "cannot resolve '.'; give --project" in capsys.readouterr().err


def test_without_standard_input_there_is_no_prompt(cluster: FakeCluster, component: Path) -> None:
    peer_of(cluster, "a")
    line = f"exec {shlex.join([*command(cluster, component), '--user=admin'])} <&-"
    run = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (
        2,
        "relay: no password; give --password-file or RELAY_PASSWORD\n",
    )

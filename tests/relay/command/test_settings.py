"""Settings from the environment and from TOML files, and what a dry run shows of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.relay.command import options
from deploy_relay_kit.relay.command.cli import main
from deploy_relay_kit.relay.errors import InputError
from tests.relay.command.calling import PASSWORD, peer_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the user's file; the working directory is beside it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "relay").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home" / "relay"


def project(text: str) -> None:
    Path("relay.toml").write_text(text, encoding="utf-8")


def test_each_source_counts_before_the_next(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.toml").write_text('user = "user"\n[profiles.p]\nuser = "user-profile"\n')
    seen = [options.parsed(["deploy", "x"])]
    seen.append(options.parsed(["deploy", "x", "--profile=p"]))
    project('user = "project"\n[profiles.p]\nuser = "project-profile"\n')
    monkeypatch.setenv("RELAY_CONFIG", "relay.toml")
    seen.append(options.parsed(["deploy", "x"]))
    seen.append(options.parsed(["deploy", "x", "--profile", "p"]))
    monkeypatch.setenv("RELAY_USER", "environment")
    seen.append(options.parsed(["deploy", "x", "--profile", "p"]))
    seen.append(options.parsed(["deploy", "x", "--user=option"]))
    assert [(it.user, it.settings.sources["user"]) for it in seen] == [
        ("user", str(home / "config.toml")),
        ("user-profile", f"{home / 'config.toml'}, profile p"),
        ("project", "relay.toml"),
        ("project-profile", "relay.toml, profile p"),
        ("environment", "RELAY_USER"),
        ("option", "command line"),
    ]


def test_every_kind_of_value(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.toml").write_text(
        'ca = "ca.pem"\nattempts = 5\nallow-http = true\nrestart = "rolling"\njson = true\n'
        'exclude = ["*.log", "a b"]\nlimits = {connect = 2.5}\n[nodes]\neu = "https://eu/"\n'
    )
    monkeypatch.setenv("RELAY_ONLY", "eu 'u s'")
    monkeypatch.setenv("RELAY_PROBE", "1")
    monkeypatch.setenv("RELAY_ALLOW_HTTP", "no")
    found = options.parsed(["deploy", "x", "--events"])
    assert found.ca == home / "ca.pem"  # relative to its file
    assert (found.attempts, found.restart, found.probe) == (5, "rolling", True)
    assert (found.allow_http, found.json, found.events) == (False, False, True)
    assert found.exclude == ["*.log", "a b"]
    assert options.parsed(["deploy", "x", "--skip-node-modules"]).exclude == [
        *("*.log", "a b", "node_modules")
    ]
    assert (found.limit, found.node, found.only) == (
        ["connect=2.5"],
        ["eu=https://eu/"],
        ["eu", "u s"],
    )
    assert options.parsed(["deploy", "x", "--exclude=c"]).exclude == ["c"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("usr = 1", "unknown key 'usr'; did you mean user?"),
        ("[clusters.eu]\nuser = 'a'", "unknown key 'clusters'"),
        ('password = "x"', "use password_file"),
        ("attempts = 'many'", "relay.toml: attempts: 'many' is not valid for --attempts"),
        ("restart = 'never'", "must be one of at-once, rolling"),
        ("probe = 'yes'", "must be true or false"),
        ("user = ['a']", "must be one value"),
        ("ca = 2020-01-01", "must be text or a number"),
        ("user = ", "is not TOML"),
        ("profiles = 1", "profiles must be tables"),
        ("profiles.a = 1", "profiles must be tables"),
        ("allow-http = true\nallow_http = false", "sets allow_http twice"),
    ],
)
def test_a_wrong_file_is_named(home: Path, text: str, words: str) -> None:
    assert home.is_dir()
    project(text)
    with pytest.raises(InputError) as caught:
        options.parsed(["deploy", "x", "--config=relay.toml"])
    assert "relay.toml" in str(caught.value)
    assert words in str(caught.value)
    assert ("did you mean" in words) is ("did you mean" in str(caught.value))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RELAY_ATTEMPTS", "x", "RELAY_ATTEMPTS: 'x' is not valid"),
        ("RELAY_PROBE", "maybe", "RELAY_PROBE must be true or false"),
        ("RELAY_NODE", "'", "RELAY_NODE: No closing quotation"),
        ("RELAY_PROFILE", "p", "unknown profile 'p'; known are q"),
    ],
)
def test_a_wrong_variable_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    assert home.is_dir()
    project("[profiles.q]\n")
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        options.parsed(["deploy", "x"])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        'nodes = {a = "https://elsewhere/"}',
        'nodes = "nodes.txt"',
        'node = ["a=https://elsewhere/"]',
        'ca = "ca.pem"',
        'cert = "cert.pem"',
        'insecure = ["a"]',
        "allow-http = true",
        'proxy = "http://elsewhere/"',
        'user = "root"',
        'token-file = "/etc/secret"',
        'password-file = "/etc/secret"',
        'log-file = "/etc/passwd"',
        'fields = {install_command = "sh"}',
        'profiles.p.insecure = ["a"]',
    ],
)
def test_a_file_that_nobody_named_decides_nothing_of_weight(home: Path, text: str) -> None:
    """What lies in the working directory may be of somebody else, as in a cloned repository."""
    assert home.is_dir()
    project(f"{text}\n[profiles.q]\n")
    arguments = ["deploy", "x", "--profile=p"] if "profiles.p" in text else ["deploy", "x"]
    with pytest.raises(InputError, match="counts only in a file that you name"):
        options.parsed(arguments)
    named = options.parsed([*arguments, "--config", "relay.toml"])
    assert named.settings.unnamed is None


def test_a_file_that_nobody_named_is_shown(
    cluster: FakeCluster, component: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert home.is_dir()
    peer = peer_of(cluster, "a")
    project('exclude = ["*.log"]\nlimits = {connect = 3}\n')
    node = f"--node=a={peer.url}"
    assert main(["deploy", str(component), node, "--dry-run", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert "relay: using the settings in ./relay.toml\n" in shown.err
    assert "setting\tlimit\trelay.toml\n" in shown.out
    assert main(["deploy", str(component), node, "--dry-run", "--config=/dev/null"]) == 0
    assert "relay.toml" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "variables", "arguments", "expected"),
    [
        ('nodes = {a = "https://a/"}', {}, ["--nodes=file"], {"node": []}),
        ('nodes = "file"', {"RELAY_NODE": "a=https://a/"}, [], {"nodes": []}),
        ("json = true", {"RELAY_EVENTS": "1"}, [], {"json": False, "events": True}),
        ("verbose = true", {}, ["-q"], {"verbose": False}),
        ('token-file = "t"', {"RELAY_USER": "me"}, [], {"token_file": None, "user": "me"}),
        ('password-file = "p"', {}, ["--token-file=t"], {"password_file": None}),
        ('password-file = "p"', {"RELAY_TOKEN": "t"}, [], {"password_file": None}),
        ('token-file = "t"', {"RELAY_PASSWORD": "p"}, [], {"token_file": None}),
    ],
)
def test_a_higher_source_counts_before_its_rivals(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    text: str,
    variables: dict[str, str],
    arguments: list[str],
    expected: dict[str, object],
) -> None:
    (home / "config.toml").write_text(text)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = options.parsed(["deploy", "x", *arguments])
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_dry_run_shows_all_and_sends_nothing(
    cluster: FakeCluster,
    component: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert home.is_dir()
    peer = peer_of(cluster, "a")
    project(
        f'ca = "{cluster.ca_file}"\ninsecure = ["b"]\n[nodes]\na = "{peer.url}"\nb = "https://b/"\n'
    )
    monkeypatch.setenv("RELAY_CONFIG", "relay.toml")
    assert main(["deploy", str(component), "--dry-run"]) == 0  # no credentials are needed
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert ["node", "a", peer.url, "verified TLS"] in lines
    assert ["node", "b", "https://b:443/", "TLS, NOT verified"] in lines
    assert ["setting", "ca", "relay.toml"] in lines
    assert ["setting", "dry-run", "command line"] in lines
    assert main(["deploy", str(component), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["dryRun"] is True
    assert len(plan["package"]["sha256"]) == 64
    assert peer.uploads == []
    assert peer.connections == []


def test_a_dry_run_with_probe_shows_versions(
    cluster: FakeCluster,
    component: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert home.is_dir()
    monkeypatch.setenv("RELAY_PASSWORD", PASSWORD)
    peer = peer_of(cluster, "a", profile="harper-5.1")
    arguments = [f"--node=a={peer.url}", f"--ca={cluster.ca_file}", "--user=admin"]
    assert main(["deploy", str(component), "--dry-run", "--probe", *arguments]) == 0
    assert f"node\ta\t{peer.url}\tverified TLS\t5.1.14" in capsys.readouterr().out
    wrong = [*arguments, "--node=gone=https://127.0.0.1:1/"]
    assert main(["deploy", str(component), "--dry-run", "--probe", *wrong]) == 1
    assert "node\tgone\t" in capsys.readouterr().out
    assert peer.uploads == []

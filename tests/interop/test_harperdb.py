"""The relay against a real HarperDB 4.7.29, which takes deploys as CBOR only (VER-03)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.relay.command.packing.pack import pack
from tests.interop.harperdb import PASSWORD, USER, HarperDb

RANDOM_BYTES = 24 << 20  # more than the buffers of a connection hold


@pytest.fixture(scope="module")
def component(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("component")
    root.joinpath("config.yaml").write_text("static:\n  files: 'web/**'\n")
    root.joinpath("web").mkdir()
    root.joinpath("web", "random.bin").write_bytes(os.urandom(RANDOM_BYTES))
    return root


@pytest.fixture(scope="module")
def package(component: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "package.tar.gz"
    with path.open("wb") as archive:
        pack(component, archive)
    return path


def deploy(
    harperdb: HarperDb,
    package: Path,
    fields: dict[str, object],
    *,
    password: str = PASSWORD,
    **how: Any,
) -> relay.Record:
    node = relay.Node("old", harperdb.url, mint=relay.OperationsMint(USER, password))
    request = {"operation": "deploy_component", **fields}
    report = asyncio.run(
        relay.deploy([node], request, package, tls=relay.Tls(harperdb.ca_file), **how)
    )
    return report.records[0]


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@pytest.mark.parametrize("how", ["legacy", "probe"])
def test_what_is_deployed_arrives_whole(
    harperdb: HarperDb, component: Path, package: Path, how: str
) -> None:
    events: list[relay.Event] = []
    record = deploy(
        harperdb,
        package,
        {"project": f"by-{how}"},
        ask_for_events=True,
        on_event=events.append,
        legacy=how == "legacy",
        probe=how == "probe",
    )
    assert record["status"] == "success", record
    assert record["message"] == f"Successfully deployed: by-{how}"
    arrived = harperdb.deployed(f"by-{how}") / "web" / "random.bin"
    assert digest(arrived) == digest(component / "web" / "random.bin")
    versions = [event.data["version"] for event in events if event.name == "legacy"]
    assert versions == (["4.7.29"] if how == "probe" else [])


def test_the_command_deploys(harperdb: HarperDb, component: Path, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "deploy_relay_kit.relay", "deploy", str(component), "--legacy"),
            *("--project", "by-command", "--node", f"old={harperdb.url}"),
            *("--ca", str(harperdb.ca_file), "--user", USER, "--password-file", str(password)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    arrived = harperdb.deployed("by-command") / "web" / "random.bin"
    assert digest(arrived) == digest(component / "web" / "random.bin")


def test_a_project_in_json_quotes_is_the_text_in_them(harperdb: HarperDb, package: Path) -> None:
    """As for a newer node, which decodes the field of a form (PARSE-12)."""
    record = deploy(harperdb, package, {"project": '"123"'}, legacy=True)
    assert record["message"] == "Successfully deployed: 123"


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({}, 400, "'project' is required"),
        ({"project": "a b"}, 400, "can only contain alphanumeric"),
        ({"project": "refused", "restart": "maybe"}, 400, "'restart' must be one of"),
        ({"project": "refused", "install_command": "false"}, 400, "must be a string"),
    ],
)
def test_fields_that_it_refuses(
    harperdb: HarperDb, package: Path, fields: dict[str, object], status: int, words: str
) -> None:
    record = deploy(harperdb, package, fields, legacy=True)
    assert (record["status"], record["statusCode"]) == ("failed", status), record
    assert words in str(record["reason"])
    assert not harperdb.deployed("refused").exists()


def test_a_package_that_is_none(harperdb: HarperDb, tmp_path: Path) -> None:
    nothing = tmp_path / "package.tar.gz"
    nothing.write_bytes(b"neither gzip nor tar")
    record = deploy(harperdb, nothing, {"project": "nothing"}, legacy=True)
    assert (record["reason"], record["statusCode"]) == ("Unexpected end of data", 500)


def test_a_wrong_password_costs_the_mint(harperdb: HarperDb, package: Path) -> None:
    record = deploy(harperdb, package, {"project": "never"}, legacy=True, password="wrong")
    assert (record["stage"], record["statusCode"]) == ("mint", 401)
    assert record["reason"] == "token mint failed: invalid credentials"


def test_a_wrong_token_is_refused(harperdb: HarperDb, package: Path) -> None:
    node = relay.Node("old", harperdb.url, mint=relay.GivenToken("not.a.token"))
    report = asyncio.run(
        relay.deploy(
            [node],
            {"operation": "deploy_component", "project": "never"},
            package,
            tls=relay.Tls(harperdb.ca_file),
            legacy=True,
        )
    )
    [record] = report.records
    assert (record["reason"], record["statusCode"]) == ("invalid token", 401)
    assert not harperdb.deployed("never").exists()


def test_a_form_is_refused_with_a_hint(harperdb: HarperDb, package: Path) -> None:
    record = deploy(harperdb, package, {"project": "never"})
    assert record["statusCode"] == 415
    assert "--legacy" in str(record["hint"])


def test_the_http_service_restarts(harperdb: HarperDb) -> None:
    node = relay.Node("old", harperdb.url, mint=relay.OperationsMint(USER, PASSWORD))
    report = asyncio.run(relay.restart([node], tls=relay.Tls(harperdb.ca_file)))
    assert report.succeeded, report

"""The commands and files of docs/serving.md, as they stand there."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.origin.nodes import PASSWORD, RELAY, RealNode, real_cluster
from tests.programs import skip_without

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def block(kind: str, beginning: str) -> str:
    """A block of the page."""
    blocks = [it.partition("```")[0] for it in PAGE.split(f"```{kind}\n")[1:]]
    return next(it for it in blocks if it.startswith(beginning))


def run(script: str, where: Path) -> str:
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=where, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_alone_can_deploy_and_roll_back(tmp_path: Path) -> None:
    skip_without("curl")
    with real_cluster(tmp_path / "cluster", 2) as cluster:
        node = cluster.nodes[0]
        shutil.copy(tmp_path / "cluster" / "ca.pem", tmp_path / "ca.pem")
        (tmp_path / "netrc").write_text(
            f'machine {urlsplit(node.url).hostname} login admin password "{PASSWORD}"\n'
        )
        (tmp_path / "my-component").mkdir()
        for name in ("config.yaml", "index.html"):
            (tmp_path / "my-component" / name).write_bytes(name.encode())
            script = block("sh", "tar ").replace("https://eu.example.com:9925/", node.url)
            answer = json.loads(run(script, tmp_path))
            assert [it["status"] for it in answer["replicated"]] == ["success"]
        for it in cluster.nodes:
            assert set(it.live("my-component")) == {"config.yaml", "index.html"}
        back = block("sh", "curl ").replace("https://eu.example.com:9925/", node.url)
        assert json.loads(run(back, tmp_path))["message"] == "Rolled back: my-component"
        assert set(node.live("my-component")) == {"config.yaml"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with the files of the page, for a node on this machine."""
    skip_without("openssl")
    run(block("sh", "openssl "), tmp_path)
    (tmp_path / "password").write_text(PASSWORD)
    hashed = run(f"echo '{PASSWORD}' | {RELAY} hash-password", tmp_path).strip()
    config = block("toml", "# node.toml").replace("scrypt$…", hashed)
    config = config.replace('"0.0.0.0"', '"127.0.0.1"').replace("9925", "0")
    (tmp_path / "node.toml").write_text(config)
    (tmp_path / "nodes.toml").write_text(block("toml", "# nodes.toml"))
    return tmp_path


def test_a_node_starts_with_the_files_of_the_page(home: Path) -> None:
    command = [RELAY, "serve", "--config", "node.toml"]
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            context = ssl.create_default_context(cafile=str(home / "ca.pem"))
            context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does
            context.check_hostname = False  # eu.example.com is at 127.0.0.1
            eu = RealNode("eu", home, "admin", PASSWORD, context, process, url)
            assert eu.ask({"operation": "get_components"}) == (200, {"components": []})
            assert eu.ask({"operation": "get_components"}, user="viewer")[0] == 403
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["password", "nodes.toml", "ca.pem", "eu.key", "eu.pem"])
def test_a_missing_file_is_named_before_the_first_deploy(home: Path, name: str) -> None:
    (home / name).unlink()
    command = [RELAY, "serve", "--config", str(home / "node.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert str(home / name) in done.stderr
    assert "No such file or directory" in done.stderr

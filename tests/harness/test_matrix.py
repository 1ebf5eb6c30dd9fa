"""An installed kit beside other Pythons, other releases of its dependencies, and other plugins.

What must be downloaded for it runs with RELAY_MATRIX=1 only; the rest always.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.test_installed import run, write

ROOT = Path(__file__).parents[2]
# With -OO there are no assertions: the tests raise. Each fixture is used, and a fault is shown.
PROJECT = {
    "test_it.py": """
import asyncio, json, ssl, urllib.error, urllib.request
import pytest
from deploy_relay_kit.harness import FakeCluster, mint_refused, in_turn, parse_fault


def need(condition):
    if not condition:
        raise RuntimeError("not as expected")


def mint(peer, ca_file):
    body = {"operation": "create_authentication_tokens", "username": peer.username,
            "password": peer.password}
    request = urllib.request.Request(peer.url, json.dumps(body).encode(), method="POST")
    context = ssl.create_default_context(cafile=ca_file)
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("n", range(6))
def test_the_fixtures(fake_cluster, fake_peer, n):
    fake_peer.fault = in_turn(mint_refused(), None)
    need([mint(fake_peer, fake_cluster.ca_file) for _ in range(2)] == [401, 200])
    need(fake_peer.mints[-1].username == fake_peer.username)
    need(len(fake_cluster.timelines().splitlines()) > 10)
    need(parse_fault("ResetAfter:7") is not None)


def test_in_an_event_loop(fake_cluster, fake_peer):
    async def main():
        return await asyncio.to_thread(mint, fake_peer, fake_cluster.ca_file)

    need(asyncio.run(main()) == 200)


def test_a_cluster_of_its_own(tmp_path):
    with FakeCluster(2) as cluster:
        need(mint(cluster.peers[1], cluster.ca_file) == 200)
"""
}
ASYNC = {
    "test_async.py": """
import asyncio
import pytest
from test_it import mint, need


@pytest.mark.MARK
async def test_async(fake_cluster, fake_peer):
    need(await asyncio.to_thread(mint, fake_peer, fake_cluster.ca_file) == 200)
"""
}


@pytest.mark.parametrize(
    ("arguments", "optimize"),
    [
        ("-n 2 -W error", ""),
        ("-p no:cacheprovider -p no:terminal", ""),
        ("-p no:cacheprovider", "2"),  # pytest itself warns there that it cannot assert
    ],
)
def test_the_fixtures_work_under(
    installed: Path, tmp_path: Path, arguments: str, optimize: str
) -> None:
    write(tmp_path, PROJECT)
    python = str(installed / "bin" / "python")
    command = [python, "-m", "pytest", "-p", "no:hypothesispytest", *arguments.split()]
    done = run(installed, *command, cwd=tmp_path, PYTHONOPTIMIZE=optimize)
    assert done.returncode == 0, done.stdout + done.stderr


# -- with what must be downloaded ----------------------------------------------------------------

downloads = pytest.mark.skipif(
    os.environ.get("RELAY_MATRIX") != "1", reason="RELAY_MATRIX=1 downloads other releases"
)


def environment(tmp_path: Path, python: str, *more: str, resolution: str = "highest") -> Path:
    """A new environment with the kit, made by uv."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is missing: pip install uv")
    made = tmp_path / "environment"
    subprocess.run([uv, "venv", "-q", "--python", python, str(made)], check=True)
    install = [uv, "pip", "install", "-q", "--resolution", resolution, f"{ROOT}[all]", *more]
    subprocess.run(install, check=True, env={**os.environ, "VIRTUAL_ENV": str(made)})
    return made


def pythons() -> list[str]:
    """The Pythons of `requires-python` on this machine, by their versions."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    path = os.pathsep.join([*map(str, root.glob("versions/*/bin")), os.environ["PATH"]])
    found = (shutil.which(f"python3.{minor}", path=path) for minor in range(11, 20))
    return [python for python in found if python and "/shims/" not in python]


@downloads
@pytest.mark.parametrize("resolution", ["highest", "lowest-direct"])
@pytest.mark.parametrize("python", pythons(), ids=lambda python: Path(python).name)
def test_each_python_and_the_ends_of_the_dependencies(
    tmp_path: Path, python: str, resolution: str
) -> None:
    made = environment(tmp_path, python, resolution=resolution)
    write(tmp_path, PROJECT)
    program = str(made / "bin" / "python")
    done = run(made, program, "-m", "pytest", "-q", "-W", "error", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    judged = run(made, "relay-harness", "run", "-k", "test_fanout or test_url", cwd=tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@downloads
@pytest.mark.parametrize(
    ("plugins", "arguments", "mark"),
    [
        ("pytest-asyncio", "-W error -o asyncio_default_fixture_loop_scope=function", "asyncio"),
        ("anyio", "", "anyio"),
        ("pytest-randomly", "-n 2", ""),
        ("pytest-timeout", "--timeout 60", ""),
        ("pytest-socket", "--allow-hosts=127.0.0.0/8", ""),
        ("pytest-randomly pytest-asyncio pytest-timeout pytest-socket pytest-cov", "", "asyncio"),
    ],
)
def test_beside_other_plugins(tmp_path: Path, plugins: str, arguments: str, mark: str) -> None:
    made = environment(tmp_path, sys.executable, *plugins.split())
    code = {name: text.replace("MARK", mark) for name, text in ASYNC.items()} if mark else {}
    write(tmp_path, {**PROJECT, **code})
    program = str(made / "bin" / "python")
    done = run(made, program, "-m", "pytest", "-q", *arguments.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr

"""Fuzz what a node makes of an upload, guided by the lines of its code that run.

Run by hand: `nice python -m tests.origin.fuzz_intake [--seconds 3600] [--seed N]`. It needs the
extra `fuzz`. Each input goes through the intake, the archive and the swap of a node, without a
socket. An input ends the run with its bytes in a file, if it raises anything but a refusal, leaves
something staged, an open file or a task, or changes a file outside the directory of the node.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import logging
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["deploy_relay_kit.relay.origin", "multipart"]):
    import multipart  # type: ignore[import-untyped]  # noqa: F401  ships no types

    from deploy_relay_kit.relay.origin.answers import RefusalError
    from deploy_relay_kit.relay.origin.config import Bounds, Config
    from deploy_relay_kit.relay.origin.deploy import Deploys
    from deploy_relay_kit.relay.origin.home import Home
    from deploy_relay_kit.relay.origin.others import Others
    from deploy_relay_kit.relay.origin.restarting import Restarts

from tests.origin.archives import archive, component, entry
from tests.origin.bodies import BOUNDARY, DIFFERENCES, END, LOCAL, OPERATION, PIECES, PROJECT, SAME

LIMITS = Bounds(payload_bytes=1 << 20, unpacked_bytes=4 << 20, entries=100)
LARGEST = 32_768  # bytes of an input
BEFORE = OPERATION + PROJECT + LOCAL
MODES = (b"form", b"file", b"tar", b"tar.gz")
_BLOCK = tarfile.BLOCKSIZE


def body_in(data: bytes) -> bytes:
    """The body that an input stands for: as it is, or a form around a payload.

    Checksums are set right: no fuzzer finds them.
    """
    mode, rest = MODES[data[0] % len(MODES)], data[1:]
    if mode == b"form":
        return rest
    if mode != b"file":
        rest = with_checksums(rest)
    if mode == b"tar.gz":
        rest = gzip.compress(rest, 1)
    head = 'Content-Disposition: form-data; name="payload"; filename="p"'
    return BEFORE + f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + rest + b"\r\n" + END


def with_checksums(data: bytes) -> bytes:
    """Blocks with the right checksum where a header of a tar would have one."""
    blocks = bytearray(data + bytes(-len(data) % _BLOCK))
    for start in range(0, len(blocks), _BLOCK):
        block = blocks[start : start + _BLOCK]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            blocks[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    return bytes(blocks)


class Inline(ThreadPoolExecutor):
    """Runs the work of threads at once: quicker, and the same in each run."""

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*given, **named))
        except Exception as error:  # noqa: BLE001  for who waits for it
            done.set_exception(error)
        return done


class Fuzzed:
    """A node without a socket."""

    def __init__(self, home: Path) -> None:
        self._home = home
        outside = home / "outside"
        outside.mkdir()
        (outside / "file").write_bytes(b"untouched")
        config = Config(
            name="n",
            directory=home / "node",
            certificate_file=home,  # these three belong to the socket
            key_file=home,
            token_key_file=home,
            users={},
            limits=LIMITS,
        )
        node = Home(config, lambda: Others([]))
        self._deploys = Deploys(node, Restarts(node))
        self._runner = asyncio.Runner()
        self._runner.get_loop().set_default_executor(Inline())
        self._open = 0

    def take(self, data: bytes) -> None:
        """One input, whose last bytes say in which blocks it arrives."""
        if len(data) < 2:
            return
        body, step = body_in(data[:-1]), max(1 + data[-1], len(data) // 32)
        self._check(is_deployed=self._runner.run(self._deploy(body, step)))

    async def _deploy(self, body: bytes, step: int) -> bool:
        async def blocks() -> AsyncIterator[bytes]:
            for start in range(0, len(body), step):
                yield body[start : start + step]

        _, task = self._deploys.begin(blocks(), BOUNDARY, "user", is_watched=False)
        is_deployed = False
        try:
            is_deployed = isinstance(await task, dict)
        except RefusalError as refusal:
            assert refusal.status in {400, 413}, (refusal.status, str(refusal))  # noqa: PT017
        # An iterator that is not read to its end is closed by a task.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*left), 10)
        return is_deployed

    def _check(self, *, is_deployed: bool) -> None:
        node = self._home / "node"
        assert list((node / "staging").iterdir()) == []
        assert sorted(it.name for it in self._home.iterdir()) == ["node", "outside"]
        assert [it.name for it in (self._home / "outside").iterdir()] == ["file"]
        assert (self._home / "outside" / "file").read_bytes() == b"untouched"
        open_now = len(list(Path("/proc/self/fd").iterdir()))
        self._open = self._open or open_now
        assert open_now <= self._open, "files stay open"
        for project in (node / "builds").iterdir() if is_deployed else ():
            assert len(list(project.iterdir())) <= 2, "builds pile up"
            for path in project.rglob("*"):
                assert not path.is_symlink() or path.resolve().is_relative_to(project.resolve())


def seeds() -> list[bytes]:
    """Inputs to begin with."""
    forms = [*SAME.values(), *(it.example for it in DIFFERENCES.values())]
    tars = [
        archive((entry("a/b"), b"x"), (entry("l", tarfile.SYMTYPE, "a"), b""), mode="w"),
        archive((entry("d", tarfile.DIRTYPE), b""), (entry("d/" + "n" * 200), b"x"), mode="w"),
        archive(
            (entry("h", tarfile.LNKTYPE, "a"), b""), (entry("f", tarfile.FIFOTYPE), b""), mode="w"
        ),
    ]
    made = [b"\0" + it + b"\xff" for it in forms if len(it) < LARGEST]
    made += [b"\1" + component(a=b"1") + b"\xff"]
    return made + [bytes([mode]) + it.rstrip(b"\0") + b"\xff" for it in tars for mode in (2, 3)]


def fuzz(home: Path, options: list[str]) -> None:
    """Run the fuzzer, which ends the process."""
    (home / "work").mkdir()
    words = ["".join(f"\\x{byte:02x}" for byte in it) for it in PIECES if len(it) < _BLOCK]
    (home / "words").write_text("".join(f'"{it}"\n' for it in words))
    logging.getLogger().addHandler(logging.StreamHandler())  # tracebacks of internal errors
    atheris.Setup([sys.argv[0], *options], Fuzzed(home / "work").take)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the intake of a node.")
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--seed", type=int, default=0, help="by default another one in each run")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)  # of the child
    given, options = parser.parse_known_args()
    if given.home:
        fuzz(given.home, options)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "corpus").mkdir()
        for number, seed in enumerate(seeds()):
            (home / "corpus" / str(number)).write_bytes(seed)
        values = {
            "max_total_time": given.seconds,
            "seed": given.seed,
            "max_len": LARGEST,
            "timeout": 30,  # seconds for one input
            "report_slow_units": 30,
            "rss_limit_mb": 1024,
            "dict": home / "words",
            "artifact_prefix": "intake-",
            "print_final_stats": 1,
        }
        command = [sys.executable, "-m", "tests.origin.fuzz_intake", "--home", name]
        command += [f"-{key}={value}" for key, value in values.items()]
        return subprocess.run([*command, str(home / "corpus")], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

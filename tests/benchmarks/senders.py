"""The senders that are compared: command lines, and the programs of those in Python.

A sender in Python measures itself, without the start of Python, and prints one JSON document:
`python -m tests.benchmarks.senders raw URL CA_FILE PAYLOAD PEERS`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import resource
import shutil
import socket
import ssl
import sys
import sysconfig
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from deploy_relay_kit import relay
from deploy_relay_kit.relay import formdata

FIELDS = {"operation": "deploy_component", "project": "demo", "replicated": False}
DATA = 65_528  # with its framing a chunk is 64 KiB, which is four TLS records
_NODE_SENDER = Path(__file__).with_name("node_https.mjs")


def raw(url: str, ca_file: str, payload: str, _peer: int = 0) -> None:
    """The best plain loop: one buffer, framed once, filled by `readinto`, sent by `sendall`."""
    form = formdata.encode(FIELDS)
    target = urlsplit(url)
    context = ssl.create_default_context(cafile=ca_file)
    with (
        socket.create_connection((str(target.hostname), target.port or 443)) as plain,
        context.wrap_socket(plain, server_hostname=target.hostname) as tls,
        Path(payload).open("rb", buffering=0) as file,
    ):
        head = f"POST / HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Type: {form.content_type}\r\n"
        head += "Authorization: Bearer t\r\nTransfer-Encoding: chunked\r\n\r\n"
        tls.sendall(head.encode() + b"%x\r\n%b\r\n" % (len(form.head), form.head))
        buffer = bytearray(b"%x\r\n" % DATA + bytes(DATA) + b"\r\n")
        view = memoryview(buffer)
        data = view[6:-2]
        while count := file.readinto(data):
            tls.sendall(view if count == DATA else b"%x\r\n%b\r\n" % (count, bytes(data[:count])))
        tls.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(form.tail), form.tail))
        assert tls.recv(4096).startswith(b"HTTP/1.1 200")


def httpx(url: str, ca_file: str, payload: str, _peer: int = 0) -> None:
    """What a Python program would do without a second thought."""
    import httpx as library  # noqa: PLC0415  only here, and only if it is installed

    with (
        Path(payload).open("rb") as file,
        library.Client(
            verify=ssl.create_default_context(cafile=ca_file), timeout=None, trust_env=False
        ) as client,
    ):
        files = {"payload": ("package.tar.gz", file, "application/gzip")}
        data = {name: str(value) for name, value in FIELDS.items()}
        assert client.post(url, data=data, files=files).status_code == 200


def relayed(url: str, ca_file: str, payload: str, peers: int) -> None:
    """The relay, called from Python."""
    mint = relay.GivenToken("t")
    nodes = [relay.Node(f"node-{number}", url, mint=mint) for number in range(peers)]
    request = {"operation": "deploy_component", "project": "demo"}
    tls, limits = relay.Tls(ca_file=Path(ca_file)), relay.Limits(connect=60)
    report = asyncio.run(relay.deploy(nodes, request, payload, tls=tls, limits=limits))
    assert report.succeeded, [r for r in report.records if r["status"] != "success"][:3]


def in_threads(send: Callable[[str, str, str, int], None]) -> Callable[[str, str, str, int], None]:
    """One thread for each peer."""

    def send_all(url: str, ca_file: str, payload: str, peers: int) -> None:
        with ThreadPoolExecutor(peers) as pool:
            list(pool.map(lambda peer: send(url, ca_file, payload, peer), range(peers)))

    return send_all


_IN_PYTHON: dict[str, Callable[[str, str, str, int], None]] = {
    "raw": in_threads(raw),
    "httpx": in_threads(httpx),
    "relay": relayed,
}


def commands(url: str, ca_file: Path, payload: Path, peers: int) -> dict[str, list[str]]:
    """The command line of each sender that this machine has."""
    target = (url, str(ca_file), str(payload), str(peers))
    module = (sys.executable, "-m", "tests.benchmarks.senders")
    found = {"raw loop": [*module, "raw", *target]}
    if shutil.which("curl"):
        form = ["operation=deploy_component", "project=demo", "replicated=false"]
        fields = [part for text in form for part in ("-F", text)]
        file = ["-F", f"payload=@{payload};type=application/gzip"]
        options = ["-sSf", "--noproxy", "*", "-H", "Expect:", "-H", "Authorization: Bearer t"]
        curl = ["curl", *options, "--cacert", str(ca_file), *fields, *file, url]
        side_by_side = f'seq {peers} | xargs -P {peers} -I + "$@"'
        found["curl"] = curl if peers == 1 else ["sh", "-c", side_by_side, "sh", *curl]
    if shutil.which("node"):
        found["Node https"] = ["node", str(_NODE_SENDER), *target]
    if importlib.util.find_spec("httpx"):
        found["httpx"] = [*module, "httpx", *target]
    found["relay"] = [*module, "relay", *target]
    token = payload.with_name("token")
    token.touch(0o600)
    token.write_text("t")
    nodes = [part for peer in range(peers) for part in ("--node", f"node-{peer}={url}{peer}/")]
    options = ["--project", "demo", "--token-file", str(token), "--ca", str(ca_file), "-q"]
    command = Path(sysconfig.get_path("scripts"), "relay")
    found["`relay deploy`"] = [str(command), "deploy", str(payload), *nodes, *options]
    return found


def main() -> None:
    name, url, ca_file, payload, peers = sys.argv[1:]
    ssl.create_default_context()  # what is loaded once per process is no cost of a deploy
    before, start = _usage(), time.perf_counter()
    _IN_PYTHON[name](url, ca_file, payload, int(peers))
    seconds, after = time.perf_counter() - start, _usage()
    print(json.dumps({"seconds": seconds, "cpu": after[0] - before[0], "peak_mib": after[1]}))


def _usage() -> tuple[float, float]:
    """CPU seconds, and the peak of the largest process in MiB, with the processes it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return sum(u.ru_utime + u.ru_stime for u in used), max(u.ru_maxrss for u in used) / unit


if __name__ == "__main__":
    main()

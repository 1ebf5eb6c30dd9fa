"""The senders that are compared, each in a process of its own; prints what one run took as JSON.

Run by `relay_speed.py`: `python -m tests.benchmarks.senders raw URL CA_FILE PAYLOAD [PEERS]`.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from deploy_relay_kit import relay
from deploy_relay_kit.relay import formdata

FIELDS = {"operation": "deploy_component", "project": "demo", "replicated": False}
DATA = 65_528  # with its framing a chunk is 64 KiB, which is four TLS records


def raw(url: str, ca_file: str, payload: str, _peers: int) -> None:
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


def relayed(url: str, ca_file: str, payload: str, peers: int) -> None:
    """The relay under test."""
    mint = relay.GivenToken("t")
    nodes = [relay.Node(f"node-{number}", url, mint=mint) for number in range(peers)]
    request = {"operation": "deploy_component", "project": "demo"}
    tls, limits = relay.Tls(ca_file=Path(ca_file)), relay.Limits(connect=60)
    report = asyncio.run(relay.deploy(nodes, request, payload, tls=tls, limits=limits))
    assert report.succeeded, [r for r in report.records if r["status"] != "success"][:3]


def httpx(url: str, ca_file: str, payload: str, _peers: int) -> None:
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


SENDERS: dict[str, Callable[[str, str, str, int], None]] = {
    "raw": raw,
    "relay": relayed,
    "httpx": httpx,
}


def main() -> None:
    name, url, ca_file, payload, *peers = sys.argv[1:]
    if name == "relay":
        ssl.create_default_context()  # what is loaded once per process is no cost of a deploy
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    SENDERS[name](url, ca_file, payload, int(peers[0]) if peers else 1)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    took = {
        "seconds": seconds,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "grew_mib": (after.ru_maxrss - before.ru_maxrss) / unit,
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main()

"""Answers with a content coding, which the relay did not ask for: nothing is inflated."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.kinds import Fault, MintAnswer
from tests.relay.driving import deploy

CODED = "the answer has the content coding {}, which the relay did not ask for"
BOMB = gzip.compress(bytes(50_000_000))


def coded(status: int, coding: str = "gzip", body: bytes = BOMB, kind: str = "") -> Answer:
    headers = {"Content-Encoding": coding, **({"Content-Type": kind} if kind else {})}
    return Answer(status, body=body, headers=headers)


@pytest.mark.parametrize(
    ("fault", "record"),
    [
        (coded(200), {"status": "success", "message": CODED.format("'gzip'")}),
        (coded(400), {"reason": CODED.format("'gzip'"), "statusCode": 400}),
        (coded(500, "br", b"\0\xff"), {"reason": CODED.format("'br'"), "statusCode": 500}),
        (coded(400, "a b"), {"reason": CODED.format("of no known name"), "statusCode": 400}),
        (coded(400, "identity", b'{"error":"no"}'), {"reason": "no", "statusCode": 400}),
        (
            coded(200, kind="text/event-stream"),
            {"reason": CODED.format("'gzip'"), "uncertain": True},
        ),
        (
            MintAnswer(coded(200)),
            {"reason": "token mint failed: peer did not return an operation_token"},
        ),
        (
            MintAnswer(coded(401, body=gzip.compress(json.dumps({"error": "no"}).encode()))),
            {"reason": f"token mint failed: {CODED.format(repr('gzip'))}", "statusCode": 401},
        ),
    ],
)
def test_a_record_names_the_coding(
    cluster: FakeCluster, package: Path, fault: Fault, record: dict[str, object]
) -> None:
    cluster.peer(fault=fault)
    (found,) = deploy(cluster, package).records
    assert {name: found.get(name) for name in record} == record

"""The pytest plugin as its users run it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.peer import FakePeer

pytest_plugins = ["pytester"]

TESTS = """
import enum, http.client, ssl
import pytest
from deploy_relay_kit.harness.faults import kinds as faults

def get(peer):
    context = ssl.create_default_context(cadata=peer_authority.pem.decode())
    connection = http.client.HTTPSConnection(peer.http.host, peer.http.port, context=context)
    connection.request("POST", "/secret-free", headers={"Authorization": "Bearer very-secret"})
    status = connection.getresponse().status
    connection.close()
    return status

@pytest.fixture(autouse=True)
def authority(relay_authority):
    global peer_authority
    peer_authority = relay_authority

def test_healthy(fake_peer):
    assert get(fake_peer) == 404

def test_failing(fake_cluster):
    peer = fake_cluster.peer("the-failing-node")
    assert get(peer) == 200

@pytest.fixture
def prepared(fake_cluster):
    assert get(fake_cluster.peer("the-node-of-a-fixture")) == 200

def test_prepared(prepared):
    pass

class Level(enum.Enum):
    ONE = 1

class Refused(Exception):
    verdict = Level.ONE

@pytest.mark.xfail(raises=Refused)
@pytest.mark.requirement(Level.ONE)
def test_that_uses_none_of_it():
    raise Refused

@pytest.mark.parametrize("n", range(2))
def test_more(fake_cluster, n):
    peers = [fake_cluster.peer() for _ in range(n)]
    assert [get(peer) for peer in peers] == [404] * n
"""


OWN_OPTION = """
def pytest_addoption(parser):
    parser.addoption("--relay")

def pytest_configure(config):
    config.addinivalue_line("markers", "requirement(level): means something else here")
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_failing_test_shows_what_the_peers_saw(pytester: pytest.Pytester, workers: str) -> None:
    """In a project that uses the words of the cases for something else, which is not touched."""
    pytester.makepyfile(TESTS)
    pytester.makeconftest(OWN_OPTION)
    result = pytester.runpytest_subprocess("-n", workers, "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=3, failed=1, errors=1, xfailed=1)
    output = result.stdout.str()
    assert output.count("what the nodes saw") == 2
    assert "the-failing-node https://127." in output
    assert "the-node-of-a-fixture https://127." in output
    assert "request head: POST /secret-free" in output
    assert "very-secret" not in output.partition("what the nodes saw")[2]


OWN_CLUSTERS = """
import http.client, ssl
import pytest
from deploy_relay_kit.harness import FakeCluster

def get(cluster, path):
    peer = cluster.peers[0]
    context = ssl.create_default_context(cafile=cluster.ca_file)
    connection = http.client.HTTPSConnection(peer.http.host, peer.http.port, context=context)
    connection.request("POST", path)
    status = connection.getresponse().status
    connection.close()
    return status

@pytest.fixture(scope="module")
def shared():
    with FakeCluster(1) as cluster:
        yield cluster

def test_first(shared):
    assert get(shared, "/of-the-first") == 404
    shared.peers[0].settle()

def test_of_the_scope(shared):
    assert get(shared, "/of-the-second") == 200

def helper():
    with FakeCluster(1) as cluster:
        return get(cluster, "/of-a-helper")

def test_of_its_own():
    assert helper() == 200
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_cluster_of_the_tests_own_is_in_the_report(
    pytester: pytest.Pytester, workers: str
) -> None:
    """Of any scope, also one that is gone by then; in the terminal and in a JUnit file."""
    pytester.makepyfile(OWN_CLUSTERS)
    arguments = ["-n", workers, "-p", "no:hypothesispytest", "--junitxml=junit.xml"]
    result = pytester.runpytest_subprocess(*arguments)
    result.assert_outcomes(passed=1, failed=2)
    cases = ET.parse(pytester.path / "junit.xml").iter("testcase")
    failures = {case.get("name"): case.findtext("failure") or "" for case in cases}
    assert failures["test_first"] == ""
    of_scope, own = failures["test_of_the_scope"], failures["test_of_its_own"]
    for text in (of_scope, own):
        assert "what the nodes saw" in text
        assert "the request was POST /of-" in text
        assert all(line in result.stdout.str() for line in text.splitlines()[-5:])
    assert "/of-the-second" in of_scope
    assert "/of-the-first" not in of_scope.partition("what the nodes saw")[2]
    assert "/of-a-helper" in own


def test_the_fixtures_serve_a_test(fake_cluster: FakeCluster, fake_peer: FakePeer) -> None:
    assert fake_cluster.peers == [fake_peer]
    assert "nobody connected" in fake_cluster.timelines()

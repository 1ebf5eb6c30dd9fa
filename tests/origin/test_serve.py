"""One deploy to a real cluster: what each node holds, and what the origin answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from tests.origin.archives import archive, bomb, component, entry
from tests.origin.nodes import (
    BOUNDARY,
    FILES,
    FORM,
    PASSWORD,
    RealCluster,
    basic,
    form,
    raw,
    real_cluster,
    wait_for,
)

# -- a deploy to all ---------------------------------------------------------------------------


def test_every_node_holds_the_same_files(cluster: RealCluster, project: str) -> None:
    origin, *others = cluster.nodes
    status, answer = origin.deploy(component(**FILES), project=project, replicated=True)
    assert status == 200, answer
    assert answer["message"] == f"Successfully deployed: {project}"
    assert [(it["node"], it["status"]) for it in answer["replicated"]] == [
        ("n2", "success"),
        ("n3", "success"),
    ]
    assert {it["payload_hash"] for it in answer["replicated"]} == {answer["payload_hash"]}
    for node in cluster.nodes:
        assert node.live(project) == FILES
        assert node.staged() == []
    # Nobody fans out again: a node that did would have records, and a second build.
    assert [it for it in answer["replicated"] if "replicated" in it] == []
    for node in cluster.nodes:
        assert len(list((node.home / "data" / "builds" / project).iterdir())) == 1
    assert others


@pytest.mark.parametrize("replicated", ["False", "0", "no", "", " false"])
def test_only_false_keeps_a_deploy_on_its_node(
    cluster: RealCluster, project: str, replicated: str
) -> None:
    status, answer = cluster.nodes[0].deploy(
        component(**FILES), project=project, replicated=replicated
    )
    assert status == 200, answer
    assert [it["node"] for it in answer["replicated"]] == ["n2", "n3"]


def test_false_keeps_a_deploy_on_its_node(cluster: RealCluster, project: str) -> None:
    status, answer = cluster.nodes[1].deploy(component(**FILES), project=project)
    assert status == 200, answer
    assert "replicated" not in answer
    assert [bool(node.live(project)) for node in cluster.nodes] == [False, True, False]


def test_a_second_build_replaces_the_first_and_can_be_rolled_back(
    cluster: RealCluster, project: str
) -> None:
    node = cluster.nodes[0]
    for number in (b"1", b"2"):
        assert node.deploy(component(version=number), project=project)[0] == 200
    assert node.live(project) == {"version": b"2"}
    rollback = {"operation": "rollback_component", "project": project}
    status, answer = node.ask(rollback)
    assert (status, answer["message"]) == (200, f"Rolled back: {project}")
    assert node.row(answer["deployment_id"])["live"]
    assert node.live(project) == {"version": b"1"}
    assert node.ask({**rollback, "project": "never"})[0] == 404


def test_a_node_without_others_says_so(tmp_path: Path) -> None:
    with real_cluster(tmp_path, 1) as alone:
        status, answer = alone.nodes[0].deploy(component(**FILES), replicated=True)
    assert (status, answer["replicated"]) == (200, [])
    assert "replicated to none" in answer["message"]


def test_a_node_leaves_itself_out_under_all_its_names(tmp_path: Path) -> None:
    with real_cluster(tmp_path) as cluster:
        origin = cluster.start("n1", 'aliases = ["old-name"]')
        cluster.start("n2")
        cluster.publish()
        rows = (tmp_path / "nodes.toml").read_text()
        rows += f'[[node]]\nname = "old-name"\nurl = "{origin.url}"\n'
        (tmp_path / "nodes.toml").write_text(rows)
        status, answer = origin.deploy(component(**FILES), replicated=True)
        assert status == 200, answer
        assert [it["node"] for it in answer["replicated"]] == ["n2"]


# -- a node that fails -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """A cluster whose second node is gone."""
    with real_cluster(tmp_path_factory.mktemp("broken"), 3) as cluster:
        cluster.nodes[1].stop()
        yield cluster


def test_a_failed_node_fails_the_deploy_and_no_other_node(
    broken: RealCluster, project: str
) -> None:
    origin, _, third = broken.nodes
    status, answer = origin.deploy(component(**FILES), project=project, replicated=True)
    assert status == 500
    assert [it["status"] for it in answer["replicated"]] == ["failed", "success"]
    reason = answer["replicated"][0]["reason"]
    assert answer["failed_peers"] == [{"node": "n2", "error": reason}]
    assert answer["error"].startswith("deployed here, but 1 of 2 nodes failed: n2 (")
    assert origin.live(project) == third.live(project) == FILES


def test_failed_nodes_can_be_ignored(broken: RealCluster, project: str) -> None:
    status, answer = broken.nodes[0].deploy(
        component(**FILES), project=project, replicated=True, ignore_replication_errors=True
    )
    assert status == 200
    assert [it["status"] for it in answer["replicated"]] == ["failed", "success"]
    assert "failed_peers" not in answer


def test_a_failed_restart_keeps_the_records(tmp_path: Path) -> None:
    with real_cluster(tmp_path) as cluster:
        origin = cluster.start("n1", 'restart = ["sh", "-c", "echo broken unit; exit 3"]')
        cluster.start("n2", 'restart = ["true"]')
        cluster.publish()
        status, answer = origin.deploy(component(**FILES), replicated=True, restart=True)
        assert status == 500
        assert [(it["node"], it["status"]) for it in answer["replicated"]] == [("n2", "success")]
        assert answer["error"].startswith("deployed here, but not restarted: command 'sh' failed")
        assert answer["install_output"]["lines"][-1]["line"] == "broken unit"
        assert answer["phase"] == "restart"
        assert origin.live() == cluster.nodes[1].live() == FILES


def test_a_failed_command_keeps_the_old_build_on_all_nodes(tmp_path: Path) -> None:
    check = """on_deploy = ["sh", "-c", "echo looking; test ! -e bad"]"""
    with real_cluster(tmp_path) as cluster:
        origin = cluster.start("n1", check)
        cluster.start("n2", check)
        cluster.publish()
        assert origin.deploy(component(version=b"1"), replicated=True)[0] == 200
        status, answer = origin.deploy(component(version=b"2", bad=b""), replicated=True)
        assert (status, answer["phase"]) == (500, "prepare")
        assert [it["line"] for it in answer["install_output"]["lines"]] == ["looking"]
        assert "replicated" not in answer
        for node in cluster.nodes:
            assert node.live() == {"version": b"1"}
            assert node.staged() == []


# -- events ------------------------------------------------------------------------------------


def test_events_tell_a_deploy_in_order(cluster: RealCluster, project: str) -> None:
    events = cluster.nodes[0].events(component(**FILES), project=project, replicated=True)
    own = [(name, data) for name, data in events if name != "replicate"]
    phases = [(it["phase"], it["status"]) for name, it in own if name == "phase"]
    assert phases == [
        ("prepare", "start"),
        ("prepare", "done"),
        ("replicate", "start"),
        ("replicate", "done"),
        ("success", "done"),
    ]
    names = [name for name, _ in own]
    assert names == ["phase"] * 3 + ["peer"] * 2 + ["phase"] * 2 + ["done"]
    result = own[-1][1]["result"]
    peers = {data["node"]: data for name, data in own if name == "peer"}
    assert {it["node"]: it for it in result["replicated"]} == peers
    theirs = [data for name, data in events if name == "replicate"]
    for node in ("n2", "n3"):  # SSE-19: the peers' own events, with their node
        seen = [(it["event"], it["data"]) for it in theirs if it["node"] == node]
        assert seen[0] == ("mint", {})
        assert ("phase", {"phase": "success", "status": "done"}) in seen


def test_lines_of_a_command_are_events(tmp_path: Path) -> None:
    command = r"""on_deploy = ["sh", "-c", "printf 'one\\r\\ntw\\303\\266\\nend'"]"""
    with real_cluster(tmp_path) as cluster:
        events = cluster.start("n1", command).events(component(**FILES))
    lines = [data for name, data in events if name == "install"]
    assert [it["line"] for it in lines] == ["one", "twö", "end"]
    assert {(it["manager"], it["stream"]) for it in lines} == {("sh", "stdout")}


def test_a_failure_is_one_event(cluster: RealCluster, project: str) -> None:
    events = cluster.nodes[0].events(b"no archive", project=project)
    assert [name for name, _ in events] == ["phase", "error"]
    error = events[-1][1]
    assert (error["code"], error["phase"]) == (400, "prepare")
    assert "no valid archive" in error["message"]
    events = cluster.nodes[0].events(component(**FILES), project="a b")
    assert [(name, data["code"]) for name, data in events] == [("error", 400)]


def test_events_begin_before_the_upload_ends_and_a_client_may_go(
    cluster: RealCluster, project: str
) -> None:
    node = cluster.nodes[0]
    whole = form({"operation": "deploy_component", "project": project}, component(**FILES))
    with raw(node, whole[:-100], len(whole), accept="text/event-stream") as connection:
        head = connection.recv(65_536)
        assert b"200 OK" in head
        while b": stream open\n\n" not in head:
            head += connection.recv(65_536)
        connection.sendall(whole[-100:])
        while b"prepare" not in head:  # the node has the whole upload
            head += connection.recv(65_536)
    # The client is gone; the deploy goes on, to every node.
    wait_for(lambda: all(it.live(project) == FILES for it in cluster.nodes))


# -- who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({"Authorization": ""}, 401, "Must login"),
        (basic("admin", "wrong"), 401, "Login failed"),
        (basic("nobody"), 401, "Login failed"),
        ({"Authorization": "Basic %%%"}, 401, "Login failed"),
        ({"Authorization": "Bearer "}, 401, "invalid token"),
        ({"Authorization": "Bearer a.b.c"}, 401, "invalid token"),
        ({"Authorization": "Digest x"}, 401, "Must login"),
        (basic("guest"), 403, "user 'guest' may not use this operation"),
    ],
)
def test_a_deploy_needs_a_super_user(
    cluster: RealCluster, project: str, headers: dict[str, str], status: int, error: str
) -> None:
    node = cluster.nodes[0]
    body = form({"operation": "deploy_component", "project": project}, component(**FILES))
    assert node.ask(body, {**FORM, **headers}) == (status, {"error": error})
    assert node.live(project) == {}


def test_tokens(cluster: RealCluster) -> None:
    one, two, _ = cluster.nodes
    login = {"operation": "create_authentication_tokens", "username": "admin"}
    status, tokens = one.ask({**login, "password": PASSWORD}, {"Authorization": ""})
    assert status == 200, tokens
    ask = {"operation": "registration_info"}
    bearer = {"Authorization": f"Bearer {tokens['operation_token']}"}
    assert two.ask(ask, bearer)[0] == 200, "the nodes of a cluster share their key (MINT-10)"
    refresh = {"Authorization": f"Bearer {tokens['refresh_token']}"}
    assert two.ask(ask, refresh)[0] == 401
    for subject in ("operation", "refresh"):
        claims = jwt.decode(tokens[f"{subject}_token"], options={"verify_signature": False})
        assert {"username": "admin", "super_user": True, "sub": subject}.items() <= claims.items()
    status, renewed = two.ask({"operation": "refresh_operation_token"}, refresh)
    assert (status, set(renewed)) == (200, {"operation_token"}), "MINT-15"
    assert two.ask({"operation": "refresh_operation_token"}, bearer)[0] == 401
    again = {"operation": "refresh_operation_token", "refresh_token": tokens["refresh_token"]}
    status, renewed = two.ask(again, {"Authorization": ""})
    assert status == 200, renewed
    for password in ("wrong", "", None, 7, "\ud800", ["x"]):
        wrong = {**login, "password": password}
        status, answer = one.ask(wrong, {"Authorization": ""})
        assert (status, answer) == (401, {"error": "invalid credentials"})
    for expires_in in (0, -1, "soon", 1e9, True):
        status, _ = one.ask({**login, "password": PASSWORD, "expires_in": expires_in})
        assert status == 400


def test_a_stranger_may_send_little(cluster: RealCluster) -> None:
    body = json.dumps({"operation": "registration_info", "pad": "x" * 20_000}).encode()
    status, answer = cluster.nodes[0].ask(body, {"Authorization": ""})
    assert (status, answer) == (413, {"error": "the request is too large"})


# -- uploads that are refused --------------------------------------------------------------------


BOMB = b"stands for an archive that takes a second to make"
REFUSED: list[tuple[dict[str, object], bytes | None, str, tuple[int, str]]] = [
    ({"operation": "drop_database"}, b"x", "payload", (400, "takes no payload")),
    ({"operation": None}, b"x", "payload", (400, "must include an 'operation'")),
    ({"project": "a b"}, b"x", "payload", (400, "can only contain")),
    ({"project": "../.."}, b"x", "payload", (400, "can only contain")),
    ({"restart": True}, b"x", "payload", (400, "no restart command")),
    ({"package": "npm:x"}, b"x", "payload", (400, "'package' is not supported")),
    ({"__proto__": {"bypass_auth": True}}, b"x", "payload", (400, '"__proto__" is not allowed')),
    ({"note": "x" * 1_048_577}, b"x", "payload", (413, "larger than 1048576 bytes")),
    ({f"f{it}": "x" for it in range(64)}, b"x", "payload", (413, "more than 64 fields")),
    ({}, b"x", "file", (400, 'Unexpected file field "file"')),
    ({}, None, "payload", (400, "Either payload or package")),
    ({}, b"", "payload", (400, "the payload is empty")),
    ({}, b"no tar", "payload", (400, "no valid archive")),
    ({}, component(**FILES)[:-9], "payload", (400, "no valid archive")),
    ({}, archive((entry("../evil"), b"x")), "payload", (400, "leaves the component")),
    ({}, BOMB, "payload", (413, "unpacks to more than")),
]


@pytest.mark.parametrize(
    ("fields", "payload", "name", "expected"), REFUSED, ids=[it[3][1] for it in REFUSED]
)
def test_a_refused_deploy_leaves_nothing(  # noqa: PLR0917
    cluster: RealCluster,
    project: str,
    fields: dict[str, object],
    payload: bytes | None,
    name: str,
    expected: tuple[int, str],
) -> None:
    node = cluster.nodes[0]
    texts = {"operation": "deploy_component", "project": project, "replicated": False, **fields}
    texts = {key: value for key, value in texts.items() if value is not None}
    sent = bomb(100_000_000) if payload is BOMB else payload
    status, answer = node.ask(form(texts, sent, name), FORM)
    assert status == expected[0], answer
    assert expected[1] in answer["error"]
    assert node.staged() == []
    assert node.live(project) == {}
    assert node.live("evil") == {}


def test_a_member_that_names_a_staged_file_means_nothing(
    cluster: RealCluster, project: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.tar.gz"
    secret.write_bytes(component(stolen=b"x"))
    status, answer = cluster.nodes[0].deploy(
        component(**FILES), project=project, replicated=True, _stagedPayloadPath=str(secret)
    )
    assert status == 200, answer
    for node in cluster.nodes:
        assert node.live(project) == FILES


def test_a_payload_above_the_limit_is_refused_while_it_arrives(tmp_path: Path) -> None:
    with real_cluster(tmp_path) as cluster:
        node = cluster.start("n1", "limits = { payload_bytes = 100_000 }")
        status, answer = node.deploy(bytes(100_001))
        assert (status, answer["error"]) == (413, "the payload is larger than 100000 bytes")
        assert node.staged() == []


def test_a_small_refused_body_leaves_the_connection_usable(cluster: RealCluster) -> None:
    node = cluster.nodes[0]
    connection = node.connect()
    body = form({"operation": "nope"}, bytes(1_000))
    for _ in range(2):
        connection.request("POST", "/", body, {**FORM, **basic("admin")})
        answer = connection.getresponse()
        assert (answer.status, b"takes no payload" in answer.read()) == (400, True)
    connection.close()


def test_a_large_refused_body_is_not_awaited(cluster: RealCluster) -> None:
    """The answer comes at once; the connection ends although the body never does."""
    node = cluster.nodes[0]
    body = form({"operation": "nope"}, bytes(1_000))
    with raw(node, body[:-500], 1 << 40) as connection:
        received = b""
        while block := connection.recv(65_536):
            received += block
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b'takes no payload"}')


def test_a_deploy_refused_in_events_is_not_awaited(cluster: RealCluster) -> None:
    """EARLY-07: the error is an event of an answer 200, and the connection ends after it."""
    body = form({"operation": "deploy_component", "project": "a b"}, bytes(1_000))
    with raw(cluster.nodes[0], body[:-500], 1 << 40, accept="text/event-stream") as connection:
        received = b""
        while block := connection.recv(65_536):
            received += block
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.count(b"event: error\ndata: ") == 1


@pytest.mark.parametrize("cut", [0.01, 0.5, 0.999])
def test_an_aborted_upload_leaves_nothing(cluster: RealCluster, project: str, cut: float) -> None:
    node = cluster.nodes[0]
    texts = {"operation": "deploy_component", "project": project}
    whole = form(texts, archive((entry("blob"), bytes(range(256)) * 2_000), mode="w"))
    connection = raw(node, whole[: int(len(whole) * cut)], len(whole))
    wait_for(node.staged)
    connection.close()
    wait_for(lambda: not node.staged())
    assert node.live(project) == {}


def test_a_cut_form_is_no_deploy(cluster: RealCluster, project: str) -> None:
    """PARSE-22: the body ends well for HTTP, but without its closing boundary."""
    node = cluster.nodes[0]
    texts = {"operation": "deploy_component", "project": project, "replicated": False}
    whole = form(texts, component(**FILES)).removesuffix(f"\r\n--{BOUNDARY}--\r\n".encode())
    assert node.ask(whole, FORM)[0] == 400
    assert (node.live(project), node.staged()) == ({}, [])

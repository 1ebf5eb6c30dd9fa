"""Two nodes that deploy one project to each other at the same time (BUG-42)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.origin.archives import component
from tests.origin.gates import Gate
from tests.origin.nodes import RealCluster, real_cluster, wait_for


def test_two_origins_end_in_one_build_or_say_that_they_did_not(
    cluster: RealCluster, project: str
) -> None:
    one, two, _ = cluster.nodes
    builds = [{"version": b"%d" % it, "blob": bytes([it]) * 400_000} for it in (1, 2)]
    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            answers = list(
                pool.map(
                    lambda of: of[0].deploy(component(**of[1]), project=project, replicated=True),
                    zip((one, two), builds, strict=True),
                )
            )
        for node in cluster.nodes:  # never a mixture
            assert node.live(project) in builds
        if len({it.live(project)["version"] for it in cluster.nodes}) > 1:
            assert 500 in [status for status, _ in answers]


def test_an_origin_whose_build_is_replaced_during_its_fan_out_says_so(tmp_path: Path) -> None:
    """n2 holds back n1's deploy; meanwhile n2's own deploy reaches n1."""
    gate, began = tmp_path / "gate", tmp_path / "began"
    wait = f"while test ! -e {gate}; do sleep 0.02; done"
    script = f"grep -q slow kind || exit 0; touch {began}; {wait}"
    with real_cluster(tmp_path / "cluster") as cluster:
        one = cluster.start("n1")
        two = cluster.start("n2", f"""on_deploy = ["sh", "-c", "{script}"]""")
        cluster.publish()
        with ThreadPoolExecutor(2) as pool:
            slow = pool.submit(one.deploy, component(kind=b"slow"), replicated=True)
            wait_for(began.exists)  # n1 has its build, n2 is at work on it
            other = pool.submit(two.deploy, component(kind=b"quick"), replicated=True)
            wait_for(lambda: [it["status"] for it in two.rows()] == ["pending", "installing"])
            direct = one.deploy(component(kind=b"direct"))
            gate.touch()
            status, answer = slow.result()
            assert other.result()[0] == 200, "the fan-out of n1 had ended"
        assert direct[0] == 200
        assert status == 500
        assert "may hold another build: this node (another deploy reached it)" in answer["error"]
        assert one.live() == two.live() == {"kind": b"quick"}


def test_nodes_that_differ_behind_the_back_of_both_origins_are_found(tmp_path: Path) -> None:
    """n3 gets the deploys in the other order than n1 and n2, and neither origin is overtaken.

    n1's deploy passes n2, n2's own replaces it and passes n3, then n1's comes to n3, and n1 ends
    before n2's comes to n1.
    """
    with real_cluster(tmp_path, 3) as cluster:
        one, two, three = cluster.nodes
        gates = [Gate(three.url), Gate(one.url)]
        nodes_file = tmp_path / "nodes.toml"
        rows = nodes_file.read_text()
        try:
            with ThreadPoolExecutor(2) as pool:
                nodes_file.write_text(rows.replace(three.url, gates[0].url))
                first = pool.submit(one.deploy, component(version=b"1"), replicated=True)
                wait_for(lambda: two.live() == {"version": b"1"})
                nodes_file.write_text(rows.replace(one.url, gates[1].url))
                second = pool.submit(two.deploy, component(version=b"2"), replicated=True)
                wait_for(lambda: three.live() == {"version": b"2"})
                gates[0].open()
                assert first.result()[0] == 200, "it was the last on each node"
                gates[1].open()
                status, answer = second.result()
        finally:
            for gate in gates:
                gate.close()
        assert [it.live()["version"] for it in cluster.nodes] == [b"2", b"2", b"1"]
        assert status == 500
        assert "may hold another build: n3 (another deploy reached it)" in answer["error"]
        assert two.row(answer["deployment_id"])["status"] == "failed"
        nodes_file.write_text(rows)
        # The next deploy brings the nodes together, and finds nothing.
        status, answer = two.deploy(component(version=b"3"), replicated=True)
        assert status == 200, answer
        assert [it.live()["version"] for it in cluster.nodes] == [b"3"] * 3

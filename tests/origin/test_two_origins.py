"""Two nodes that deploy one project to each other at the same time (BUG-42)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.origin.archives import component
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
        if one.live(project) != two.live(project):
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
        assert "another deploy reached this node meanwhile" in answer["error"]
        assert one.live() == two.live() == {"kind": b"quick"}

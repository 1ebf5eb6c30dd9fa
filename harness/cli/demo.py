"""A first look: a real relay of the sample component to four TLS nodes, one of which fails."""

import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy_relay_kit.harness.cli.output import say
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.kinds import ReadSlowly
from deploy_relay_kit.harness.judge.shipped_paths import sample_component
from deploy_relay_kit.harness.peer.options import PeerOptions
from deploy_relay_kit.harness.peer.payloads import stage_payload

_ASSET_SIZE = 16_000_000
_RATES = (24e6, 16e6, 12e6)  # bytes per second, so that the bars move at different speeds
_PASSWORD = "only-for-the-demo"  # noqa: S105 - the fake cluster's own


def demo() -> int:
    """Start the cluster, run `relay deploy` against it, return 0 when all went as announced."""
    with FakeCluster() as cluster, tempfile.TemporaryDirectory(prefix="relay-demo-") as directory:
        component = Path(directory) / "component"
        shutil.copytree(sample_component(), component)
        stage_payload(component / "web" / "film.bin", _ASSET_SIZE)
        password_file = Path(directory) / "password"
        password_file.touch(0o600)
        password_file.write_text(_PASSWORD)
        who: PeerOptions = {"username": "admin", "password": _PASSWORD}
        for rate in _RATES:
            cluster.peer(fault=ReadSlowly(int(rate)), **who)
        cluster.peer(fault=Answer.error(500, "ENOSPC: no space left on device"), **who)
        command = ["deploy", str(component), "--project", "demo"]
        for peer in cluster.peers:
            command += ["--node", f"{peer.name}={peer.url}"]
        command += ["--user", "admin", "--password-file", str(password_file)]
        command += ["--ca", str(cluster.ca_file)]
        say(["A fake cluster of four nodes is up; node-4 has run out of disk space.\n"])
        say([f"$ relay {shlex.join(command)}"])
        # -P: import nothing from the working directory.
        started = [sys.executable, "-P", "-m", "deploy_relay_kit.relay", *command]
        code = subprocess.run(started, check=False).returncode  # noqa: S603 - our own command
        say([f"\nexit code {code}; what the nodes saw:"])
        for peer in cluster.peers:
            file = peer.upload.file
            seen = f"{file.length:,} bytes, SHA-256 {file.sha256[:16]}…" if file else "no file"
            say([f"  {peer.name}: {seen}, {len(peer.upload.findings)} findings"])
        answers = [peer.upload.answer_status for peer in cluster.peers]
    return 0 if (code, answers) == (1, [200, 200, 200, 500]) else 1

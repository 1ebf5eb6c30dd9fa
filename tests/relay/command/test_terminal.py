"""Output and input at a terminal."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.events import EventStream
from deploy_relay_kit.harness.faults.kinds import ReadSlowly
from tests.relay.command.calling import PASSWORD, Terminal, command, peer_of

ENVIRONMENT = {**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD}


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_bars_show_rate_and_phase(cluster: FakeCluster, component: Path, kind: str) -> None:
    peer_of(cluster, "a", fault=EventStream())
    peer_of(cluster, "b", fault=Answer.error(500, "boom"))
    terminal = Terminal(command(cluster, component), {**ENVIRONMENT, "TERM": kind})
    assert terminal.end() == 1
    assert "Successfully deployed: demo" in terminal.shown
    assert "boom" in terminal.shown
    assert "relay: 2 of 2 done, 1 failed, 0:" in terminal.shown
    assert "bytes" in terminal.shown
    assert ("b: sending" in terminal.shown) is (kind == "dumb")  # lines, where no bar can move


def test_an_interrupt_shows_the_cursor_again_and_leaves_no_package(
    cluster: FakeCluster, component: Path, tmp_path: Path
) -> None:
    peer = peer_of(cluster, "a", fault=ReadSlowly(5_000_000))
    (component / "large").write_bytes(os.urandom(12_000_000))
    (tmp_path / "tmp").mkdir()
    environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path / "tmp")}
    terminal = Terminal(command(cluster, component), environment)
    peer.wait_until(lambda peer: bool(peer.live_uploads), timeout=30)
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == 143
    hidden, _, shown_again = terminal.shown.rpartition("\x1b[?25l")
    assert hidden or shown_again
    assert "\x1b[?25h" in shown_again
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_narrow_and_low_terminal_shows_what_matters(
    cluster: FakeCluster, component: Path
) -> None:
    """Twelve nodes on ten rows, then on five; one is slow, one has failed."""
    for number in range(10):
        peer_of(cluster, f"quick-{number}")
    slow = peer_of(cluster, "slow", fault=ReadSlowly(10_000))
    peer_of(cluster, "bad", fault=Answer.error(400, "the reason"))
    (component / "large").write_bytes(os.urandom(4_000_000))
    terminal = Terminal(command(cluster, component), ENVIRONMENT, (40, 10))
    slow.wait_until(lambda peer: bool(peer.live_uploads), timeout=60)
    while not (rows := terminal.frame())[0].startswith("11 of 12 done, 1 failed"):
        assert terminal.process.poll() is None
    assert len(rows) == 10
    assert max(map(len, rows)) <= 40
    assert any(row.startswith("bad") and "failed: the reason" in row for row in rows)
    assert any(row.startswith("slow") and "%" in row for row in rows)
    assert rows[-1] == "and 4 more: 4 done"
    terminal.resize(30, 5)
    while len(rows := terminal.frame()) != 5:
        assert terminal.process.poll() is None
    assert max(map(len, rows)) <= 30
    assert rows[1].startswith("bad")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    before, _, after = terminal.shown.rpartition("\x1b[?1049l")  # back to the first screen
    assert "\x1b[?1049h" in before
    assert "\x1b[H" not in after
    assert "bad: failed: the reason" in after
    assert "slow: failed: interrupted" in after


def test_the_bar_of_packing_fits_a_terminal_that_is_resized(
    cluster: FakeCluster, component: Path
) -> None:
    (component / "large").touch()
    os.truncate(component / "large", 1 << 36)  # its packing lasts for minutes
    peer_of(cluster, "a")
    terminal = Terminal(command(cluster, component), ENVIRONMENT, (100, 10))
    while not (rows := terminal.frame())[0].startswith("packing "):
        assert terminal.process.poll() is None
    assert " GB" in rows[0]
    terminal.resize(30, 5)
    while len(rows := terminal.frame()) != 5:
        assert terminal.process.poll() is None
    assert rows[0].startswith("packing ")
    assert not any(rows[1:])
    assert max(map(len, rows)) <= 30
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    before, _, after = terminal.shown.rpartition("\x1b[?1049l")  # back to the first screen
    assert "\x1b[?1049h" in before
    assert "relay: interrupted" in after


@pytest.mark.parametrize("kind", ["TERM", "TTY_INTERACTIVE"])
def test_a_terminal_without_animation_gets_lines(
    cluster: FakeCluster, component: Path, kind: str
) -> None:
    peer_of(cluster, "a")
    how = {"TERM": "dumb"} if kind == "TERM" else {"TTY_INTERACTIVE": "0"}
    terminal = Terminal(command(cluster, component), {**ENVIRONMENT, **how}, (80, 24))
    assert terminal.end() == 0
    assert " a: sending " in terminal.shown
    assert "relay: 1 of 1 done, " in terminal.shown
    assert "\x1b[?1049h" not in terminal.shown


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        (PASSWORD.encode(), 0, "success"),
        (b"", 2, "no password; give --password-file or RELAY_PASSWORD"),
        (b"\x04", 2, "no password; give --password-file or RELAY_PASSWORD"),  # Ctrl-D
        (b"caf\xe9", 2, "the password is not valid in this terminal's encoding"),
    ],
)
def test_the_prompt_for_a_password(
    cluster: FakeCluster, component: Path, typed: bytes, code: int, words: str
) -> None:
    peer_of(cluster, "a")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    arguments = [*command(cluster, component), "--user=admin", "--quiet"]
    terminal = Terminal(arguments, {**plain, "PYTHONUTF8": "1"})
    terminal.read_until("Password of admin: ")
    terminal.write(typed + b"\n")
    assert terminal.end() == code
    assert words in terminal.shown
    assert PASSWORD not in terminal.shown

"""What any user of this machine can see of a process and its children."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass
class Shown:
    """What processes showed.

    Attributes:
        arguments: every argument list, as text.
        environments: every environment, as text; of this process also what it has set since its
            start, which its children inherit.
        memory: the most resident memory that they held together at one time, in bytes, without
            the pages of mapped files where the system tells them apart (Linux).

    """

    arguments: set[str] = field(default_factory=set)
    environments: set[str] = field(default_factory=set)
    memory: int = 0

    def look_at(self, processes: list[psutil.Process]) -> None:
        memory = 0
        for process in processes:
            with contextlib.suppress(psutil.Error), process.oneshot():  # ended, or not ours
                self.arguments.add(" ".join(process.cmdline()))
                held = process.memory_info()
                memory += held.rss - getattr(held, "shared", 0)
                self.environments.add(" ".join(map("=".join, process.environ().items())))
            if process.pid == os.getpid():
                with contextlib.suppress(RuntimeError):  # a variable is being set
                    self.environments.add(" ".join(map("=".join, os.environ.copy().items())))
        self.memory = max(self.memory, memory)


@contextlib.contextmanager
def watch_processes(leader: int, *, every: float = 0.002) -> Iterator[Shown]:
    """Gather what a process and its descendants show while the block runs.

    Args:
        leader: id of the process.
        every: seconds between two looks; a child may live for milliseconds, a look takes one.

    """
    shown = Shown()
    with repeated(lambda: shown.look_at(family(leader)), every):
        yield shown


@contextlib.contextmanager
def repeated(look: Callable[[], object], every: float) -> Iterator[None]:
    """Call `look` again and again, in a thread, while the block runs; `every`: seconds between."""
    done = threading.Event()

    def repeat() -> None:
        while True:
            is_last = done.is_set()  # so that the state at the end is always seen
            look()
            if is_last:
                return
            done.wait(every)

    watcher = threading.Thread(target=repeat, name="watcher", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def family(pid: int) -> list[psutil.Process]:
    """A process, all its descendants, and every process of the session that it leads."""
    found = {}
    with contextlib.suppress(psutil.Error):
        leader = psutil.Process(pid)
        found = {it.pid: it for it in [leader, *leader.children(recursive=True)]}
    for other in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(other) == pid and other not in found:
                found[other] = psutil.Process(other)
    return list(found.values())


def marked(variable: str, value: str) -> list[psutil.Process]:
    """The running processes whose environment has this value in this variable.

    Children inherit it, also those that have left the session or lost their parent.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            is_running = process.status() != psutil.STATUS_ZOMBIE
            if is_running and process.environ().get(variable) == value:
                found.append(process)
    return found


def open_files(pid: int) -> list[Path]:
    """The regular files that a process and its family have open, once for each descriptor."""
    found: list[Path] = []
    for process in family(pid):
        with contextlib.suppress(psutil.Error):
            found += [Path(file.path) for file in process.open_files()]
    return found


def is_group_alive(group: int) -> bool:
    """Whether a process of a group is running; a zombie is not."""
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return True
    return False

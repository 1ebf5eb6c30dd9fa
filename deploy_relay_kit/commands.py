"""The commands `relay` and `relay-harness`, with a clear line where an extra is not installed."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

# Modules that come with an extra; a test compares the extras with what each command needs.
_EXTRA_OF = {
    "aiohttp": "relay",
    "pathspec": "relay",
    "rich": "relay",
    "yarl": "relay",
    "jwt": "node",
    "jinja2": "judge",
    "msgspec": "judge",
    "multidict": "judge",
    "psutil": "judge",
    "xdist": "judge",
}


def relay() -> int:
    """Run `relay`; return its exit code."""
    return _run("relay", "deploy_relay_kit.relay.command.cli", "relay")


def relay_harness() -> int:
    """Run `relay-harness`; return its exit code."""
    return _run("relay-harness", "deploy_relay_kit.harness.cli.main", "judge")


def _run(program: str, module: str, extra: str) -> int:
    try:
        with _ended_by_an_interrupt():
            main = import_module(module).main
        code: int = main()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA_OF:
            raise
        if program == "relay" and _EXTRA_OF[missing] != "relay":
            extra = "node"  # of `relay serve`, which imports its modules when it starts
        print(f"{program}: {missing} is not installed; {remedy(extra)}", file=sys.stderr)
        return 2
    return code


@contextmanager
def _ended_by_an_interrupt() -> Iterator[None]:
    """Ctrl-C ends the program without a traceback; later, `main` has words for it."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before)


def remedy(extra: str) -> str:
    """What to do where an extra is missing."""
    return f'install the extra: pip install "deploy-relay-kit[{extra}]"'

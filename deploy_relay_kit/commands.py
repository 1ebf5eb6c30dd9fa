"""The commands `relay` and `relay-harness`, with a clear line where an extra is not installed."""

import signal
import sys
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
    # Ctrl-C ends it without a traceback, also while Python imports. Only a program may decide that.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        code: int = import_module(module).main()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA_OF:
            raise
        if program == "relay" and _EXTRA_OF[missing] != "relay":
            extra = "node"  # of `relay serve`, which imports its modules when it starts
        print(f"{program}: {missing} is not installed; {remedy(extra)}", file=sys.stderr)
        return 2
    return code


def remedy(extra: str) -> str:
    """What to do where an extra is missing."""
    return f'install the extra: pip install "deploy-relay-kit[{extra}]"'

"""The commands `relay` and `relay-harness`, with a clear line where an extra is not installed.

Importing this module changes how a process ends on Ctrl-C, so only programs import it. It loads
nothing but `sys` first: until then, Ctrl-C shows a traceback.
"""

import sys


def relay() -> int:
    """Run `relay`; return its exit code."""
    return _run("relay", "deploy_relay_kit.relay.command.cli", "relay")


def relay_harness() -> int:
    """Run `relay-harness`; return its exit code."""
    return _run("relay-harness", "deploy_relay_kit.harness.cli.main", "judge")


def _run(program: str, module: str, extra: str) -> int:
    import os
    import signal
    from importlib import import_module

    from deploy_relay_kit.extras import EXTRA_OF, remedy

    for closed in (it for it in range(3) if not _is_open(it)):
        # Otherwise a file or a socket that is opened later gets its number, and the errors.
        os.open(os.devnull, os.O_RDONLY if closed == 0 else os.O_WRONLY)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    before = signal.getsignal(signal.SIGINT)
    try:
        # An import may turn KeyboardInterrupt into another error, so the system ends the process.
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        main = import_module(module).main
        signal.signal(signal.SIGINT, before)
        code: int = main()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRA_OF:
            raise
        if program == "relay" and EXTRA_OF[missing] != "relay":
            extra = "node"  # of `relay serve`, which imports its modules when it starts
        print(f"{program}: {missing} is not installed; {remedy(extra)}", file=sys.stderr)
        return 2
    return code


def _is_open(number: int) -> bool:
    """Whether a standard stream was open when the program started."""
    from os import fstat

    try:
        fstat(number)
    except OSError:
        return False
    return True


def _show(kind: type[BaseException], error: BaseException, traceback: object) -> None:
    """Show an error that nothing caught, but not Ctrl-C, which `main` has words for."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)  # type: ignore[arg-type]


sys.excepthook = _show

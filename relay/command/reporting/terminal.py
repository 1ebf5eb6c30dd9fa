"""What only a terminal gets: tables, and a screen that moves.

Importing `rich` takes longer than a small deploy, so only what shows something here imports this.
"""

import contextlib
from collections.abc import Iterable, Iterator

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from deploy_relay_kit.relay.command.output import Output

_STYLES = {"success": "green", "failed": "red"}
_NARROW = 60  # columns; a table would leave too few for the reasons


def is_animated(out: Output) -> bool:
    """Whether bars can move there; TTY_INTERACTIVE=0 and TERM=dumb say no."""
    return out.is_terminal and Console(file=out.stream).is_interactive


@contextlib.contextmanager
def screen(shown: RenderableType, out: Output) -> Iterator[Live]:
    """The other screen of the terminal, to be started; the first one comes back unchanged.

    It is drawn anew each time, so that a terminal which is resized shows no broken rows, and
    rarely, to leave processor time to the uploads.
    """
    live = Live(
        shown,
        console=Console(file=out.stream),
        screen=True,
        refresh_per_second=4,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    try:
        yield live
    finally:
        with contextlib.suppress(OSError):  # the terminal may be gone
            live.stop()


def print_rows(rows: Iterable[tuple[str, str, str, str]], out: Output) -> None:
    """Names, statuses of records, their words and texts: as a table, or lines if it is narrow."""
    console = Console(file=out.stream)
    table = Table(
        Column("node", overflow="fold"),
        Column("status", no_wrap=True),
        Column("answer", overflow="fold"),
    )
    for name, status, word, text in rows:
        if console.width < _NARROW:
            out.say(f"{name}: {word}: {text}")
        else:
            table.add_row(Text(name), Text(word, style=_STYLES[status]), Text(text))
    if table.row_count:
        with console.capture() as shown:
            console.print(table)
        out.say(shown.get().rstrip("\n"))

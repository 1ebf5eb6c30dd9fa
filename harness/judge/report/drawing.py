"""The drawing of what peers saw: a row for each connection, time from left to right. Pure."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jinja2

from deploy_relay_kit.harness.witness.moments import Part
from deploy_relay_kit.harness.witness.printable import printable
from deploy_relay_kit.harness.witness.timeline import ConnectionTimeline

_ROW = 26  # height of a connection in the drawing, px
_LEFT, _WIDTH = 120, 840  # where the time axis begins, and how wide the drawing is, px


def render(seen: Sequence[ConnectionTimeline]) -> str:
    """The drawing and its legend as HTML; empty without a connection. The time is linear."""
    if not seen:
        return ""
    times = [moment["ms"] for it in seen for moment in it["moments"]]
    end = max(times, default=0.0) or 1.0
    span = _WIDTH - _LEFT - 40

    def place(ms: float) -> float:
        return round(_LEFT + ms / end * span, 1)

    d = {
        "width": _WIDTH,
        "height": _ROW * len(seen) + 30,
        "rows": [
            {
                "y": _ROW * number + 20,
                "node": it["node"],
                "dots": [{"x": place(moment["ms"]), **moment} for moment in it["moments"]],
            }
            for number, it in enumerate(seen)
        ],
        "ticks": [{"x": place(end * part / 4), "ms": end * part / 4} for part in range(5)],
    }
    legend = {part.name.lower(): part.value for part in Part}
    return template("drawing.html").render(d=d, legend=legend)


@cache
def template(name: str) -> jinja2.Template:
    """A template of this directory."""
    # Everything that a relay or a peer said is escaped, for HTML and for a terminal that shows the
    # file; undefined names are errors.
    environment = jinja2.Environment(
        autoescape=True,
        finalize=lambda it: printable(it) if type(it) is str else it,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return environment.from_string(source)

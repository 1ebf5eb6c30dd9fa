"""A badge for a README: how many requirements a relay keeps. Pure."""

from collections import Counter
from xml.sax.saxutils import escape

from deploy_relay_kit.harness.judge.model import Result, Verdict

_LABEL = "deploy relay"
_GLYPH = 6.6  # width of a character of 11 px Verdana, in px, on average
_MARGIN = 10
_COLOURS = {"good": "#2e7d32", "known": "#8a6d00", "red": "#b3261e"}


def render(result: Result) -> str:
    """An SVG: green when all that applies passed, amber with known failures, else red."""
    tally = Counter(result.verdicts.values())
    applicable = tally.total() - tally[Verdict.NOT_APPLICABLE]
    text = f"{tally[Verdict.PASSED]}/{applicable} requirements"
    colour = "red"
    if result.passed:
        colour = "good" if tally[Verdict.PASSED] == applicable else "known"
    left = round(len(_LABEL) * _GLYPH + _MARGIN)
    right = round(len(text) * _GLYPH + _MARGIN)
    title = escape(f"{_LABEL}: {text}")
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img">
<title>{title}</title>
<clipPath id="c"><rect width="{left + right}" height="20" rx="3"/></clipPath>
<g clip-path="url(#c)">
<rect width="{left}" height="20" fill="#444"/>
<rect x="{left}" width="{right}" height="20" fill="{_COLOURS[colour]}"/>
</g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{left / 2:g}" y="14">{_LABEL}</text>
<text x="{left + right / 2:g}" y="14">{text}</text>
</g>
</svg>
"""

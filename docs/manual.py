# noqa: INP001  docs/ is no package
"""Writes `docs/relay.1`, the man page of `relay`, from its parser: `python docs/manual.py`."""

import argparse
from pathlib import Path

from argparse_manpage.manpage import Manpage

from deploy_relay_kit.relay.command.options import parser
from deploy_relay_kit.relay.command.parsers import deploy_parser

FILE = Path(__file__).with_name("relay.1")


def page() -> str:
    """The man page; it names no date and no version, and so changes with the options only."""
    everything = parser()
    everything.epilog = deploy_parser(everything).epilog
    everything.formatter_class = argparse.RawDescriptionHelpFormatter
    manual = Manpage(everything)
    manual.description = "deploy a component to every node of a Harper cluster"
    manual.date, manual.source, manual.manual = "", "deploy-relay-kit", "Deploy relay kit"
    return f"{str(manual).rstrip()}\n"


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")

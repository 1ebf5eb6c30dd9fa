"""What is printed when a deploy has ended, and its log file."""

import argparse
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy_relay_kit.relay.command.display import print_records
from deploy_relay_kit.relay.command.output import Output
from deploy_relay_kit.relay.command.packing.staging import Package
from deploy_relay_kit.relay.command.parsers import kit_version
from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.report import Report


class Summary:
    """Prints the records of the deploy and of the restarts; its clock begins when it is made."""

    def __init__(self, arguments: argparse.Namespace, package: Package) -> None:
        self._arguments = arguments
        self._package = package.members() if arguments.json else {}
        self._began = time.monotonic()

    def show(self, reports: Sequence[Report], out: Output, *, interrupted: bool = False) -> bool:
        """Print the records; whether all are successes."""
        succeeded = not interrupted and all(report.succeeded for report in reports)
        deployed, *restarted = (report.records for report in reports)
        if self._arguments.json:
            document: dict[str, object] = {"succeeded": succeeded, "records": deployed}
            document |= {"interrupted": True} if interrupted else {}
            document |= {"restarted": restarted[0]} if restarted else {}
            document |= {
                "seconds": round(time.monotonic() - self._began, 3),
                "package": self._package,
                "version": kit_version(),
            }
            out.say(json.dumps(document, indent=2))
        elif not self._arguments.events:
            print_records(deployed, out)
            for records in restarted:
                print_records(records, out, restarts=True)
        return succeeded


@contextlib.contextmanager
def log_file(path: Path | None) -> Iterator[Output | None]:
    """Yield the file of `--log-file`, to append to.

    Raises:
        InputError: It cannot be opened.
    """
    if path is None:
        yield None
        return
    try:
        file = path.open("a", encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", error)
        raise InputError(f"--log-file: cannot write {str(path)!r}: {why}") from error
    with file:
        yield Output(file)

"""`relay-harness run --bundle` and `relay-harness replay`: a case in one file, and once more."""

import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy_relay_kit.harness.cli.output import say
from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.judge.bundle import archive
from deploy_relay_kit.harness.judge.bundle.difference import difference
from deploy_relay_kit.harness.judge.bundle.document import Bundle
from deploy_relay_kit.harness.judge.causes import Cause, causes
from deploy_relay_kit.harness.judge.explain import every_case
from deploy_relay_kit.harness.judge.model import Case, Result
from deploy_relay_kit.harness.judge.prerequisite import prerequisite
from deploy_relay_kit.harness.judge.run import Plan, judge
from deploy_relay_kit.harness.targets import RELAY_VARIABLE

_LONGEST_NAME = 100  # characters of a file name


def write_bundles(result: Result, recorded: Path, directory: Path) -> Iterator[Path]:
    """Write a bundle for each cause whose example was recorded; yield the files.

    Args:
        result: of the run.
        recorded: where the run left a bundle for each case that did not pass.
        directory: where to write.

    Raises:
        OSError: it cannot be written to.
    """
    for number, cause in enumerate(causes(result), 1):
        source = archive.bundle_of(recorded, cause.case.id)
        if source.exists():
            try:
                bundle = archive.read(source)
            except InputError as error:  # too large, as of a relay that sends without end
                say([f"no bundle of {cause.case.place}: {error}"])
                continue
            bundle.case, bundle.requirements = cause.case, cause.requirements
            bundle.relay, bundle.identity = result.relay, result.identity
            bundle.kit, bundle.started = result.kit, result.started
            path = directory / _name(number, cause)
            archive.write(bundle, path)
            yield path


def _name(number: int, cause: Cause) -> str:
    words = f"{number:02}-{cause.check.requirement}-{cause.case.function}"
    return f"{words[:_LONGEST_NAME]}.zip"


def replay(file: Path, relay: str | None) -> int:
    """Run the case of a bundle again; return 0 when it passes now, else 1.

    A bundle may come from a stranger, so a command that it names is shown and not run.

    Args:
        file: the bundle.
        relay: the relay to judge, as `--relay` takes it; without one, the reference if the bundle
            is of it.

    Raises:
        InputError: the file is no bundle, its case is unknown, or no relay is named.
    """
    then = archive.read(file)
    place = then.case.place
    if not any(place.partition("[")[0] in cases for cases in every_case().values()):
        raise InputError(f"{file}: the case {place} is not in this version of the kit")
    relay = relay or os.environ.get(RELAY_VARIABLE)
    if not relay:
        if then.relay != "reference":
            raise InputError(
                f"{file}: it was recorded with --relay {shlex.quote(then.relay)}; "
                "name the relay to run with --relay"
            )
        relay = then.relay
    say([f"{place}: {then.case.title}"])
    with tempfile.TemporaryDirectory() as directory:
        recorded = Path(directory)
        plan = Plan(relay, prerequisite(relay).identity, cases=[place])
        result = judge(plan, bundles=recorded, passed_too=True)
        if (
            not result.cases
            or not (source := archive.bundle_of(recorded, result.cases[0].id)).exists()
        ):
            raise InputError(f"{place} could not be run: {' '.join(result.broken)}")
        now = archive.read(source)
    evidence, now.case = now.case.evidence, result.cases[0]
    now.case.evidence = now.case.evidence or evidence
    now.relay, now.identity, now.kit = relay, plan.identity, result.kit
    say([_outcome("then", then), _outcome("now", now)])
    say(difference(then, now) or ["no difference"])
    return 1 if now.case.verdict.is_red else 0


def _outcome(when: str, bundle: Bundle) -> str:
    identity = f" ({bundle.identity})" if bundle.identity not in ("", bundle.relay) else ""
    return f"{when + ':':5} {_verdict(bundle.case)}; {bundle.relay}{identity}, kit {bundle.kit}"


def _verdict(case: Case) -> str:
    red = dict.fromkeys(check.requirement for check in case.checks if check.verdict.has_failed)
    return f"{case.verdict} ({' '.join(red)})" if red else case.verdict.value

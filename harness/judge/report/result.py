"""The result of one run as a JSON document, from which every report is made."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from deploy_relay_kit.harness.errors import InputError, read_text
from deploy_relay_kit.harness.judge.catalogue import every_requirement
from deploy_relay_kit.harness.judge.causes import causes, failed, summary
from deploy_relay_kit.harness.judge.model import Result
from deploy_relay_kit.harness.targets.schema import schema_of

_RIGHT = "the result.json of a run"


def to_json(result: Result) -> str:
    """The document, behind a summary and a verdict per requirement that `from_json` ignores."""
    stricter = result.stricter
    document: dict[str, Any] = {
        "summary": summary(result),
        "passed": result.passed,
        "failed": failed(result),
        "causes": len(causes(result)),
        "requirements": [
            {
                "id": id_,
                "level": every_requirement()[id_].level,
                "sentence": every_requirement()[id_].sentence,
                "stricter": id_ in stricter,
                "verdict": verdict.value,
            }
            for id_, verdict in result.verdicts.items()
        ],
    }
    return json.dumps({**document, **msgspec.to_builtins(result)}, indent=1, default=str) + "\n"


def from_json(text: str, source: str) -> Result:
    """Read a document that `to_json` wrote.

    Raises:
        InputError: it is not one; the text names `source` and what is wrong.
    """
    try:
        result = msgspec.convert(json.loads(text), Result)
    except (ValueError, RecursionError) as error:
        kind = "the result of a run" if isinstance(error, msgspec.ValidationError) else "JSON"
        raise InputError(f"{source}: not {kind}: {str(error)[:200]}; give {_RIGHT}") from error
    if unknown := {check.requirement for _, check in result.looks()} - set(every_requirement()):
        raise InputError(f"{source}: {min(unknown)!r} is not a requirement of this kit's version")
    return result


def result_schema() -> dict[str, Any]:
    """The JSON Schema of the document, as `result.schema.json` holds it."""
    return schema_of((Result,), "The result of one run of the deploy relay kit")


def read(paths: Iterable[Path]) -> list[Result]:
    """Read the results of several runs.

    Raises:
        InputError: a file cannot be read, or is not a result.
    """
    results = []
    for path in paths:
        try:
            text = read_text(path)
        except InputError as error:
            raise InputError(f"{error}; give {_RIGHT}") from error
        results.append(from_json(text, str(path)))
    return results

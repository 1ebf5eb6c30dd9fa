"""JSON Schemas, generated from the classes that are read and written. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from deploy_relay_kit.harness.targets.deploy_command import DeployCommand
from deploy_relay_kit.harness.targets.messages import Deployed, Start, Started, Stop, Stopped


def adapter_schema() -> dict[str, Any]:
    """The schema of the adapter protocol, both directions, as `adapter.schema.json` holds it."""
    return schema_of(
        (Start, DeployCommand, Stop, Started, Deployed, Stopped),
        "Messages between the deploy relay kit and an adapter, one JSON object per line",
    )


def schema_of(kinds: Sequence[type], title: str) -> dict[str, Any]:
    """The schema of a document of one of these classes; their docstrings describe it.

    Args:
        kinds: msgspec structs; the section `Attributes:` of their docstrings names each member.
        title: of the schema.
    """
    any_of, components = msgspec.json.schema_components(
        kinds, schema_hook=lambda _: {"type": "string", "minLength": 1}
    )
    for component in components.values():
        summary, _, attributes = component.get("description", "").partition("Attributes:")
        component["description"] = " ".join(summary.split())
        texts = _by_name(attributes)
        for name, member in component.get("properties", {}).items():
            if name in texts:
                member["description"] = texts[name]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "anyOf": list(any_of),
        "$defs": components,
    }


def _by_name(attributes: str) -> dict[str, str]:
    """The texts in a section `Attributes:`, by name; a text may have several lines."""
    texts: dict[str, str] = {}
    name = ""
    for line in attributes.strip().splitlines():
        first, colon, rest = line.strip().partition(": ")
        if colon and first.isidentifier():
            name = first
            texts[name] = rest
        elif name:
            texts[name] = f"{texts[name]} {line.strip()}".rstrip()
    return texts

"""The public API as a type checker sees it: mypy reads this file with the rest of the tests.

The calls are never made; a change of a name, a parameter or a type fails the type check.
"""

from __future__ import annotations

import pydoc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import pytest

from deploy_relay_kit import relay


class OwnMint:
    """A custom mint needs no base class."""

    async def mint(self, context: relay.MintContext) -> str:
        return f"token of {context.node.name}"


async def calls() -> None:
    mint: relay.Mint = OwnMint()
    mints: list[relay.Mint] = [
        relay.GivenToken("t"),
        relay.OperationsMint("u", "p", expires_in=60),
        relay.ReplicationMint(expires_in=None),
    ]
    node = relay.Node("n", "https://h/", verify=False, ca_file=Path("ca"), mint=mints[0])
    reach: relay.Reach = {
        "mint": mint,
        "tls": relay.Tls(Path("ca")),
        "origin": "me",
        "local": relay.LocalSettings(secure_port=None),
    }
    reach |= {"limits": relay.Limits(concurrency=4), "on_event": print, "allow_http": True}
    report = await relay.deploy(
        (node,),
        {"operation": "deploy_component", "note": relay.OMIT},
        "package.tar.gz",
        retry=relay.Retry(attempts=2),
        ask_for_events=True,
        probe=True,
        legacy=False,
        **reach,
    )
    assert_type(report, relay.Report)
    assert_type(report.records, list[relay.Record])
    assert_type(report.succeeded, bool)
    assert_type(await relay.restart([node], rolling=True, **reach), relay.Report)
    event = relay.Event("n", "mint")
    assert_type(event.data, Mapping[str, Any])
    with pytest.raises(TypeError):
        await relay.deploy([node], {}, "p", no_such_thing=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        await relay.deploy([node], {})  # type: ignore[call-arg]


def test_every_public_name_is_documented() -> None:
    for name in set(relay.__all__) - {"OMIT", "Record"}:  # these are values
        text = getattr(relay, name).__doc__ or ""
        # The default docstring of a dataclass is its signature.
        assert len(text) > 40, name
        assert not text.startswith(f"{name}("), name


def test_help_begins_with_the_most_important() -> None:
    page = pydoc.plain(pydoc.render_doc(relay)).splitlines()
    first = "\n".join(page[:45])
    assert "Relay one staged deploy package to every node of a cluster." in first
    assert "relay.deploy(" in first

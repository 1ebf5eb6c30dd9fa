"""Arguments of another type than the relay takes: an `InputError` that names the argument."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay
from tests.relay.driving import DEPLOY


def anyhow(kind: Any, *values: Any, **more: Any) -> Callable[[], Any]:
    """Make an object of values that its types do not allow."""
    return lambda: kind(*values, **more)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (anyhow(relay.Node, 5), "name of a node must be a text, not int"),
        (anyhow(relay.Node, "n", b"https://h/"), "url of node 'n' must be a text, not bytes"),
        (anyhow(relay.Node, "n", host=5), "host of node 'n' must be a text, not int"),
        (anyhow(relay.Node, "n", replication_url=5), "replication_url of node 'n' must be a text"),
        (anyhow(relay.Node, "n", verify="no"), "verify of node 'n' must be True or False, not str"),
        (
            anyhow(relay.Node, "n", verify=None),
            "verify of node 'n' must be True or False, not None",
        ),
        (anyhow(relay.OperationsMint, 5, "p"), "username must be a text, not int"),
        (anyhow(relay.OperationsMint, "u", b"p"), "password must be a text, not bytes"),
    ],
)
def test_a_value_of_another_type_is_named(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(relay.InputError, match=words):
        make()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"allow_http": "no"}, "allow_http must be True or False, not str"),
        ({"nodes": "https://h/"}, "each of the nodes must be a relay.Node(…), not str"),
        ({"request": [("operation", "deploy_component")]}, "request must be a mapping of names"),
        ({"retry": 3}, "retry must be a relay.Retry(…), not int"),
        ({"tls": "ca.pem"}, "tls must be a relay.Tls(…), not str"),
        ({"limits": {"connect": 5}}, "limits must be a relay.Limits(…), not dict"),
        ({"local": {"secure_port": 5}}, "local must be a relay.LocalSettings(…), not dict"),
        ({"on_event": "print"}, "on_event must be a function, not str"),
        ({"mint": "hunter2"}, "mint must be such as relay.OperationsMint(…), not str"),
        ({"mint": relay.OperationsMint}, "mint must be such as relay.OperationsMint(…), not type"),
    ],
)
def test_an_argument_of_another_type_is_named(
    package: Path, arguments: dict[str, Any], words: str
) -> None:
    deploy: Any = relay.deploy
    good = {
        "nodes": [relay.Node("n", "http://192.0.2.1/")],  # which a true allow_http would reach
        "request": DEPLOY,
        "payload": package,
        "mint": relay.OperationsMint("u", "p"),
    }
    with pytest.raises(relay.InputError) as caught:
        asyncio.run(deploy(**{**good, **arguments}))
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)

"""Arguments of another type than the relay takes: an `InputError` that names the argument."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay
from tests.relay.driving import DEPLOY

NO_LIFETIMES: list[Any] = [0, -1, "", True, math.nan, []]
NO_PORTS: list[Any] = [1.5, b"5", True, []]
NO_TEXTS: list[Any] = [5, b"x", True, []]
ENDLESS = 10**400  # more than a float holds


async def unheard(_: object) -> None:
    """Nobody awaits it."""


def mixed(*values: Any) -> tuple[Any, ...]:
    """Values of several types."""
    return values


def anyhow(kind: Any, *values: Any, **more: Any) -> Callable[[], Any]:
    """Make an object of values that its types do not allow."""
    return lambda: kind(*values, **more)


VALUES: list[tuple[Callable[[], Any], str]] = [
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
    (anyhow(relay.OperationsMint, "", "p"), "username is empty"),
    (anyhow(relay.OperationsMint, "u", ""), "password is empty"),
    *(
        (anyhow(kind, *login, expires_in=value), "expires_in must be a text such as '5m', or ")
        for kind, login in ((relay.OperationsMint, "up"), (relay.ReplicationMint, ""))
        for value in NO_LIFETIMES
    ),
    *(
        (anyhow(relay.ReplicationMint, ping_every=value), "ping_every must be a number above 0")
        for value in mixed(0, -1, "30", None, math.nan, math.inf, ENDLESS)
    ),
    *(
        (anyhow(relay.Limits, **{name: ENDLESS}), f"limit '{name}' must be a number above 0")
        for name in ("connect", "mint", "stall", "answer", "restart", "total", "rate")
    ),
    *(
        (anyhow(relay.Retry, **{name: value}), f"{name} must be a number of 0 or more, not")
        for name in ("first_delay", "longest_delay")
        for value in mixed(-1, "1", None, math.nan, math.inf, ENDLESS)
    ),
    *(
        (anyhow(relay.Tls, "ca.pem", **{name: value}), f"{name} (must be|is an empty) ?.*path")
        for name in ("certificate_file", "key_file")
        for value in mixed(5, b"ca.pem", "", [])
    ),
    (anyhow(relay.Tls, ca_file=5), "ca_file must be a path, not int"),
    (anyhow(relay.Tls, ca_file=""), "ca_file is an empty path"),
    (anyhow(relay.Node, "n", ca_file=5), "ca_file of node 'n' must be a path, not int"),
    (anyhow(relay.Node, "n", ca_file=""), "ca_file of node 'n' is an empty path"),
    (anyhow(relay.Node, "n", mint="hunter2"), "mint of node 'n' must be such as .*, not str"),
    (anyhow(relay.Node, "n", mint=0), "mint of node 'n' must be such as .*, not int"),
    (anyhow(relay.Node, "n", rate=ENDLESS), "rate of node 'n' must be a number above 0"),
    *(
        (anyhow(relay.Node, "n", port=value), "port of node 'n' must be a number or a text")
        for value in NO_PORTS
    ),
    *(
        (anyhow(relay.LocalSettings, **{name: 1.5}), f"{name} must be a number or a text")
        for name in vars(relay.LocalSettings())
    ),
]


@pytest.mark.parametrize(("make", "words"), VALUES, ids=range(len(VALUES)))
def test_a_value_of_another_type_is_named(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(relay.InputError, match=words):
        make()


OF_NODES = "nodes must be a list of relay.Node(…), not"


ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"allow_http": "no"}, "allow_http must be True or False, not str"),
    *(({"nodes": value}, OF_NODES) for value in mixed(5, None, "", "https://h/", {})),
    ({"nodes": relay.Node("n")}, OF_NODES),
    ({"nodes": ["https://h/"]}, "each of the nodes must be a relay.Node(…), not str"),
    *(({"payload": value}, "payload must be a path, not") for value in mixed(5, None, b"x", [])),
    ({"payload": ""}, "payload is an empty path"),
    *(
        ({name: value}, f"{name} must be True or False, not")
        for name in ("ask_for_events", "probe", "legacy")
        for value in mixed("no", None, 0)
    ),
    *(({"origin": value}, "origin must be a text, not") for value in NO_TEXTS),
    ({"origin": ""}, "origin is empty"),
    *(
        ({"proxy": value}, "proxy must be a URL such as http://proxy.example:3128, or env, not")
        for value in NO_TEXTS
    ),
    ({"proxy": ""}, "proxy '' is not the URL of an HTTP proxy"),
    ({"request": [("operation", "deploy_component")]}, "request must be a mapping of names"),
    ({"retry": 3}, "retry must be a relay.Retry(…), not int"),
    ({"tls": "ca.pem"}, "tls must be a relay.Tls(…), not str"),
    ({"limits": {"connect": 5}}, "limits must be a relay.Limits(…), not dict"),
    ({"local": {"secure_port": 5}}, "local must be a relay.LocalSettings(…), not dict"),
    ({"on_event": "print"}, "on_event must be a function, not str"),
    ({"on_event": unheard}, "on_event must be a function, not an async function"),
    ({"mint": "hunter2"}, "mint must be such as relay.OperationsMint(…), not str"),
    ({"mint": 0}, "mint must be such as relay.OperationsMint(…), not int"),
    ({"mint": relay.OperationsMint}, "mint must be such as relay.OperationsMint(…), not type"),
]


@pytest.mark.parametrize(("arguments", "words"), ARGUMENTS, ids=range(len(ARGUMENTS)))
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
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arguments", [{"rolling": "no"}, {"nodes": 5}, {"origin": 5}])
def test_a_restart_names_an_argument_of_another_type(arguments: dict[str, Any]) -> None:
    restart: Any = relay.restart
    good = {"nodes": [relay.Node("n")], "mint": relay.OperationsMint("u", "p")}
    with pytest.raises(relay.InputError, match=f"{next(iter(arguments))} must be"):
        asyncio.run(restart(**{**good, **arguments}))

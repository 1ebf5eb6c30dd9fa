"""Tables of names and values, each through one request, and its limits."""

from __future__ import annotations

import json
from typing import Any

from deploy_relay_kit.harness import FakeCluster
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import names_of, text_of

NAMES = [
    *(" a ", "a b", "a.b", "a[]", "a[b]", "a=b", "a;b", "a,b", "a:b", "camelCase", "UPPER", "$a"),
    *("10", "9", "0", "1e3", "true", "null", "e\u0301", "\u00e9", "\U0001f680", "a/b", "a&amp;b"),
    *(" token", "token ", "tokens", "access_token", "Password", "TOKEN", "my_payload", "payload."),
    *(
        "\uff50assword",
        "to\u00adken",
        "constructor",
        "toString",
        "hasOwnProperty",
        "payload_path",
        "progress_",
        "a_b",
    ),
    *(
        "user_password_policy",
        "user-name",
        "name",
        "filename",
        "boundary",
        "files",
        "package",
        "a_",
        "a-_b",
        "a*",
        "a'b",
    ),
]
NAMES += ["n" * 300, "m" * 8_000, "\u00e9" * 7_000]
MORE_NAMES = [
    *(
        "\u00a0a\u3000",
        "a\u200bb",
        "\ufeffa",
        "a\u2028b\u2029c",
        "a%22b",
        "Replicated",
        "Operation",
    ),
    *(
        "ignore_replication_errors",
        "replicated_",
        "restart_",
        "force",
        "install_command",
        "install",
    ),
    *("install_timeout", "deployment_id", "env", "headers", "nodes", "hosts", "timeout", "urlPath"),
    *("Operation", "install", "expires_in", "role", "secret", "api_key", "authorization", "cookie"),
    *("\ue000", "\uffff"),
]
MEMBERS = [
    *("restart", "force", "install_command", "install_timeout", "install_allow_scripts", "urlPath"),
    *("deployment_timeout", "ignore_replication_errors", "deployment_id", "skip_install", "role"),
    *("authorization", "Authorization", "user", "nodes", "node", "url", "host", "port", "origin"),
    *("target", "timeout", "headers", "method", "schema", "database", "table", "file", "stream"),
    *("status", "size", "length", "verify", "events", "local", "limits", "retry", "attempts"),
    *("secret", "api_key", "apiKey", "cookie", "session", "accessToken", "operationToken"),
    *("hdbUser", "hdb_auth_header", "request_id", "bypassAuth", "impersonated", "credential"),
]
"""Members that a peer knows, that a relay may want for itself, or that resemble credentials."""
NEVER_SENT = ("_a", "payload", "progress", "password", "token", "impersonate", "requestId", "_")


def test_every_name_arrives_as_it_is(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """Every name of a member arrives unchanged, also one that resembles a forbidden one."""
    peer, other = cluster.peer(), cluster.peer()
    relay.deploy(to=[peer], request={name: f"value {n}" for n, name in enumerate(NAMES)})
    relay.deploy(to=[other], request={name: f"value of {name}" for name in MORE_NAMES})
    for name in MORE_NAMES:
        with check("FLD-04", f"the member {name!r}"):
            assert text_of(other, name, f"value of {name}") == f"value of {name}".encode()
    known = {name: f"value of {name}" for name in MEMBERS} | {"restart": "rolling"}
    relay.deploy(to=[knowing := cluster.peer()], request=known)
    for name, value in known.items():
        with check("FLD-04", f"the member {name!r} of a request with members that are known"):
            assert text_of(knowing, name, value) == value.encode()
    with check("FLD-04", "the fields that the request does not have"):
        added = {*knowing.upload.fields} - {*known, "operation", "project", "replicated"}
        assert added == set()
    with check("FLD-04", "the uploads of a request with these names"):
        assert len(peer.uploads) == 1
    for number, name in enumerate(NAMES):
        with check("FLD-04", f"the member {name!r}"):
            assert text_of(peer, name, f"value {number}") == f"value {number}".encode()
    cut = f"value {NAMES.index('a=b')}"
    with check("FLD-04", "the field a, of which the request has no member"):
        fields = peer.upload.fields
        assert fields.get("a") not in (cut.encode(), f"b={cut}".encode())


VALUES: dict[str, Any] = {
    "2^31": 2_147_483_648,
    "-2^31 - 1": -2_147_483_649,
    "2^32": 4_294_967_296,
    "2^53 - 1": 9_007_199_254_740_991,
    "2^53 + 2": 9_007_199_254_740_994,
    "10^20": 10**20,
    "seventeen digits": 0.12345678901234567,
    "many digits": 1_234_567_890.1234567,
    "a small number": 1e-7,
    "the largest double": 1.7976931348623157e308,
    "the smallest double": 5e-324,
    "a time in milliseconds": 1_767_225_600_123,
    "a negative fraction": -0.001,
    "one": 1,
    "zero": 0,
    "false": False,
    "true": True,
    "null": None,
    "restart": False,
    "force": True,
    "install_timeout": 0,
    "deployment_timeout": None,
    "ignore_replication_errors": False,
    "an empty list": [],
    "a list of one": ["a"],
    "a list of one list": [[1], [[2, [3]]]],
    "empty things": [[], {}, "", None, 0, False],
    "nulls": {"a": None, "b": [None]},
    "large numbers in a list": [4_294_967_297, 0.1, 1e300, 0.12345678901234567],
    "names": {"password": "a", "token": 1, "_hidden": 2, "replicated": True, "payload": {"a": 1}},
    "more names": [{"": 1, "$a": 2, "a.b": 3, " b ": 4, "__proto__": 5, "a-b": [{"": None}]}],
    "texts": ["007", "2026-01-02T03:04:05+00:00", "a\r\nb\rc\n", "a\0b", "true", "{}", " 1 "],
    "a small number in a list": [5e-324, -1e-310],
    "forty levels": json.loads("[" * 40 + '{"a":1}' + "]" * 40),
    "depth": [[[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]]],
    "three hundred members": {f"member {n}": n for n in range(300)},
    "three thousand items": list(range(3_000)),
}


def test_every_value_means_what_it_meant(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """Every value that is no text arrives as JSON that means the same; a number is a double."""
    peer = cluster.peer()
    relay.deploy(to=[peer], request=VALUES)
    with check("FLD-04", "the uploads of a request with these values"):
        assert len(peer.uploads) == 1
    for name, value in VALUES.items():
        with check("FLD-04", f"the value of {name}"):
            assert meaning(peer.upload.fields.get(name, b"")) == meaning(json.dumps(value))


def meaning(text: str | bytes) -> str:
    """A JSON value with each number as a double; the text itself if it is no JSON."""
    try:
        return json.dumps(json.loads(text, parse_int=float), ensure_ascii=False)
    except ValueError:
        return f"no JSON: {text.decode(errors='replace') if isinstance(text, bytes) else text}"


def test_limits_are_those_of_what_is_sent(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Members that stay behind count neither as fields nor as bytes, and a request has no size."""
    peer = cluster.peer()
    sent: dict[str, object] = {"long": "x" * 700_000, "also long": ["y" * 700_000]}
    sent |= {f"extra-{n}": n for n in range(58)}
    never_sent = dict.fromkeys(NEVER_SENT, "z" * 1_048_577)
    control = cluster.peer()
    relay.deploy(to=[control], request=dict.fromkeys(NEVER_SENT, "z"))
    leaked = [name for name in names_of(control) if name in NEVER_SENT]
    relay.deploy(to=[peer], request={**never_sent, **sent})
    with check("FLD-04", "the members that are not forwarded"):
        check.need(not leaked, f"{', '.join(leaked)} is forwarded (FLD-01, FLD-05)")
        arrived = names_of(peer)
        assert [name for name in sent if name not in arrived] == []


PROJECTS = [
    "007",
    "1_000",
    ".5",
    "nan",
    "0x1f",
    "+1",
    "7zip",
    "-x",
    "1-2",
    "true_",
    "nullable",
    "NULL",
    "e1",
    "p" * 200,
]


def test_a_project_that_only_begins_like_json_is_sent(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A project is sent as it is if a peer reads it as text."""
    for project in PROJECTS:
        peer = cluster.peer()
        relay.deploy(to=[peer], request={"project": project})
        with check("FLD-04", f"the project {project}"):
            sent = text_of(peer, "project", project) if peer.uploads else b""
            assert sent == project.encode()

from __future__ import annotations

import pytest

from deploy_relay_kit.relay import InputError, LocalSettings, Node
from deploy_relay_kit.relay.errors import OriginError
from deploy_relay_kit.relay.urls import adds_a_slash, is_loopback, resolve


@pytest.mark.parametrize(
    ("url", "address", "target"),
    [
        ("https://h:9925/", "h:9925", "/"),
        ("https://h:9925", "h:9925", "/"),
        ("https://h", "h:443", "/"),
        ("http://localhost", "localhost:80", "/"),
        ("HTTPS://Host.Example/Ops", "host.example:443", "/Ops"),
        ("https://h/ops/", "h:443", "/ops/"),
        ("https://h/ops?x=1", "h:443", "/ops?x=1"),
        ("https://h?x=1", "h:443", "/?x=1"),
        ("https://h/ops??", "h:443", "/ops??"),
        ("https://h/ops#?", "h:443", "/ops"),
        ("https://h/a%2Fb?q=%20y&z", "h:443", "/a%2Fb?q=%20y&z"),
        ("https://[fe80::1%25eth0]:9925/", "[fe80::1%eth0]:9925", "/"),
        ("https://[fe80::1%eth0]/", "[fe80::1%eth0]:443", "/"),
        ("https://[fe80::1%25]/", "[fe80::1]:443", "/"),
        ("https://h/é?é", "h:443", "/%C3%A9?%C3%A9"),
        ("https://h/ops#part", "h:443", "/ops"),
        ("https://10.0.0.1:1/", "10.0.0.1:1", "/"),
        ("https://[::1]:9925/ops/", "[::1]:9925", "/ops/"),
        ("https://bücher.example/", "xn--bcher-kva.example:443", "/"),
    ],
)
def test_a_url_is_kept_with_path_and_query(url: str, address: str, target: str) -> None:
    api = resolve(Node("n", url))
    assert (api.address, api.target) == (address, target)
    assert api.url == f"{api.scheme}://{address.replace('%', '%25')}{target}"


def test_an_ipv6_host_has_brackets_in_the_url_only() -> None:
    assert resolve(Node("n", "https://[::1]:9925/")).host == "::1"


@pytest.mark.parametrize(
    ("node", "local", "url"),
    [
        (Node("h"), LocalSettings(), "https://h:9925/"),
        (Node("h"), LocalSettings(secure_port=None), "http://h:9925/"),
        (Node("h"), LocalSettings(secure_port=None, insecure_port=9926), "http://h:9926/"),
        (Node("h"), LocalSettings(secure_port=9000, insecure_port=9926), "https://h:9000/"),
        (Node("h", port=1234), LocalSettings(), "https://h:1234/"),
        (Node("h"), LocalSettings(secure_port="127.0.0.1:9443"), "https://h:9443/"),
        (Node("h", port="x:77"), LocalSettings(), "https://h:77/"),
        (Node("h:9933"), LocalSettings(), "https://h:9925/"),
        (Node("n", host="a", replication_url="wss://b:9933"), LocalSettings(), "https://a:9925/"),
        (Node("n", replication_url="wss://b:9933"), LocalSettings(), "https://b:9925/"),
        (Node("n", replication_url="b"), LocalSettings(), "https://n:9925/"),
        (Node("n", replication_url="wss://[b"), LocalSettings(), "https://n:9925/"),
        (Node("::1"), LocalSettings(), "https://[::1]:9925/"),
        (Node("n", host="[::1]"), LocalSettings(), "https://[::1]:9925/"),
        (Node("n", "https://u:1/", host="a", port=2), LocalSettings(), "https://u:1/"),
        (Node("n", ""), LocalSettings(), "https://n:9925/"),
    ],
)
def test_a_url_made_from_parts(node: Node, local: LocalSettings, url: str) -> None:
    assert resolve(node, local, allow_http=True).url == url


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (Node("n", "ftp://h/"), "https or http"),
        (Node("n", "h:9925"), "https or http"),
        (Node("n", "not-a-url"), "https or http"),
        (Node("n", "https://"), "has no host"),
        (Node("n", "https://:9925/"), "has no host"),
        (Node("n", "https://h:port/"), "its port is not a number from 0 to 65535"),
        (Node("n", "https://h:70000/"), "its port is not a number from 0 to 65535"),
        (Node("n", "https://[::1/"), "IPv6"),
        (Node("n", "https://h/a b"), "space"),
        (Node("n", "https://h/ops?"), "remove the ? at its end"),
        (Node("n", "https://h?#part"), "remove the ? at its end"),
        (Node("n", f"https://{'ü' * 80}/"), "not a valid address or name"),
        (Node("n", f"https://{'u' * 64}.example/"), "not a valid address or name"),
        (Node("n", "https://a..b/"), "not a valid address or name"),
        (Node("n", "https://10.0.0.256:9925/"), "not a valid address or name"),
        (Node("n", "https://10.1/"), "not a valid address or name"),
        (Node("n", "https://127.0.0.1./"), "not a valid address or name"),
        (Node(""), "no hostname"),
        (Node("n", port="x"), "port 'x' is not a number from 0 to 65535"),
    ],
)
def test_an_unusable_url_is_a_failure(node: Node, words: str) -> None:
    with pytest.raises(OriginError) as refusal:
        resolve(node)
    assert words in refusal.value.reason
    assert refusal.value.stage == "resolve"


@pytest.mark.parametrize(
    "url",
    [
        "https://admin:secret@h/",
        "https://secret@h/",
        "https://admin:secret@h:bad/",
        "https://admin:secret@[bad/",
        "admin:secret@h",
        "ftp://admin:secret@h/",
        "https:\\\\admin:secret@h/",
    ],
)
def test_user_info_is_refused_without_repeating_it(url: str) -> None:
    node = Node("n", url, replication_url=url)
    with pytest.raises(InputError) as refusal:
        resolve(node)
    assert "'n'" in str(refusal.value)
    assert "secret" not in f"{refusal.value} {node!r}"


@pytest.mark.parametrize(
    "url",
    [
        "https://admin:sec/ret@h/",
        "https://admin:sec#ret@h/",
        "https://admin:sec?ret@h/",
        "https://admin:sec ret@h/",
        "https:/\n/admin:secret@h/",
        "https:///admin:secret@h/",
        "https:admin:/secret@h/",
    ],
)
def test_a_possible_password_is_not_quoted(url: str) -> None:
    with pytest.raises((InputError, OriginError)) as refusal:
        resolve(Node("n", url))
    assert "sec" not in str(refusal.value)
    assert "ret@" not in str(refusal.value)


def test_a_path_may_hold_an_at_sign() -> None:
    assert resolve(Node("n", "https://h/@ops?x=@")).target == "/@ops?x=@"


def test_plain_http_to_another_machine_must_be_allowed() -> None:
    with pytest.raises(OriginError, match="plain http"):
        resolve(Node("n", "http://h/"))
    assert resolve(Node("n", "http://h/"), allow_http=True).scheme == "http"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("::ffff:127.0.0.1", True),
        ("a.localhost", False),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("notlocalhost", False),
    ],
)
def test_loopback_hosts(host: str, loopback: bool) -> None:  # noqa: FBT001  a table's column
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("url", "location", "expected"),
    [
        ("https://h/ops", "https://h/ops/", True),
        ("https://h/ops", "https://h:443/ops/", True),
        ("https://h:9925/ops", "/ops/", True),
        ("https://h:9925/ops?x=1", "https://H:9925/ops/?x=1", True),
        ("https://[::1]:9925/ops", "https://[::1]:9925/ops/", True),
        ("https://h/ops", "https://other/ops/", False),
        ("https://h/ops", "http://h/ops/", False),
        ("https://h/ops", "https://h:8443/ops/", False),
        ("https://h/ops", "//other/ops/", False),
        ("https://h/ops", "https://h/ops", False),
        ("https://h/ops", "https://h/other/", False),
        ("https://h/ops?x=1", "https://h/ops/", False),
        ("https://h/ops", "https://h:nonsense/ops/", False),
        ("https://h/ops", "https://[", False),
        ("https://h/ops", "", False),
    ],
)
def test_a_redirect_that_adds_a_slash(url: str, location: str, *, expected: bool) -> None:
    assert adds_a_slash(resolve(Node("n", url)), location) is expected

"""Pure: where a node's operations API and replication socket are (URL-01…11, WS-01…02)."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field
from urllib.parse import SplitResult, quote, urlsplit

from relay.errors import InputError, OriginError
from relay.token import Mint

AnyPath = str | os.PathLike[str]

DEFAULT_PORT = 9925
DEFAULT_REPLICATION_PORT = 9933
_HTTP = {"https": 443, "http": 80}
_WEBSOCKET = {"wss": 443, "ws": 80}
_PRINTABLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_NEVER_IN_A_URL = re.compile("[\\0- \x7f\ud800-\udfff]")
_WITH_PORT = re.compile(r"(\[.*\]|[^:]*):\d+")  # the last group of an IPv6 address is none (URL-09)
# Where user info may stand, also in what is no URL otherwise.
_USER_INFO = re.compile(r"^([^/]*//)?.*@", re.DOTALL)
_AUTHORITY = re.compile(r"(?:[^/?#]*//)?([^/?#]*)")


@dataclass(frozen=True)
class Node:
    """One peer of the cluster. Its repr holds no URL, in which a password might stand.

    Args:
        name: Its name in the cluster, and in its record.
        url: The URL of its operations API, path and query included (URL-01, URL-08). Without one it
            is put together from `host`, `port` and the origin's own settings (URL-02…06).
        host: Its host name or IP address.
        port: The port of its operations API; not the replication port (URL-11).
        replication_url: The URL of its replication socket (WS-01); of the operations API it tells
            the host at most (URL-04, URL-05).
        verify: Whether its certificate is checked (TLS-01).
        ca_file: PEM file with authorities trusted for this node only, besides the cluster's
            (TLS-02).
        mint: How to get a token from this node, when not the way of the whole deploy.
    """

    name: str
    url: str | None = field(default=None, repr=False)
    _: KW_ONLY
    host: str | None = None
    port: int | str | None = None
    replication_url: str | None = field(default=None, repr=False)
    verify: bool = True
    ca_file: AnyPath | None = None
    mint: Mint | None = None


@dataclass(frozen=True)
class LocalSettings:
    """The origin's own ports, the model for nodes without a URL (URL-02, URL-03, WS-01).

    A port may be written `host:port` (URL-10). The defaults are those of a stock configuration
    (URL-06).
    """

    secure_port: int | str | None = DEFAULT_PORT
    insecure_port: int | str | None = None
    secure_replication_port: int | str | None = DEFAULT_REPLICATION_PORT
    insecure_replication_port: int | str | None = None


@dataclass(frozen=True)
class Endpoint:
    """Where a node's operations API or replication socket is: all that a request line needs."""

    scheme: str
    host: str  # an IPv6 address stands here without brackets (URL-09)
    port: int
    target: str  # path and query, as they go on the request line

    @property
    def address(self) -> str:
        """Host and port, as a person writes them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}{self.target}"


def resolve(
    node: Node, local: LocalSettings | None = None, *, allow_http: bool = False
) -> Endpoint:
    """Find a node's operations API.

    Raises:
        OriginError: There is no usable URL; the node gets a failed record (SEQ-07).
        InputError: The URL carries user info, which would leak and is never sent (URL-08).
    """
    local = local or LocalSettings()
    host = node.host or _host_in(node.replication_url) or _bare_name(node.name)
    ports = (node.port, local.secure_port, local.insecure_port, DEFAULT_PORT)
    url = node.url or _put_together(_HTTP, host, ports)
    return _parse(node, url, _HTTP, in_clear=allow_http)


def resolve_replication(node: Node, local: LocalSettings, *, allow_ws: bool = False) -> Endpoint:
    """Find a node's replication socket (WS-01); errors as of `resolve`."""
    name = _bare_name(node.name)  # WS-02: without the whole of its port
    own = node.name[len(name) :] or None
    secure, insecure = local.secure_replication_port, local.insecure_replication_port
    ports = (own, secure, insecure, DEFAULT_REPLICATION_PORT)
    url = node.replication_url or _put_together(_WEBSOCKET, node.host or name, ports)
    return _parse(node, url, _WEBSOCKET, in_clear=allow_ws)


def is_loopback(host: str) -> bool:
    """Whether plain http to this host stays on this machine (TLS-06)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _parse(node: Node, url: str, schemes: dict[str, int], *, in_clear: bool) -> Endpoint:
    if _NEVER_IN_A_URL.search(url):
        raise _unusable(url, "it holds a space, a control character or what is no text")
    authority = _AUTHORITY.match(url)
    if authority and "@" in authority[1]:
        raise InputError(
            f"the URL of node {node.name!r} carries a user name or password; "
            "remove it, and give credentials through the mint (--user)"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:  # its words quote what may be the first half of a password
        why = "its host or port cannot be read" if "@" in url else str(error)
        if authority and authority[1].count(":") > 1 and "[" not in url:
            why = "an IPv6 address stands in brackets, as in https://[::1]:9925/"
        raise _unusable(url, why) from error
    secure, insecure = schemes
    if parts.scheme not in schemes:
        raise _unusable(url, f"the scheme must be {secure} or {insecure}")
    if not parts.hostname:
        raise _unusable(url, "it names no host")
    api = Endpoint(
        scheme=parts.scheme,
        host=_ascii_host(url, parts.hostname),
        port=schemes[parts.scheme] if port is None else port,
        target=_target(parts),
    )
    if api.scheme == insecure and not in_clear and not is_loopback(api.host):
        raise OriginError(
            "resolve",
            f"refusing plain {insecure} to {api.address}: credentials would travel in clear; "
            f"use {secure}, or allow it (--allow-http)",
        )
    return api


def _ascii_host(url: str, host: str) -> str:
    try:
        name = host.encode("idna").decode("ascii")
        if name.replace(".", "").isdigit():
            ipaddress.IPv4Address(name)
    except ValueError as error:  # UnicodeError is one
        why = "its host is not a valid name, in which each label has 1 to 63 characters, or address"
        raise _unusable(url, why) from error
    return name


def _target(parts: SplitResult) -> str:
    """Path and query as given; only what cannot stand on a request line is encoded (URL-08)."""
    query = f"?{parts.query}" if parts.query else ""
    return quote(f"{parts.path or '/'}{query}", safe=_PRINTABLE_ASCII)


def _put_together(schemes: Iterable[str], host: str, settings: tuple[int | str | None, ...]) -> str:
    """A URL of these ports: the node's own, the local secure and insecure one, the default."""
    if not host:
        raise OriginError("resolve", "node has no hostname (missing name/url/host)")
    ports = list(map(_port, settings))
    secure, insecure = schemes
    scheme = secure if ports[1] else insecure
    port = next(port for port in ports if port is not None)  # 0 counts as set
    bare = host.removeprefix("[").removesuffix("]")
    return f"{scheme}://[{bare}]:{port}/" if ":" in bare else f"{scheme}://{host}:{port}/"


def _host_in(url: str | None) -> str | None:
    try:
        return urlsplit(url or "").hostname
    except ValueError:
        return None


def _bare_name(name: str) -> str:
    """A node's name without a port."""
    match = _WITH_PORT.fullmatch(name)
    return match[1] if match else name


def _port(setting: int | str | None) -> int | None:
    """Read a port setting: a number, or the number after the last colon (URL-10)."""
    if setting is None:
        return None
    try:
        return int(str(setting).rpartition(":")[2])
    except ValueError:
        raise OriginError("resolve", f"not a port: {setting!r}") from None


def _unusable(url: str, why: str) -> OriginError:
    return OriginError("resolve", f"cannot use the URL {without_user_info(url)!r}: {why}")


def without_user_info(text: str) -> str:
    """What was given as a URL, without what may be a user name and a password in it."""
    return _USER_INFO.sub(r"\1…@", text)

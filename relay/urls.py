"""Pure: the URLs of a node's operations API and replication socket (URL-01…11, WS-01…02)."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from deploy_relay_kit.relay.errors import InputError, OriginError
from deploy_relay_kit.relay.node import DEFAULT_PORT, DEFAULT_REPLICATION_PORT, LocalSettings, Node

_HTTP = {"https": 443, "http": 80}
_WEBSOCKET = {"wss": 443, "ws": 80}
_PRINTABLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_NEVER_IN_A_URL = re.compile("[\\0- \x7f\ud800-\udfff]")
# The last group of an IPv6 address is not a port (URL-09).
_WITH_PORT = re.compile(r"(\[.*\]|[^:]*):\d+")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
# Where user info may stand, also in text that is not a URL.
_USER_INFO = re.compile(r"^([^/]*//)?.*@", re.DOTALL)
_AUTHORITY = re.compile(r"(?:[^/?#]*//)?([^/?#]*)")
_STOCK = LocalSettings()


@dataclass(frozen=True)
class Endpoint:
    """Where a node's operations API or replication socket is."""

    scheme: str
    host: str  # an IPv6 address without brackets (URL-09), perhaps with a zone: fe80::1%eth0
    port: int
    target: str  # path and query, as on the request line

    @property
    def address(self) -> str:
        """Host and port, with brackets around an IPv6 address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """As the URL was given, with `%25` before a zone (RFC 6874 §2)."""
        return f"{self.scheme}://{self.address.replace('%', '%25')}{self.target}"

    @property
    def host_without_zone(self) -> str | None:
        """The host for the certificate, if it is not that of the URL."""
        host, sign, _ = self.host.partition("%")
        return host if sign and ":" in host else None

    @property
    def headers(self) -> dict[str, str]:
        """A Host without the zone, which means something on this machine only (RFC 6874 §4)."""
        host = self.host_without_zone
        return {} if host is None else {"Host": f"[{host}]:{self.port}"}

    @property
    def slashed(self) -> "Endpoint":
        """The endpoint with a slash at the end of its path."""
        path, mark, query = self.target.partition("?")
        return replace(self, target=f"{path}/{mark}{query}")


def resolve(node: Node, local: LocalSettings = _STOCK, *, allow_http: bool = False) -> Endpoint:
    """Find a node's operations API.

    Raises:
        OriginError: There is no usable URL; the node gets a failed record (SEQ-07).
        InputError: The URL holds user info, which is never sent because it would leak (URL-08).
    """
    host = node.host or _host_in(node.replication_url) or _bare_name(node.name)
    ports = (node.port, local.secure_port, local.insecure_port, DEFAULT_PORT)
    url = node.url or _put_together(_HTTP, host, ports)
    return _parse(node, url, _HTTP, allow_http=allow_http)


def resolve_replication(
    node: Node, local: LocalSettings = _STOCK, *, allow_http: bool = False
) -> Endpoint:
    """Find a node's replication socket (WS-01); it raises what `resolve` raises."""
    name = _bare_name(node.name)  # WS-02: without its whole port
    own = node.name[len(name) :] or None
    secure, insecure = local.secure_replication_port, local.insecure_replication_port
    ports = (own, secure, insecure, DEFAULT_REPLICATION_PORT)
    url = node.replication_url or _put_together(_WEBSOCKET, node.host or name, ports)
    return _parse(node, url, _WEBSOCKET, allow_http=allow_http)


def server_name(node: Node) -> str | None:
    """The name in the TLS handshake of a replication socket (WS-06); None: the URL's host."""
    name = _bare_name(node.name)
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name if _HOST_NAME.fullmatch(name) else None
    return None


def adds_a_slash(api: Endpoint, location: str) -> bool:
    """Whether a redirect from an endpoint only adds a slash to its path, as nginx does."""
    try:
        to = urlsplit(urljoin(api.url, location))
        port = to.port or _HTTP.get(to.scheme)
    except ValueError:
        return False
    target = f"{to.path}?{to.query}" if to.query else to.path
    found = (to.scheme, to.hostname, port, target)
    return found == (api.scheme, api.host, api.port, api.slashed.target)


def is_loopback(host: str) -> bool:
    """Whether a connection to this host stays on this machine (TLS-06)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def without_user_info(text: str) -> str:
    """A text that was given as a URL, without a user name and password."""
    return _USER_INFO.sub(r"\1…@", text)


def _parse(node: Node, url: str, schemes: dict[str, int], *, allow_http: bool) -> Endpoint:
    if _NEVER_IN_A_URL.search(url):
        raise _unusable(url, "it holds a space, a control character or invalid text")
    authority = _AUTHORITY.match(url)
    if authority and "@" in authority[1]:
        raise InputError(
            f"the URL of node {node.name!r} holds a user name or password; "
            "remove it, and give credentials through the mint (--user)"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:  # its text may quote a part of a password
        why = "its host or port is invalid" if "@" in url else str(error)
        if why.startswith("Port "):
            why = "its port is not a number from 0 to 65535"
        if authority and authority[1].count(":") > 1 and "[" not in url:
            why = "an IPv6 address needs brackets, as in https://[::1]:9925/"
        raise _unusable(url, why) from error
    secure, insecure = schemes
    if parts.scheme not in schemes:
        raise _unusable(url, f"the scheme must be {secure} or {insecure}")
    if not parts.hostname:
        raise _unusable(url, "it has no host")
    if not parts.query and "?" in url.partition("#")[0]:  # which aiohttp would drop (URL-08)
        raise _unusable(url, "its query is empty; remove the ? at its end")
    endpoint = Endpoint(
        scheme=parts.scheme,
        host=_ascii_host(url, parts.hostname),
        port=schemes[parts.scheme] if port is None else port,
        target=_target(parts),
    )
    if endpoint.scheme == insecure and not allow_http and not is_loopback(endpoint.host):
        raise OriginError(
            "resolve",
            f"plain {insecure} to {endpoint.address} would send credentials unencrypted; "
            f"use {secure}, or allow it (--allow-http)",
        )
    return endpoint


def _ascii_host(url: str, host: str) -> str:
    if ":" in host:  # urlsplit has checked it
        address, _, zone = host.partition("%")
        return f"{address}%{zone}" if (zone := zone.removeprefix("25")) else address
    try:
        name = host.encode("idna").decode("ascii")
        if name.replace(".", "").isdigit():
            ipaddress.IPv4Address(name)
    except ValueError as error:  # also UnicodeError
        why = "its host is not a valid address or name (labels have 1 to 63 characters)"
        raise _unusable(url, why) from error
    return name


def _target(parts: SplitResult) -> str:
    """Path and query as given; only invalid characters are percent-encoded (URL-08)."""
    query = f"?{parts.query}" if parts.query else ""
    return quote(f"{parts.path or '/'}{query}", safe=_PRINTABLE_ASCII)


def _put_together(schemes: Iterable[str], host: str, settings: tuple[int | str | None, ...]) -> str:
    """A URL from these ports: the node's, the local secure and insecure one, the default."""
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
        raise OriginError("resolve", f"port {setting!r} is not a number from 0 to 65535") from None


def _unusable(url: str, why: str) -> OriginError:
    return OriginError("resolve", f"cannot use the URL {without_user_info(url)!r}: {why}")

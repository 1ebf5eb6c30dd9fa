"""The HTTP proxy through which nodes are reached, if there is one (RFC 9110 section 9.3.6)."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from deploy_relay_kit.relay.errors import InputError, OriginError, check_type
from deploy_relay_kit.relay.urls import Endpoint

FROM_ENVIRONMENT = "env"
_NEVER_IN_A_URL = re.compile("[\\0- \x7f\ud800-\udfff]")
_TUNNELLED = {"https", "wss"}
_PORT = 80
_EXAMPLE = "http://proxy.example:3128"


@dataclass(frozen=True)
class Proxy:
    """A proxy that opens tunnels (CONNECT). Its repr shows no credentials."""

    address: str  # host and port
    authorization: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the CONNECT request; no other request has them."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization}


def proxies(setting: str | None) -> Callable[[Endpoint], Proxy | None]:
    """Which proxy leads to an endpoint; None means that it is reached directly.

    Args:
        setting: The URL of a proxy; `env` for HTTPS_PROXY or ALL_PROXY of the environment, except
            for the hosts of NO_PROXY; None for no proxy, whatever the environment says.

    Raises:
        InputError: It is not the URL of an HTTP proxy. The text shows no credentials. The
            function that is returned raises an OriginError for an endpoint without TLS: only a
            tunnel keeps a token from the proxy.
    """
    if setting is None:
        return lambda _: None
    check_type("proxy", setting, str, f"a URL such as {_EXAMPLE}, or env")
    from_environment = setting == FROM_ENVIRONMENT
    if from_environment:
        found = getproxies_environment()
        setting = found.get("https") or found.get("all")
        if setting is None:
            raise InputError("proxy 'env': neither HTTPS_PROXY nor ALL_PROXY is set")
    proxy = _parse(setting)

    def proxy_for(endpoint: Endpoint) -> Proxy | None:
        if from_environment and proxy_bypass(endpoint.address):
            return None
        if endpoint.scheme not in _TUNNELLED:
            reason = f"{endpoint.address} has no TLS, and a proxy is used for https and wss only"
            raise OriginError("resolve", reason)
        return proxy

    return proxy_for


def _parse(text: str) -> Proxy:
    try:
        parts = urlsplit(text if "//" in text else f"//{text}", "http")
        host, port = parts.hostname or "", _PORT if parts.port is None else parts.port
        address = f"[{host}]:{port}" if ":" in host else f"{host.encode('idna').decode()}:{port}"
    except ValueError:  # also UnicodeError
        raise _unusable(text) from None
    extra = parts.path.removeprefix("/") or parts.query or parts.fragment
    if parts.scheme != "http" or not host or port == 0 or extra or _NEVER_IN_A_URL.search(text):
        raise _unusable(text)
    if parts.username is None:
        return Proxy(address)
    username, password = unquote(parts.username), unquote(parts.password or "")
    encoded = base64.b64encode(f"{username}:{password}".encode()).decode()
    secrets = tuple(filter(None, (password, parts.password, encoded)))
    return Proxy(address, f"Basic {encoded}", secrets)


def _unusable(text: str) -> InputError:
    shown = text.rpartition("@")[2]  # without user name and password
    return InputError(
        f"proxy {shown!r} is not the URL of an HTTP proxy; give one such as {_EXAMPLE}"
    )

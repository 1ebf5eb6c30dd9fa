"""A real Caddy before a peer, as operators run it."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from deploy_relay_kit.harness.fronts.real import RealFront

_CONFIG = """
{{
  admin off
  auto_https off
  grace_period 100ms
  servers {{
    protocols h1
  }}
}}
https://:{port} {{
  bind 127.0.0.1
  tls {directory}/front.pem {directory}/front.pem
  @inside path_regexp `^{pattern}/`
  handle @inside {{
    uri strip_prefix "{prefix}"
    {directives}
    reverse_proxy {peer} {{
      {buffering}
      {tls}
    }}
  }}
  handle {{
    respond 404
  }}
}}
"""
_TLS = """transport http {{
        tls_trusted_ca_certs {directory}/ca.pem
        tls_server_name localhost
      }}"""


class CaddyFront(RealFront):
    """A path prefix of a real Caddy, whose `reverse_proxy` leads to a peer.

    Caddy keeps path and query, and writes header names in its own way. A chunked upload stays
    chunked, and reaches the peer while the client sends it. With `request_buffering=True`
    (`buffer_requests`, of Caddy 2.6), Caddy keeps the whole body in memory first; it stays chunked.
    """

    program = "caddy"

    def _config(self, directory: Path) -> str:
        tls = urlsplit(self._peer_origin).scheme == "https"
        return _CONFIG.format(
            port=self._port,
            directory=directory,
            pattern=re.escape(self._prefix),
            prefix=self._prefix,
            directives=self._directives,
            peer=self._peer_origin,
            buffering="buffer_requests" if self._request_buffering else "",
            tls=_TLS.format(directory=directory) if tls else "",
        )

    def _arguments(self, _directory: Path) -> list[str]:
        return ["run", "--adapter", "caddyfile", "--config", "front.conf"]

    def _environment(self, directory: Path) -> Mapping[str, str]:
        return {"HOME": str(directory), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}

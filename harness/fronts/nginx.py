"""A real nginx before a peer, as operators run it."""

import grp
import os
import pwd
from pathlib import Path

from deploy_relay_kit.harness.fronts.real import RealFront

_CONFIG = """
daemon off;
worker_processes 1;
{user}
pid nginx.pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path bodies;
  proxy_temp_path answers;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate front.pem;
    ssl_certificate_key front.pem;
    client_max_body_size 0;
    proxy_read_timeout 3720s;
    location / {{ return 404; }}
    location "{prefix}/" {{
      proxy_pass {peer}/;
      proxy_http_version 1.1;
      proxy_request_buffering {request_buffering};
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate ca.pem;
      proxy_ssl_name localhost;  # nginx compares names only, not the addresses of a certificate
      {directives}
    }}
  }}
}}
"""


class NginxFront(RealFront):
    """A path prefix of a real nginx, whose `proxy_pass` leads to a peer.

    nginx decodes and normalises the path (`%41`, `/./`) and keeps the query. It sends its own
    `Host`, `Connection: close`, and header names as the client wrote them. It redirects the prefix
    without a slash to the one with it. Of a chunked upload, the peer witnesses:

    - `request_buffering=False`: the body while the client sends it, in chunks of nginx. An upload
      with Content-Length keeps it.
    - `request_buffering=True`, the default of nginx: nothing until the client has sent everything,
      then Content-Length. A strict peer refuses that with WIRE-13, and with no other finding.
    """

    program = "nginx"

    def _config(self, _directory: Path) -> str:
        return _CONFIG.format(
            user=_user(),
            port=self._port,
            prefix=self._prefix,
            peer=self._peer_origin,
            request_buffering="on" if self._request_buffering else "off",
            directives=self._directives,
        )

    def _arguments(self, directory: Path) -> list[str]:
        return ["-p", f"{directory}/", "-c", "front.conf"]


def _user() -> str:
    """A `user` line for root; without it, nginx gives its directories to another user."""
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getegid()).gr_name};"

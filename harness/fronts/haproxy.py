"""A real HAProxy before a peer, as operators run it."""

from pathlib import Path
from urllib.parse import urlsplit

from deploy_relay_kit.harness.fronts.real import RealFront

_CONFIG = """
global
  log stderr local0 notice
  maxconn 256
defaults
  mode http
  timeout connect 10s
  timeout client 3720s
  timeout server 3720s
  {buffering}
frontend front
  bind 127.0.0.1:{port} ssl crt {directory}/front.pem
  acl inside path_beg "{prefix}/"
  http-request return status 404 unless inside
  http-request set-path "%[path,bytes({length})]"
  default_backend peers
backend peers
  server peer {peer}{tls}
  {directives}
"""
_TLS = " ssl verify required ca-file {directory}/ca.pem verifyhost localhost"


class HaproxyFront(RealFront):
    """A path prefix of a real HAProxy, whose backend is a peer.

    HAProxy changes neither path nor query, and sends header names in lower case. A chunked upload
    stays chunked, and reaches the peer while the client sends it: with `request_buffering=True`
    (`option http-buffer-request`), HAProxy waits for the first 16 kB only.
    """

    program = "haproxy"

    def _config(self, directory: Path) -> str:
        peer = urlsplit(self._peer_origin)
        return _CONFIG.format(
            buffering="option http-buffer-request" if self._request_buffering else "",
            port=self._port,
            directory=directory,
            prefix=self._prefix,
            length=len(self._prefix),
            peer=peer.netloc,
            tls=_TLS.format(directory=directory) if peer.scheme == "https" else "",
            directives=self._directives,
        )

    def _arguments(self, _directory: Path) -> list[str]:
        return ["-db", "-f", "front.conf"]

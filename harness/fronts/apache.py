"""A real Apache httpd before a peer, as operators run it."""

import os
import pwd
import shutil
from collections.abc import Mapping
from pathlib import Path

from deploy_relay_kit.harness.fronts.daemon import find_program
from deploy_relay_kit.harness.fronts.real import RealFront

_MODULES = ("mpm_event", "authz_core", "env", "ssl", "proxy", "proxy_http")
_PLACES = (
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/usr/local/apache2/modules",
)
_CONFIG = """
ServerRoot "{directory}"
ServerName 127.0.0.1
DefaultRuntimeDir "{directory}"
PidFile apache.pid
ErrorLog "|/bin/cat"
LogLevel warn
Listen 127.0.0.1:{port} https
{user}
{modules}
Timeout 3720
SSLEngine on
SSLCertificateFile front.pem
SSLCertificateKeyFile front.pem
SSLProxyEngine on
SSLProxyVerify require
SSLProxyCACertificateFile ca.pem
# httpd compares host names only, and the peer is named by its address
SSLProxyCheckPeerName off
AllowEncodedSlashes NoDecode
<Location "{prefix}/">
  ProxyPass "{peer}/" nocanon
  {buffering}
  {directives}
</Location>
"""


class ApacheFront(RealFront):
    """A path prefix of a real Apache httpd, whose `ProxyPass` leads to a peer.

    httpd keeps path and query as they are (`nocanon`). A chunked upload stays chunked, and reaches
    the peer while the client sends it. With `request_buffering=True` (`SetEnv proxy-sendcl`), httpd
    keeps the whole body in a file first and sends Content-Length, like nginx with its default.
    """

    program = "apache2"

    @classmethod
    def is_available(cls) -> bool:
        return find_program(cls.program) is not None and _modules() is not None

    def _config(self, directory: Path) -> str:
        modules = _modules()
        if modules is None:
            raise RuntimeError("no modules of apache2 on this machine: install it")
        return _CONFIG.format(
            directory=directory,
            port=self._port,
            user=_user(directory),
            modules="\n".join(f"LoadModule {it}_module {modules}/mod_{it}.so" for it in _MODULES),
            prefix=self._prefix,
            peer=self._peer_origin,
            buffering="SetEnv proxy-sendcl 1" if self._request_buffering else "",
            directives=self._directives,
        )

    def _arguments(self, directory: Path) -> list[str]:
        return ["-DFOREGROUND", "-f", str(directory / "front.conf")]

    def _environment(self, directory: Path) -> Mapping[str, str]:
        return {"TMPDIR": str(directory / "bodies")}


def _modules() -> Path | None:
    return next((Path(place) for place in _PLACES if Path(place, "mod_proxy.so").is_file()), None)


def _user(directory: Path) -> str:
    """For root, `User` and `Group` lines: httpd refuses to serve as root."""
    bodies = directory / "bodies"
    bodies.mkdir()
    if os.geteuid() != 0:
        return ""
    nobody = pwd.getpwnam("nobody")
    directory.chmod(0o711)
    shutil.chown(bodies, nobody.pw_uid, nobody.pw_gid)
    return f"User #{nobody.pw_uid}\nGroup #{nobody.pw_gid}"

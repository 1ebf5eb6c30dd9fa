"""A real nginx before a peer, as operators run it."""

import contextlib
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from harness.fronts.front import Front
from harness.peer.certificates import Authority
from harness.peer.peer import FakePeer

_START_DEADLINE = 10.0
_STOP_DEADLINE = 5.0
_ENOUGH_OF_THE_LOG = 4000

_CONFIG = """
daemon off;
worker_processes 1;  # below a master: a single process cannot inherit a listening socket
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
    listen {address} ssl;
    ssl_certificate front.pem;
    ssl_certificate_key front.pem;
    client_max_body_size 0;
    location / {{ return 404; }}
    location = "{prefix}" {{ return 404; }}  # or nginx would redirect to the prefix with a slash
    location "{prefix}/" {{
      proxy_pass {peer}/;
      proxy_http_version 1.1;
      proxy_request_buffering {request_buffering};
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate ca.pem;
      proxy_ssl_name localhost;  # nginx compares names only, not the addresses of a certificate
    }}
  }}
}}
"""


def nginx_available() -> bool:
    """Whether an nginx is installed, on the path or in a directory of daemons."""
    return _nginx() is not None


def _nginx() -> str | None:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("nginx", path=path)


class NginxFront(Front):
    """A path prefix of a real nginx, whose `proxy_pass` leads to a peer.

    nginx decodes and normalises the path (`%41`, `/./`) and keeps the query. It sends its own
    `Host`, `Connection: close`, and header names as the client wrote them. Of a chunked upload, the
    peer witnesses:

    - `request_buffering=False`: the body while the client sends it, in chunks of nginx. An upload
      with Content-Length keeps it.
    - `request_buffering=True`: nothing until the client has sent everything, then Content-Length.
      A strict peer refuses that with WIRE-13, and with no other finding.
    """

    def __init__(
        self, authority: Authority, peer: FakePeer, prefix: str, *, request_buffering: bool = False
    ) -> None:
        """Prepare a front of a started peer of the same authority; `prefix` like `/ops`."""
        super().__init__(peer, prefix)
        self._authority = authority
        self._request_buffering = request_buffering
        self._cleanup = contextlib.ExitStack()

    def start(self) -> Self:
        """Start nginx and wait for one handshake.

        Raises:
            RuntimeError: nginx is not installed or did not start; the text shows its error log.
        """
        with contextlib.ExitStack() as cleanup:
            directory = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="nginx-front-"))
            self._start(Path(directory), cleanup)
            self._cleanup = cleanup.pop_all()
        return self

    def stop(self) -> None:
        """Stop nginx and remove its directory; do nothing when already stopped."""
        self._cleanup.close()

    def _start(self, directory: Path, cleanup: contextlib.ExitStack) -> None:
        nginx = _nginx()
        if nginx is None:
            raise RuntimeError("no nginx on this machine: install it")
        log = directory / "error.log"
        # nginx cannot choose a free port: it inherits a listening socket, like a newer binary of
        # itself would. No other process can take the port in between.
        with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as errors:
            listener.settimeout(0)  # nginx expects a non-blocking socket
            self._port = listener.getsockname()[1]
            self._write_files(directory)
            process = subprocess.Popen(  # noqa: S603 - the nginx of this machine, on our own files
                [nginx, "-p", f"{directory}/", "-c", "nginx.conf"],
                env={**os.environ, "NGINX": f"{listener.fileno()};"},
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                process_group=0,
            )
        cleanup.callback(_end, process)
        try:
            self._shake_hands()
        except OSError as error:
            end = log.read_text(errors="replace")[-_ENOUGH_OF_THE_LOG:]
            raise RuntimeError(f"nginx did not start ({error}); its log:\n{end}") from error

    def _write_files(self, directory: Path) -> None:
        (directory / "front.pem").write_bytes(
            b"".join(self._authority.leaf("127.0.0.1", "localhost"))
        )
        self._authority.write(directory / "ca.pem")
        peer = urlsplit(self.peer.url)
        config = _CONFIG.format(
            user=_user(),
            address=f"127.0.0.1:{self._port}",
            prefix=self._prefix,
            peer=f"{peer.scheme}://{peer.netloc}",
            request_buffering="on" if self._request_buffering else "off",
        )
        (directory / "nginx.conf").write_text(config)

    def _shake_hands(self) -> None:
        """Wait for one handshake: a connection alone is made by the kernel, before nginx runs."""
        context = self._authority.client_context()
        with (
            socket.create_connection(("127.0.0.1", self._port), _START_DEADLINE) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1"),
        ):
            pass


def _user() -> str:
    """A `user` line for root; without it, nginx gives its directories to another user."""
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getegid()).gr_name};"


def _end(master: subprocess.Popen[bytes]) -> None:
    """Terminate the master, which ends its worker; kill both when that takes too long."""
    master.terminate()
    try:
        master.wait(_STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        os.killpg(master.pid, signal.SIGKILL)
        master.wait()

"""A real tinyproxy, through which a relay reaches its peers."""

import re
import socket
from pathlib import Path
from typing import Self

from deploy_relay_kit.harness.faults.checks import check_text
from deploy_relay_kit.harness.fronts.daemon import LOG, RealProgram

_CONFIG = """
Listen 127.0.0.1
Port {port}
Timeout 600
MaxClients 200
LogLevel Connect
{directives}
"""
_TUNNEL = re.compile(r"Request \(file descriptor \d+\): CONNECT (\S+) ")
_CONNECT = 10.0


class Tinyproxy(RealProgram):
    """A real tinyproxy that opens tunnels (CONNECT) to any port; a context manager."""

    program = "tinyproxy"

    def __init__(self, directives: str = "") -> None:
        """`directives`: further lines of its configuration, such as `BasicAuth user password`."""
        check_text.validate("directives", directives)
        super().__init__()
        self._directives = directives
        self._log = Path()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def tunnels(self) -> list[str]:
        """Host and port of each tunnel that was asked for, in order."""
        return _TUNNEL.findall(self._log.read_text(errors="replace"))

    def __enter__(self) -> Self:
        """Start it and wait until it accepts connections.

        Raises:
            RuntimeError: it is not installed or did not start; the text shows its log.
        """
        self._run()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _prepared(self, directory: Path) -> list[str]:
        self._log = directory / LOG
        config = directory / "tinyproxy.conf"
        config.write_text(_CONFIG.format(port=self._port, directives=self._directives))
        return ["-d", "-c", str(config)]

    def _ready(self) -> None:
        socket.create_connection(("127.0.0.1", self._port), _CONNECT).close()

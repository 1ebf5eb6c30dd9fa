"""A real tinyproxy, through which a relay reaches its peers."""

import contextlib
import re
import socket
from pathlib import Path
from typing import Self

from harness.fronts.daemon import directory_for, find_program, reserved_port, running

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


class Tinyproxy:
    """A real tinyproxy that opens tunnels (CONNECT) to any port; a context manager."""

    program = "tinyproxy"

    def __init__(self, directives: str = "") -> None:
        """`directives`: further lines of its configuration, such as `BasicAuth user password`."""
        self._directives = directives
        self._port = 0
        self._log = Path()
        self._cleanup = contextlib.ExitStack()

    @classmethod
    def is_available(cls) -> bool:
        """Whether the program is installed, on the path or in a directory of daemons."""
        return find_program(cls.program) is not None

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
        program = find_program(self.program)
        if program is None:
            raise RuntimeError(f"no {self.program} on this machine: install it")
        with contextlib.ExitStack() as cleanup:
            directory = cleanup.enter_context(directory_for(self.program))
            self._log = directory / "output.log"
            with reserved_port() as self._port:
                config = directory / "tinyproxy.conf"
                config.write_text(_CONFIG.format(port=self._port, directives=self._directives))
                command = [program, "-d", "-c", str(config)]
                cleanup.enter_context(running(command, directory, self._connect))
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def _connect(self) -> None:
        socket.create_connection(("127.0.0.1", self._port), _CONNECT).close()

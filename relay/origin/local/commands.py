"""The commands of the configuration: argument lists, without a shell, with a time limit."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path

from deploy_relay_kit.relay.origin.answers import RefusalError

Line = dict[str, str]
_LINES, _LINE_BYTES, _ALL_BYTES = 200, 4_096, 16_384  # DEP-13
_BLOCK = 4_096


async def run(
    command: list[str], directory: Path, seconds: float, on_line: Callable[[Line], None]
) -> None:
    """Run a command until its output ends, and pass each line of that on (SSE-07).

    One that takes too long is killed with its children. Its last lines are part of a RefusalError.
    """
    with_name = f"command {command[0]!r}"
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: an argument with a NUL
        why = error.strerror if isinstance(error, OSError) else error
        raise RefusalError(500, f"{with_name} cannot start: {why}") from None
    assert process.stdout is not None
    output = _Output(Path(command[0]).name, on_line)
    code = None
    try:
        async with asyncio.timeout(seconds):
            while block := await process.stdout.read(_BLOCK):
                output.take(block)
                await asyncio.sleep(0)  # others have their turn, however much it writes
            code = await process.wait()
    except TimeoutError:
        reason = f"{with_name} took longer than {seconds:g} s"
        raise RefusalError(500, reason, **output.members()) from None
    finally:
        output.end()
        if code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: only zombies
                os.killpg(process.pid, signal.SIGKILL)
            # Without this, `wait` waits for the end of the output: of what was not read, or of a
            # child in a session of its own.
            process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
            await process.wait()
    if code:
        reason = f"{with_name} failed with exit code {code}"
        raise RefusalError(500, reason, **output.members())


class _Output:
    """Bytes to lines; the last of them are kept for an error."""

    def __init__(self, manager: str, on_line: Callable[[Line], None]) -> None:
        self._manager, self._on_line = manager, on_line
        self._kept: deque[Line] = deque()
        self._size = self._dropped = 0
        self._rest = b""

    def take(self, block: bytes) -> None:
        """Only whole lines are decoded, so no character is cut (BUG-03)."""
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            self._say(line)
        if len(self._rest) > _LINE_BYTES:  # a line without an end is cut, to bound it
            self.end()

    def end(self) -> None:
        if self._rest:
            self._say(self._rest)
        self._rest = b""

    def members(self) -> dict[str, object]:
        """The member of an error that holds the last lines."""
        self.end()
        return {
            "install_output": {
                "lines": list(self._kept),
                "truncated": self._dropped > 0,
                "dropped_lines": self._dropped,
            }
        }

    def _say(self, line: bytes) -> None:
        text = line[:_LINE_BYTES].removesuffix(b"\r").decode(errors="replace")
        entry = {"manager": self._manager, "stream": "stdout", "line": text}
        self._on_line(entry)
        self._kept.append(entry)
        self._size += len(text)
        while len(self._kept) > _LINES or self._size > _ALL_BYTES:
            self._size -= len(self._kept.popleft()["line"])
            self._dropped += 1

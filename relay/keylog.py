"""SSLKEYLOGFILE: every default TLS context opens this file; aiohttp does when it is imported."""

import os
from contextlib import suppress

from deploy_relay_kit.relay.errors import InputError

_VARIABLE = "SSLKEYLOGFILE"


def _import_aiohttp() -> None:
    """Import aiohttp also when the file cannot be written; a deploy then raises `unwritable`."""
    with suppress(OSError):
        import aiohttp  # noqa: PLC0415

        return
    file = os.environ.pop(_VARIABLE, None)
    try:
        import aiohttp  # noqa: F401, PLC0415
    finally:
        if file is not None:
            os.environ[_VARIABLE] = file


def unwritable(error: OSError) -> InputError:
    """The error of a deploy whose TLS context could not open the file."""
    why = f"{_VARIABLE} {os.environ.get(_VARIABLE)!r} cannot be written: {error.strerror}"
    return InputError(f"{why}; unset it, or give another file")


_import_aiohttp()

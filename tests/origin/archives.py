"""Archives for tests, good and evil."""

from __future__ import annotations

import gzip
import io
import tarfile


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def archive(*entries: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def component(**files: bytes) -> bytes:
    return archive(*((entry(name), content) for name, content in files.items()))


def bomb(size: int) -> bytes:
    """An archive of so many zeros. It takes a second: make it in the test, not in a table."""
    return gzip.compress(gzip.decompress(archive((entry("zeros"), bytes(size)))), 9)

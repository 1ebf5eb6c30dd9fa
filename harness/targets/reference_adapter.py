"""The reference relay as a command adapter: `cmd:python -m harness.targets.reference_adapter`."""

from __future__ import annotations

import sys

from harness.targets.reference import ReferenceTarget
from harness.targets.serve import serve

if __name__ == "__main__":
    sys.exit(serve(ReferenceTarget(), sys.stdin.buffer, sys.stdout.buffer))

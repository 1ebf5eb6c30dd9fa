"""The reference relay as a command adapter: `cmd:python -m harness.targets.reference_adapter`.

Arguments are the capabilities that it declares, all by default: so the suite can be seen to ask of
a relay no more than it declares.
"""

from __future__ import annotations

import sys

from harness.targets.adapter_side import serve
from harness.targets.reference import ReferenceTarget

if __name__ == "__main__":
    target = ReferenceTarget()
    target.capabilities = frozenset(sys.argv[1:]) or target.capabilities
    sys.exit(serve(target, sys.stdin.buffer, sys.stdout.buffer))

"""`python -m deploy_relay_kit.harness` is `relay-harness`."""

import sys

from deploy_relay_kit.harness.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

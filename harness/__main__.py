"""`python -m deploy_relay_kit.harness` is `relay-harness`."""

import sys

from deploy_relay_kit.commands import relay_harness

if __name__ == "__main__":
    sys.exit(relay_harness())

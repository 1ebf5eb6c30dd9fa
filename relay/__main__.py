"""`python -m deploy_relay_kit.relay` is `relay`."""

import sys

from deploy_relay_kit.commands import relay

if __name__ == "__main__":
    sys.exit(relay())

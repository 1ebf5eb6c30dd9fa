"""`python -m relay`."""

import sys

from deploy_relay_kit.relay.command.cli import main

sys.exit(main())

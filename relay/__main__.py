"""`python -m relay`."""

import sys

from relay.command.cli import main

sys.exit(main())

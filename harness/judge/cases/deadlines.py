"""The times, in seconds, and the limits that several cases share."""

from deploy_relay_kit.harness.targets.deploy_command import Limits

IN_TIME = 8.0
"""A deploy that nothing should delay ends within it: far from a hang, and from a loaded machine."""

SOON = 5.0
"""A relay that makes any progress has made it by then, also on a loaded machine."""

LIMIT = 1.0
"""A limit of a relay that it reaches soon, and in which it can connect on a loaded machine."""

AN_HOUR = 3_600

THRICE = Limits(attempts=3, retry_delay=0.01)
"""Three attempts, as fast as the relay likes."""

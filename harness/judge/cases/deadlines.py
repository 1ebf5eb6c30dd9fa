"""The times, in seconds, that several cases share."""

IN_TIME = 8.0
"""A deploy that nothing should delay ends within it: far from a hang, and from a loaded machine."""

SOON = 5.0
"""A relay that makes any progress has made it by then, also on a loaded machine."""

AN_HOUR = 3_600

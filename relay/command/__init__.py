"""The command line around the relay: `relay deploy`. Who ports the relay need not read it."""

"""The command `relay serve`, and what belongs to a node."""

"""The deploy on this node: what an archive may contain, builds and their swap, commands."""

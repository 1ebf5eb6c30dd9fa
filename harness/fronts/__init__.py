"""What operators put before a node: a path-prefix proxy, and a real nginx."""

"""Real nodes: processes of `relay serve` under one authority, each with its directory.

They import `peer`, `faults` and `errors`, and nothing of `relay/`: they know a node by its command,
its configuration and its operations API. Begin with `cluster.py`.
"""

"""A fake node: its operations API, its tokens, certificates and payloads.

This room imports `witness`, `faults`, `profiles` and `transport`. Begin with `peer.py`, which tests
use, then read `operations.py`, which answers each request.
"""

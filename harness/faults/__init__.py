"""Faults: the ways in which a peer misbehaves, and the answers that it sends, as frozen values.

It imports no other room. Begin with `kinds.py`, the list of all faults.
"""

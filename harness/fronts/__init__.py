"""Fronts: proxies that operators put before a node, a path-prefix proxy and a real nginx.

They import `peer`. Begin with `front.py`, the base class of both.
"""

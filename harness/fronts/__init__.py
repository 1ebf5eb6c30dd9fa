"""Fronts: proxies that operators put before a node. A path-prefix proxy, and real ones.

They import `peer`. Begin with `front.py`, the base class of all; `real.py` is that of nginx,
HAProxy, Apache httpd and Caddy. `tinyproxy.py` is a proxy before the relay.
"""

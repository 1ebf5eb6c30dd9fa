"""The command line `relay-harness`: one module for each larger command, and what they share.

It may import every room; no room imports it. Begin with `main.py`.
"""

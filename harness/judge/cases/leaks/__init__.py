"""Secrets of nodes, searched for wherever they do not belong (BUG-41)."""

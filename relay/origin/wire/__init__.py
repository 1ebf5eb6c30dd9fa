"""Bytes of a client and values: a form as it arrives, its fields, events, the answer."""

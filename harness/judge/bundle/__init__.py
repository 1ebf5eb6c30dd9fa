"""A case of one run in one file, to be sent to somebody and repeated there.

It imports the models of `judge/` and the cluster. Begin with `document.py`, what a bundle holds.
"""

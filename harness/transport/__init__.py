"""The server under every fake node: a listener, connections, and the requests on them.

This room imports `witness`, `faults` and `profiles`; only `server.py` and `requests.py` use
pytest-httpserver and Werkzeug. Begin with `server.py`, then read `connection.py` (each read and
write is witnessed) and `conversation.py` (one request is received and answered).
"""

"""Pure: an event as bytes (SSE-03, SSE-04). The relay's reader of events shares no code with it."""

import json

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
PRIME = b": stream open\n\n"


def encoded(name: str, data: object) -> bytes:
    """One event; its data is JSON, which holds no line end."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def asks_for_events(accept: str) -> bool:
    """Whether an Accept header asks for a stream of events (SSE-01)."""
    return MEDIA_TYPE in accept.lower()

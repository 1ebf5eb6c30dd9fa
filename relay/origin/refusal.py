"""Pure: an answer that says no."""


class RefusalError(Exception):
    """A request that is refused: an HTTP status, and the text of `error`."""

    def __init__(self, status: int, error: str, **members: object) -> None:
        super().__init__(error)
        self.status = status
        self.body: dict[str, object] = {"error": error, **members}

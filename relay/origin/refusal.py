"""Pure: an answer that says no."""

import logging

from deploy_relay_kit.relay.errors import InputError

_LOG = logging.getLogger(__name__)


class RefusalError(Exception):
    """A request that is refused: an HTTP status, and the text of `error`."""

    def __init__(self, status: int, error: str, **members: object) -> None:
        super().__init__(error)
        self.status = status
        self.body: dict[str, object] = {"error": error, **members}


def refusal_of(error: Exception, act: str) -> RefusalError:
    """The refusal that answers any exception; `act` is what the node could not do."""
    match error:
        case RefusalError():
            return error
        case InputError():  # of a file that the configuration names
            return RefusalError(400, str(error))
        case OSError():
            return RefusalError(500, f"cannot {act}: {error.strerror}")
    _LOG.error("cannot %s", act, exc_info=error)  # a bug
    return RefusalError(500, "internal error; see the log of the node")

"""The classes of all faults, for the tests that ask something of each."""

from __future__ import annotations

import inspect
from typing import get_args

from deploy_relay_kit.harness.faults.kinds import Fault, SocketFault
from deploy_relay_kit.harness.replication import faults as socket_faults


def fault_classes() -> set[type]:
    """Every class of a fault of a peer or of a replication socket."""
    of_sockets = {
        kind
        for kind in vars(socket_faults).values()
        if inspect.isclass(kind) and issubclass(kind, SocketFault) and not inspect.isabstract(kind)
    }
    return {*get_args(Fault), *of_sockets - {SocketFault}}

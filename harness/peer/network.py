"""The faults of the network that are due on one connection of a peer."""

from functools import partial
from typing import get_args

from deploy_relay_kit.harness.faults.answers import Script
from deploy_relay_kit.harness.faults.kinds import OneFault
from deploy_relay_kit.harness.faults.network import (
    Bandwidth,
    DelayPlace,
    HalfOpen,
    Latency,
    NetworkGroup,
    Slices,
    SlowClose,
    delayed,
    network_group,
    sliced,
)
from deploy_relay_kit.harness.faults.schedule import FaultSchedule
from deploy_relay_kit.harness.transport.link import Link, Pace

_GROUPS: tuple[NetworkGroup, ...] = get_args(NetworkGroup)


class Network:
    """The faults of the network on one connection, drawn when it is accepted."""

    def __init__(self, schedule: FaultSchedule) -> None:
        self._schedule = schedule
        self._due: dict[NetworkGroup, OneFault | None] = {
            group: schedule.due(group) for group in _GROUPS if schedule.has(group)
        }

    def delay(self, place: DelayPlace) -> float:
        """The next delay at a place, in seconds."""
        group = network_group(Latency(0, place))
        fault = self._due.get(group) if group else None
        if group is None or not isinstance(fault, Latency):
            return 0.0
        self._schedule.show(group)
        with self._schedule.lock:
            return fault.delay(self._schedule.random(group, fault))

    def _slice(self, fault: Slices) -> int:
        self._schedule.show("slices")
        with self._schedule.lock:
            return fault.next_size(self._schedule.random("slices", fault))

    def _shape(self, script: Script) -> Script:
        script = delayed(script, self.delay)
        fault = self._due.get("slices")
        if isinstance(fault, Slices):
            script = sliced(script, partial(self._slice, fault), fault.pause)
        return script

    def link(self) -> Link:
        """The link of the connection."""
        if not self._due:
            return Link()
        link = Link(self._shape, partial(self.delay, "handshake"))
        link.ending = partial(self._schedule.show, "end of the connection")
        for fault in self._due.values():
            match fault:
                case Bandwidth(receive, send):
                    self._schedule.show("bandwidth")
                    link.receive = Pace(receive) if receive else None
                    link.send = Pace(send) if send else None
                case SlowClose(seconds):
                    link.close_after = seconds
                case HalfOpen():
                    link.is_half_open = True
        return link

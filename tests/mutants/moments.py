"""Changes of the reference that depend on the part, the host or the attempt of a connection."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from deploy_relay_kit.relay import fanout
from deploy_relay_kit.relay.errors import AttemptError
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.tls import Tls, contexts_for


@dataclass(frozen=True)
class Moment:
    """The circumstances of one connection.

    Attributes:
        peer: its node.
        part: `mint`, `upload` or `socket`.
        attempt: its number, from 1 on.
        last: the failure of the attempt before.
    """

    peer: Peer
    part: str
    attempt: int
    last: AttemptError | None

    @property
    def is_again(self) -> bool:
        return self.attempt > 1

    @property
    def is_lost(self) -> bool:
        """Whether the attempt before got no answer."""
        return self.last is not None and self.last.status_code is None

    @property
    def code(self) -> int | None:
        """The status that the attempt before got."""
        return self.last.status_code if self.last else None

    @property
    def verifies(self) -> bool:
        return self.peer.tls.verify_mode is not ssl.CERT_NONE

    @property
    def host(self) -> str:
        return self.peer.api.host

    @property
    def is_address(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    @property
    def has_authority(self) -> bool:
        return self.peer.node.ca_file is not None

    @property
    def shows_certificate(self) -> bool:
        how = _hows.get(self.peer.tls)
        return how is not None and how.certificate_file is not None

    @property
    def is_socket(self) -> bool:
        return self.part == "socket"


When = Callable[[Moment], bool]
_hows: WeakKeyDictionary[ssl.SSLContext, Tls] = WeakKeyDictionary()


def count_attempts(patch: pytest.MonkeyPatch) -> Callable[[Peer, str], Moment]:
    """Note the attempts of each node; the result makes the moment of a connection now."""
    attempts: WeakKeyDictionary[Any, list[AttemptError | None]] = WeakKeyDictionary()
    attempt = fanout._attempt

    async def noted(work: Any, peer: Peer) -> Any:
        failures = attempts.setdefault(peer.secrets, [])
        outcome = await attempt(work, peer)
        failures.append(outcome if isinstance(outcome, AttemptError) else None)
        return outcome

    def moment(peer: Peer, part: str) -> Moment:
        failures = attempts.get(peer.secrets, [])
        return Moment(peer, part, len(failures) + 1, failures[-1] if failures else None)

    patch.setattr(fanout, "_attempt", noted)
    return moment


def change_moments(patch: pytest.MonkeyPatch, change: Callable[[Moment], Peer]) -> None:
    """Open each connection as another peer would."""
    moment = count_attempts(patch)
    exchange, socket = Peer.post, Peer.replication_socket

    def exchanged(self: Peer, headers: Any, body: Any, *rest: Any) -> Any:
        part = "mint" if isinstance(body, bytes) else "upload"
        return exchange(change(moment(self, part)), headers, body, *rest)

    def opened(self: Peer, *at: Any) -> Any:
        return socket(change(moment(self, "socket")), *at)

    def with_tls(nodes: Any, how: Tls) -> list[ssl.SSLContext]:
        contexts = contexts_for(nodes, how)
        _hows.update(dict.fromkeys(contexts, how))
        return contexts

    patch.setattr(fanout, "contexts_for", with_tls)
    patch.setattr(Peer, "post", exchanged)
    patch.setattr(Peer, "replication_socket", opened)


def copied(
    context: ssl.SSLContext,
    kind: type[ssl.SSLContext] = ssl.SSLContext,
    *,
    verify: bool = True,
    host: bool = True,
    shows: bool = True,
) -> ssl.SSLContext:
    """A context that trusts and shows the same, except for what is switched off."""
    made = kind(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = host and verify and context.check_hostname
    made.verify_mode = context.verify_mode if verify else ssl.CERT_NONE
    for each in context.get_ca_certs(binary_form=True):
        made.load_verify_locations(cadata=each)
    how = _hows.get(context)
    if shows and how is not None and how.certificate_file is not None:
        made.load_cert_chain(how.certificate_file, how.key_file)
    return made


def change_contexts(
    patch: pytest.MonkeyPatch, when: When, change: Callable[[ssl.SSLContext], ssl.SSLContext]
) -> None:
    change_moments(
        patch, lambda it: replace(it.peer, tls=change(it.peer.tls)) if when(it) else it.peer
    )


def verify_unless(patch: pytest.MonkeyPatch, when: When) -> None:
    change_contexts(patch, when, lambda it: copied(it, verify=False))


def compare_host_unless(patch: pytest.MonkeyPatch, when: When) -> None:
    change_contexts(patch, when, lambda it: copied(it, host=False))


def show_no_certificate_when(patch: pytest.MonkeyPatch, when: When) -> None:
    change_contexts(patch, when, lambda it: copied(it, shows=False))


class _NoName(ssl.SSLContext):
    """Sends no name in the handshake."""

    def wrap_bio(self, *at: Any, **how: Any) -> ssl.SSLObject:
        self.check_hostname = False
        return super().wrap_bio(*at, **{**how, "server_hostname": None})


def name_nobody_when(patch: pytest.MonkeyPatch, when: When) -> None:
    change_contexts(patch, when, lambda it: copied(it, _NoName))

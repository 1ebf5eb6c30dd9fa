"""Mutants whose trust depends on the circumstances of a connection: its part, host or attempt."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness import CertificateFlaw
from deploy_relay_kit.relay import fanout, tls, urls
from deploy_relay_kit.relay import peer as peers
from deploy_relay_kit.relay.errors import AttemptError
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.tls import Tls, contexts_for
from deploy_relay_kit.relay.token import OperationsMint
from tests.conformance import test_plain, test_posture, test_sockets_trust, test_tls
from tests.mutants.moments import (
    compare_host_unless,
    copied,
    name_nobody_when,
    show_no_certificate_when,
    verify_unless,
)
from tests.mutants.mutant import alike, case, mutant

CHANGED = case(test_posture.test_a_certificate_that_changes_is_verified_in_each_later_attempt)
FLAWED = test_tls.test_a_flawed_certificate_is_refused_before_a_request
SOCKET = test_sockets_trust.test_a_flawed_certificate_of_a_socket_is_refused
SHOWN = case(test_posture.test_the_relays_certificate_is_shown_to_every_node_on_every_connection)
SHOWN_TO_SOCKETS = case(test_sockets_trust.test_a_socket_is_shown_the_same_however_it_is_verified)
NAMES = case(test_sockets_trust.test_the_handshake_of_a_socket_names_the_node_and_no_address)
WRONG_HOST = CertificateFlaw.WRONG_HOST

# -- verification --------------------------------------------------------------------------------

alike(
    verify_unless,
    "TLS-01",
    killed_by=CHANGED,
    nothing_is_verified_after_a_lost_upload=lambda it: it.is_lost and it.last.stage != "connect",
    nothing_is_verified_after_a_503=lambda it: it.code == 503,
    no_third_attempt_is_verified=lambda it: it.attempt > 2,
    no_second_upload_is_verified=lambda it: it.is_again and it.part == "upload",
)
alike(
    verify_unless,
    "TLS-01",
    killed_by=case(
        test_posture.test_a_certificate_that_changes_after_the_mint_is_verified_for_the_upload
    ),
    no_upload_is_verified_whose_mint_was=lambda it: (
        it.part == "upload" and isinstance(it.peer.mint, OperationsMint)
    ),
)
alike(
    verify_unless,
    "TLS-01",
    killed_by=case(FLAWED),
    no_ipv6_address_is_verified=lambda it: ":" in it.host,
    localhost_is_not_verified=lambda it: it.host == "localhost",
    no_node_with_a_path_is_verified=lambda it: it.peer.api.target != "/",
    no_node_without_a_url_is_verified=lambda it: not it.peer.node.url,
)
alike(
    verify_unless,
    "TLS-01",
    killed_by=case(SOCKET),
    no_socket_without_a_url_is_verified=lambda it: (
        it.is_socket and not it.peer.node.replication_url
    ),
    no_socket_with_its_own_authority_is_verified=lambda it: it.is_socket and it.has_authority,
)
alike(
    verify_unless,
    "TLS-01",
    killed_by=case(
        test_sockets_trust.test_a_socket_is_trusted_in_the_second_attempt_as_in_the_first
    ),
    no_second_socket_is_verified=lambda it: it.is_socket and it.is_again,
)
alike(
    verify_unless,
    "TLS-01",
    killed_by=case(test_plain.test_certificates_are_verified_where_plain_http_is_allowed),
    nothing_is_verified_where_http_is_allowed=lambda it: it.peer.allow_http,
)
alike(
    compare_host_unless,
    "TLS-01",
    killed_by=case(FLAWED, flaw=WRONG_HOST),
    no_host_name_is_compared=lambda it: not it.is_address,
    no_ipv6_address_is_compared=lambda it: ":" in it.host,
    no_host_is_compared_without_a_url=lambda it: not it.peer.node.url,
)
alike(
    compare_host_unless,
    "TLS-01",
    killed_by=case(SOCKET, flaw=WRONG_HOST),
    no_host_of_a_socket_with_its_own_authority_is_compared=lambda it: (
        it.is_socket and it.has_authority
    ),
)

# -- what the relay shows ------------------------------------------------------------------------

alike(
    show_no_certificate_when,
    "KIT-03",
    killed_by=SHOWN,
    no_certificate_is_shown_without_verification=lambda it: not it.verifies,
    no_certificate_is_shown_after_a_lost_connection=lambda it: it.is_lost,
    no_certificate_is_shown_with_a_given_token=lambda it: (
        type(it.peer.mint).__name__ == "GivenToken"
    ),
)
alike(
    show_no_certificate_when,
    "KIT-03",
    killed_by=SHOWN_TO_SOCKETS,
    no_certificate_is_shown_to_a_second_socket=lambda it: it.is_socket and it.is_again,
    no_certificate_is_shown_to_a_socket_without_verification=lambda it: (
        it.is_socket and not it.verifies
    ),
    no_certificate_is_shown_to_a_socket_with_its_own_authority=lambda it: (
        it.is_socket and it.has_authority
    ),
)
alike(
    name_nobody_when,
    "TLS-03",
    killed_by=case(
        test_posture.test_the_handshake_names_the_host_of_every_node_on_every_connection
    ),
    no_host_is_named_without_verification=lambda it: not it.verifies and not it.is_socket,
    no_host_is_named_after_a_lost_connection=lambda it: it.is_lost and not it.is_socket,
)
alike(
    name_nobody_when,
    "WS-06",
    killed_by=SHOWN_TO_SOCKETS,
    no_node_is_named_to_a_second_socket=lambda it: it.is_socket and it.is_again,
    no_node_is_named_to_a_socket_without_verification=lambda it: it.is_socket and not it.verifies,
    no_node_is_named_to_a_socket_with_its_own_authority=lambda it: (
        it.is_socket and it.has_authority
    ),
)


def name_sockets(patch: pytest.MonkeyPatch, name: Callable[[Node], str | None]) -> None:
    patch.setattr(peers, "server_name", name)


alike(
    name_sockets,
    "WS-06",
    killed_by=NAMES,
    a_socket_has_its_port_in_its_name=lambda node: node.name,
    a_socket_has_the_first_label_of_its_name=lambda node: (
        (urls.server_name(node) or "").partition(".")[0] or None
    ),
    a_socket_of_an_address_has_that_address=lambda node: (
        urls.server_name(node) or urls._bare_name(node.name).strip("[]")
    ),
)


alike(
    name_sockets,
    "WS-06",
    killed_by=case(
        test_sockets_trust.test_a_socket_at_the_host_of_a_node_is_compared_with_its_name
    ),
    a_socket_has_the_host_of_its_node_in_its_handshake=lambda node: (
        node.host or urls.server_name(node)
    ),
)


@mutant(
    "TLS-01",
    killed_by=case(
        test_sockets_trust.test_a_socket_is_refused_whose_certificate_is_for_its_address_alone
    ),
)
def a_socket_may_have_the_certificate_of_its_host(patch: pytest.MonkeyPatch) -> None:
    socket = Peer.replication_socket

    @contextlib.asynccontextmanager
    async def twice(self: Peer, *at: Any) -> AsyncIterator[Any]:
        async with contextlib.AsyncExitStack() as stack:
            try:
                opened = await stack.enter_async_context(socket(self, *at))
            except AttemptError as error:
                if error.stage != "tls" or not self.tls.check_hostname:
                    raise
                with pytest.MonkeyPatch.context() as other:
                    other.setattr(peers, "server_name", lambda _: None)
                    opened = await stack.enter_async_context(socket(self, *at))
            yield opened

    patch.setattr(Peer, "replication_socket", twice)


# -- from one deploy to the next -----------------------------------------------------------------


AGAIN = case(test_tls.test_each_deploy_trusts_the_authorities_that_it_was_given)
ALONE = case(test_tls.test_the_authority_of_a_node_is_trusted_for_that_node_alone)
REPLACED = case(test_posture.test_each_deploy_shows_the_certificate_that_it_was_given)


@mutant("TLS-01", "TLS-02", killed_by=AGAIN)
def files_of_authorities_are_cached_by_path(patch: pytest.MonkeyPatch) -> None:
    read, texts = tls._certificates, dict[Path, str]()

    def cached(file: Path) -> str:
        if file not in texts:
            texts[file] = read(file)
        return texts[file]

    patch.setattr(tls, "_certificates", cached)


@mutant("TLS-01", killed_by=AGAIN)
@mutant("TLS-02", killed_by=ALONE)
def authorities_add_up_over_deploys(patch: pytest.MonkeyPatch) -> None:
    new, so_far = tls._new_context, dict[str, None]()

    def grown(trusted: tuple[str, ...], verify: bool) -> ssl.SSLContext:  # noqa: FBT001
        so_far.update(dict.fromkeys(trusted))
        return new(tuple(so_far), verify)

    patch.setattr(tls, "_shared_context", grown)


@mutant("KIT-03", killed_by=REPLACED)
def the_first_certificate_is_shown_for_ever(patch: pytest.MonkeyPatch) -> None:
    load, first = tls.load_certificate, dict[Any, bytes]()

    def kept(context: ssl.SSLContext, certificate: Any, key: Any) -> None:
        now = Path(certificate).read_bytes()
        Path(certificate).write_bytes(first.setdefault(certificate, now))
        load(context, certificate, key)
        Path(certificate).write_bytes(now)

    patch.setattr(tls, "load_certificate", kept)


@mutant("KIT-03", killed_by=REPLACED)
def a_certificate_is_shown_in_later_deploys(patch: pytest.MonkeyPatch) -> None:
    last: list[Tls] = []

    def kept(how: Tls) -> Tls:
        if how.certificate_file is not None:
            last.append(how)
        return replace(last[-1], ca_file=how.ca_file) if last else how

    patch.setattr(fanout, "contexts_for", lambda nodes, how: contexts_for(nodes, kept(how)))


@mutant(
    "KIT-03",
    killed_by=case(test_tls.test_a_peer_that_requests_a_certificate_is_shown_the_relays_own),
)
def the_chain_of_the_certificate_is_not_shown(patch: pytest.MonkeyPatch) -> None:
    load = tls.load_certificate

    def leaf_alone(context: ssl.SSLContext, certificate: Any, key: Any) -> None:
        file, end = Path(certificate), "-----END CERTIFICATE-----\n"
        whole = file.read_text()
        file.write_text(whole[: whole.index(end) + len(end)])
        load(context, file, key)
        file.write_text(whole)

    patch.setattr(tls, "load_certificate", leaf_alone)


def trust_also(patch: pytest.MonkeyPatch, among: Callable[[Node, Node], bool]) -> None:
    """Trust the authority of one node for some other nodes, too."""
    known: list[tuple[Node, str]] = []
    begin = fanout.FanOut.__init__

    def trusting(self: fanout.FanOut, nodes: Any, **how: Any) -> None:
        nodes = list(nodes)
        known.extend((it, Path(it.ca_file).read_text()) for it in nodes if it.ca_file)
        begin(self, nodes, **how)
        for _, it in self._peers:
            for other, text in known:
                if isinstance(it, Peer) and among(other, it.node):
                    made = copied(it.tls)
                    made.load_verify_locations(cadata=text)
                    object.__setattr__(it, "tls", made)

    patch.setattr(fanout.FanOut, "__init__", trusting)


alike(
    trust_also,
    "TLS-02",
    killed_by=ALONE,
    an_authority_is_trusted_for_its_host=lambda of, node: (
        urls.resolve(of).host == urls.resolve(node).host
    ),
    an_authority_is_trusted_in_later_deploys=lambda of, node: of.name == node.name,
)

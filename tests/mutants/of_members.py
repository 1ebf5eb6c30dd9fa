"""Mutants that treat a member that they know in their own way, or take a port for another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy_relay_kit.relay import fanout, peer, urls
from deploy_relay_kit.relay.node import LocalSettings, Node
from deploy_relay_kit.relay.replication import ReplicationMint
from deploy_relay_kit.relay.request import forwarded_fields
from deploy_relay_kit.relay.urls import Endpoint
from tests.conformance import (
    test_fields,
    test_members,
    test_plain,
    test_replication,
    test_url_grammar,
    test_url_parts,
)
from tests.mutants.mutant import alike, case, mutant

Fields = dict[str, Any]
KNOWN = case(test_members.test_every_name_arrives_as_it_is)
VALUES = case(test_members.test_every_value_means_what_it_meant)
PLACE = test_fields.test_replicated_keeps_its_place_or_is_the_last_field
FALSE = test_fields.test_replicated_is_the_text_false_for_every_given_value
LATE = case(PLACE, given=test_fields.LATE)


TARGETS = case(test_url_grammar.test_every_character_of_a_path_and_a_query_is_kept)


def change_fields(
    patch: pytest.MonkeyPatch, change: Callable[[Mapping[str, Any], Fields], Fields]
) -> None:
    """Change the fields, with a look at the request."""
    patch.setattr(fanout, "forwarded_fields", lambda given: change(given, forwarded_fields(given)))


def drop(patch: pytest.MonkeyPatch, names: tuple[str, ...]) -> None:
    change_fields(patch, lambda _, fields: {n: it for n, it in fields.items() if n not in names})


alike(
    drop,
    "FLD-04",
    killed_by=KNOWN,
    the_timeouts_of_a_request_are_for_the_relay=("install_timeout", "deployment_timeout"),
    errors_of_replication_are_ignored_here_alone=("ignore_replication_errors",),
    the_authorization_of_a_request_is_dropped=("authorization", "Authorization"),
    settings_of_the_relay_are_dropped=("nodes", "events", "local", "limits", "retry", "attempts"),
    what_sounds_secret_is_dropped=("secret", "api_key", "apiKey", "cookie", "session"),
)


@mutant("FLD-04", killed_by=KNOWN)
def a_restart_is_a_boolean(patch: pytest.MonkeyPatch) -> None:
    change_fields(
        patch,
        lambda _, fields: {n: bool(it) if n == "restart" else it for n, it in fields.items()},
    )


@mutant("FLD-04", killed_by=KNOWN)
def a_field_is_added(patch: pytest.MonkeyPatch) -> None:
    change_fields(patch, lambda _, fields: {**fields, "replicated_from": "origin"})


@mutant("FLD-04", killed_by=VALUES)
def a_restart_of_nothing_is_dropped(patch: pytest.MonkeyPatch) -> None:
    change_fields(
        patch,
        lambda _, fields: {n: it for n, it in fields.items() if n != "restart" or it},
    )


def keep(patch: pytest.MonkeyPatch, is_kept: Callable[[Any], bool]) -> None:
    """Send some values of replicated as they are."""

    def changed(given: Mapping[str, Any], fields: Fields) -> Fields:
        value = given.get("replicated", True)
        return {**fields, "replicated": value} if is_kept(value) else fields

    change_fields(patch, changed)


alike(
    keep,
    "FLD-03",
    killed_by=(
        case(FALSE, given=["node-1"]),
        case(FALSE, given=[]),
    ),
    a_list_of_nodes_stays_in_replicated=lambda value: isinstance(value, list),
)
alike(
    keep,
    "FLD-03",
    killed_by=case(FALSE, given=0),
    a_replicated_of_zero_stays=lambda value: value == 0 and value is not False,
)
alike(
    keep,
    "FLD-03",
    killed_by=case(FALSE, given=""),
    an_empty_replicated_stays=lambda value: value == "",
)


@mutant("FLD-04", killed_by=LATE)
def the_operation_is_always_first(patch: pytest.MonkeyPatch) -> None:
    change_fields(patch, lambda _, fields: {"operation": fields["operation"], **fields})


# -- URLs ----------------------------------------------------------------------------------------


def change_nodes(
    patch: pytest.MonkeyPatch,
    change: Callable[[Node, LocalSettings], tuple[Node, LocalSettings]],
) -> None:
    """Change a node and the settings of the origin before a URL is built from them."""

    def resolve(node: Node, local: LocalSettings, **how: Any) -> Endpoint:
        return urls.resolve(*change(node, local), **how)

    patch.setattr(fanout, "resolve", resolve)


@mutant(
    "URL-05",
    killed_by=case(test_url_parts.test_the_host_of_a_replication_url_is_used_and_its_port_is_not),
)
def the_port_of_a_replication_url_replaces_that_of_the_origin(patch: pytest.MonkeyPatch) -> None:
    def ported(node: Node, local: LocalSettings) -> tuple[Node, LocalSettings]:
        port = node.port or urlsplit(node.replication_url or "").port
        return replace(node, port=port), local

    change_nodes(patch, ported)


@mutant(
    "URL-02",
    killed_by=case(
        test_url_parts.test_without_a_secure_port_plain_http_is_used_at_the_insecure_port
    ),
)
def a_secure_port_of_replication_means_https(patch: pytest.MonkeyPatch) -> None:
    def secured(node: Node, local: LocalSettings) -> tuple[Node, LocalSettings]:
        if local.secure_replication_port and local.insecure_port:
            local = replace(local, secure_port=local.secure_port or local.insecure_port)
        return node, local

    change_nodes(patch, secured)


@mutant(
    "WS-01",
    killed_by=case(
        test_replication.test_without_a_url_the_socket_is_at_the_replication_port_of_the_origin
    ),
)
def the_insecure_port_of_replication_is_not_known(patch: pytest.MonkeyPatch) -> None:
    resolve = urls.resolve_replication

    def stock(node: Node, local: LocalSettings, **how: Any) -> Endpoint:
        return resolve(node, replace(local, insecure_replication_port=None), **how)

    patch.setattr(peer, "resolve_replication", stock)


@mutant(
    "URL-08", killed_by=case(test_url_grammar.test_every_character_of_a_path_and_a_query_is_kept)
)
def escaped_ampersands_are_decoded(patch: pytest.MonkeyPatch) -> None:
    target = urls._target
    patch.setattr(urls, "_target", lambda parts: target(parts).replace("%26", "&"))


# -- plain http ----------------------------------------------------------------------------------


def change_gate(
    patch: pytest.MonkeyPatch, is_open: Callable[[Node, str], bool], schemes: tuple[str, str]
) -> None:
    """Allow plain http or ws to some nodes."""
    parse = urls._parse

    def parsed(node: Node, url: str, known: dict[str, int], *, allow_http: bool) -> Endpoint:
        is_allowed = tuple(known) == schemes and is_open(node, url)
        return parse(node, url, known, allow_http=allow_http or is_allowed)

    patch.setattr(urls, "_parse", parsed)


HTTP = ("https", "http")
alike(
    lambda patch, is_open: change_gate(patch, is_open, HTTP),
    "TLS-06",
    killed_by=case(test_plain.test_plain_http_to_another_machine_is_refused),
    plain_http_is_used_beside_a_replication_socket=lambda node, _: isinstance(
        node.mint, ReplicationMint
    ),
    plain_http_is_used_where_a_url_has_a_path=lambda _, url: len(urlsplit(url).path) > 1,
)


@mutant(
    "TLS-01",
    killed_by=case(test_plain.test_plain_http_to_another_machine_is_used_if_the_deploy_allows_it),
)
def what_is_allowed_in_plain_http_is_sent_in_it(patch: pytest.MonkeyPatch) -> None:
    parse = urls._parse

    def parsed(node: Node, url: str, known: dict[str, int], *, allow_http: bool) -> Endpoint:
        plain = url.replace("https:", "http:") if allow_http else url
        return parse(node, plain, known, allow_http=allow_http)

    patch.setattr(urls, "_parse", parsed)

"""Mutants that take a certificate for a host with a similar name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance import test_similar_hosts
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.odd_reaching import compare_after_the_handshake, is_for

ON_A_SOCKET = case(test_similar_hosts.test_a_certificate_for_a_similar_name_is_refused_on_a_socket)
OF_A_URL = case(test_similar_hosts.test_a_certificate_for_a_similar_host_is_refused)


def also(patch: pytest.MonkeyPatch, matches: Callable[[str, str], bool]) -> None:
    """Take a certificate also if this is true of its name and the host."""
    compare_after_the_handshake(patch, lambda name, host: is_for(name, host) or matches(name, host))


alike(
    also,
    "TLS-01",
    killed_by=ON_A_SOCKET,
    a_domain_is_good_for_its_hosts=lambda name, host: host.endswith(f".{name}"),
    a_star_stands_for_several_labels=lambda name, host: (
        name.startswith("*.") and host.endswith(name[1:])
    ),
    a_star_stands_for_no_label=lambda name, host: name == f"*.{host}",
    the_host_begins_the_name=lambda name, host: name.startswith(host),
    the_name_begins_the_host=lambda name, host: host.startswith(name),
    the_host_ends_the_name=lambda name, host: name.endswith(host),
)
alike(
    also,
    "TLS-01",
    killed_by=OF_A_URL,
    the_host_of_a_url_is_in_the_name=lambda name, host: host in name,
    the_name_is_in_the_host_of_a_url=lambda name, host: name in host,
    any_address_of_one_net_is_good=lambda name, host: (
        name.rpartition(".")[0] == host.rpartition(".")[0] != ""
    ),
)


@mutant("TLS-01", killed_by=OF_A_URL)
def an_address_may_stand_as_a_name(patch: pytest.MonkeyPatch) -> None:
    compare_after_the_handshake(patch, is_for, counting=None)


@mutant("TLS-01", killed_by=OF_A_URL)
def a_star_stands_for_a_part_of_an_address(patch: pytest.MonkeyPatch) -> None:
    """As where every name of a certificate is a pattern for every host."""

    def matches(name: str, host: str) -> bool:
        return is_for(name, host) or (name.startswith("*.") and host.endswith(name[1:]))

    compare_after_the_handshake(patch, matches, counting=None)

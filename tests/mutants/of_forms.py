"""Mutants of the forms that a URL and a `Retry-After` may have."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from yarl import URL

from deploy_relay_kit.relay import fanout, peer
from deploy_relay_kit.relay.errors import AttemptError
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.retry import Retry, seconds_until
from deploy_relay_kit.relay.urls import Endpoint, resolve, resolve_replication
from tests.conformance import test_retry_after, test_url_grammar
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_answers import change_limits
from tests.mutants.of_urls import change_nodes

TARGETS = case(test_url_grammar.test_every_character_of_a_path_and_a_query_is_kept)
NO_URLS = case(test_url_grammar.test_what_is_no_url_of_an_operations_api_costs_its_own_node)
OF_SOCKETS = case(test_url_grammar.test_the_path_and_the_query_of_a_replication_url_are_kept)
WAITS = case(test_retry_after.test_the_relay_waits_for_seconds_and_for_dates_in_every_form)
NO_TIMES = case(test_retry_after.test_what_is_no_time_in_retry_after_delays_no_retry)
FINAL = case(test_retry_after.test_a_retry_after_makes_no_other_status_temporary)

# -- paths and queries ---------------------------------------------------------------------------


def change_target(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Send another path and query to every operations API."""

    def changed(*at: Any, **how: Any) -> Endpoint:
        api = resolve(*at, **how)
        return replace(api, target=change(api.target))

    patch.setattr(fanout, "resolve", changed)


def of_path(change: Callable[[str], str]) -> Callable[[str], str]:
    def changed(target: str) -> str:
        path, mark, query = target.partition("?")
        return f"{change(path)}{mark}{query}"

    return changed


def of_query(change: Callable[[str], str]) -> Callable[[str], str]:
    def changed(target: str) -> str:
        path, mark, query = target.partition("?")
        return f"{path}{mark}{change(query)}"

    return changed


def in_capitals(target: str) -> str:
    return re.sub("%[0-9a-f]{2}", lambda it: it[0].upper(), target, flags=re.IGNORECASE)


alike(
    change_target,
    "URL-08",
    killed_by=TARGETS,
    escapes_are_in_capitals=in_capitals,
    an_ampersand_at_the_end_is_cut=lambda it: it.rstrip("&"),
    escapes_are_in_lower_case=lambda it: re.sub("%[0-9A-F]{2}", lambda at: at[0].lower(), it),
    needless_escapes_are_removed=lambda it: re.sub(
        "%(6[1-9a-f]|7[0-9ae]|2[de])", lambda at: unquote(at[0]), it, flags=re.IGNORECASE
    ),
    escaped_percents_are_read=lambda it: it.replace("%25", "%"),
    a_path_is_normalized_as_by_a_library=lambda it: str(URL("http://h" + it).relative()),
    dots_at_the_end_are_removed=of_path(lambda path: re.sub(r"/\.$", "/", path)),
    escaped_dots_are_removed=of_path(lambda path: re.sub("/%2e(%2e)?", "", path)),
    parameters_of_a_path_are_removed=of_path(lambda path: path.partition(";")[0]),
    a_path_is_in_lower_case=of_path(str.lower),
    slashes_at_the_beginning_are_one=of_path(lambda path: re.sub("^/+", "/", path)),
    slashes_at_the_end_are_one=of_path(lambda path: re.sub("/+$", "/", path)),
    a_path_has_a_slash_at_its_end=of_path(lambda path: path.rstrip("/") + "/"),
    an_escaped_number_sign_ends_a_path=of_path(lambda path: path.partition("%23")[0] or "/"),
    an_at_sign_ends_user_info=of_path(lambda path: re.sub("^.*@", "/", path)),
    a_path_has_a_thousand_characters=of_path(lambda path: path[:1_000]),
    apostrophes_are_escaped=lambda it: it.replace("'", "%27"),
    a_query_has_no_plus=of_query(lambda query: query.replace("+", "%20")),
    a_blank_of_a_query_is_a_plus=of_query(lambda query: query.replace("%20", "+")),
    a_query_ends_at_its_second_mark=of_query(lambda query: query.partition("?")[0]),
    empty_values_of_a_query_are_removed=of_query(
        lambda query: "&".join(it for it in query.split("&") if not it.endswith("="))
    ),
    empty_names_of_a_query_are_removed=of_query(
        lambda query: "&".join(filter(None, query.split("&")))
    ),
    a_query_is_sorted=of_query(lambda query: "&".join(sorted(query.split("&")))),
    a_query_has_a_thousand_characters=of_query(lambda query: query[:1_000]),
    slashes_of_a_query_are_escaped=of_query(lambda query: query.replace("/", "%2F")),
)


# -- URLs that are none --------------------------------------------------------------------------


def change_urls(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Read a URL as another one."""
    change_limits(patch, lambda limits: replace(limits, connect=0.5))
    change_nodes(patch, lambda node: replace(node, url=change(node.url)) if node.url else node)


def with_port(change: Callable[[str], str]) -> Callable[[str], str]:
    """Change the text of the port, if there is one."""
    found = re.compile(r"^(https://[^/]*?):([^:/\]]+)/")

    def changed(url: str) -> str:
        match = found.match(url)
        return found.sub(f"{match[1]}:{change(match[2])}/", url) if match else url

    return changed


alike(
    change_urls,
    "SEQ-07",
    killed_by=NO_URLS,
    a_port_has_16_bits=with_port(lambda port: str(int(port) & 65_535) if port.isdigit() else port),
    a_port_has_no_sign=with_port(lambda port: port.lstrip("-")),
    a_port_ends_at_its_last_digit=with_port(lambda port: port.rstrip("x")),
    a_port_has_no_blanks=with_port(str.strip),
    every_scheme_is_https=lambda url: re.sub("^[a-z]+:", "https:", url),
    a_socket_is_an_operations_api=lambda url: url.replace("wss://", "https://"),
    a_scheme_begins_with_http=lambda url: re.sub("^https[a-z]+:", "https:", url),
    a_host_ends_at_its_blank=lambda url: re.sub(" [a-z]*", "", url),
    the_last_port_counts=lambda url: re.sub(r":(\d+):\1/", r":\1/", url),
    a_url_without_a_host_is_localhost=lambda url: url.replace("https://:", "https://127.0.0.1:"),
)


# -- replication URLs ----------------------------------------------------------------------------


def change_socket(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Open the socket at another path and query."""

    def changed(node: Node, *at: Any, **how: Any) -> Endpoint:
        found = resolve_replication(node, *at, **how)
        return replace(found, target=change(found.target))

    patch.setattr(peer, "resolve_replication", changed)


alike(
    change_socket,
    "WS-01",
    killed_by=OF_SOCKETS,
    a_socket_is_at_the_root=lambda _: "/",
    a_socket_has_no_query=lambda it: urlsplit(it).path,
    escapes_of_a_replication_url_are_read=unquote,
    dots_of_a_replication_url_are_removed=lambda it: it.replace("/../", "/"),
)


# -- Retry-After ---------------------------------------------------------------------------------

Read = Callable[[str | None, datetime], float | None]


def change_reading(patch: pytest.MonkeyPatch, read: Read) -> None:
    patch.setattr(peer, "seconds_until", read)


def unless(is_unread: Callable[[str], object]) -> Read:
    """Do not read some values of Retry-After."""

    def read(value: str | None, now: datetime) -> float | None:
        return None if value and is_unread(value) else seconds_until(value, now)

    return read


def later(change: Callable[[float], float]) -> Read:
    def read(value: str | None, now: datetime) -> float | None:
        seconds = seconds_until(value, now)
        return None if seconds is None else change(seconds)

    return read


alike(
    change_reading,
    "KIT-04",
    killed_by=WAITS,
    seconds_of_retry_after_are_not_read=unless(str.isdigit),
    seconds_have_no_zero_before_them=unless(lambda it: it.startswith("0")),
    dates_are_not_read=unless(lambda it: ":" in it),
    dates_of_rfc_850_are_not_read=unless(lambda it: "day," in it),
    dates_of_asctime_are_not_read=unless(lambda it: ":" in it and "," not in it),
    dates_of_today_are_not_read=unless(lambda it: re.match("[A-Z][a-z]{2},", it)),
    seconds_are_milliseconds=later(lambda seconds: seconds / 1_000),
    a_date_is_in_the_past=later(lambda seconds: seconds - 1),
    a_pause_has_half_a_second=later(lambda seconds: min(seconds, 0.5)),
)


def number(value: str | None, now: datetime) -> float | None:
    try:
        return min(float(value or ""), 1e6)
    except ValueError:
        return seconds_until(value, now)


def digits(value: str | None, now: datetime) -> float | None:
    found = re.search("[1-9][0-9]*", value or "")
    return float(found[0]) if found and ":" not in (value or "") else seconds_until(value, now)


alike(
    change_reading,
    "RTY-02",
    killed_by=NO_TIMES,
    every_number_is_a_time=number,
    the_first_digits_are_a_time=digits,
    a_text_is_a_minute=lambda value, now: 60.0 if value == "soon" else seconds_until(value, now),
    an_hour_is_named_in_iso_8601=lambda value, now: (
        3_600.0 if value == "PT1H" else seconds_until(value, now)
    ),
)


@mutant("RTY-02", killed_by=NO_TIMES)
def an_unreadable_retry_after_is_final(patch: pytest.MonkeyPatch) -> None:
    def strict(value: str | None, now: datetime) -> float | None:
        seconds = seconds_until(value, now)
        if value is not None and seconds is None:
            raise ValueError(value)
        return seconds

    change_reading(patch, strict)


def retry_if(patch: pytest.MonkeyPatch, is_worth_it: Callable[[int], bool]) -> None:
    """Retry also after these statuses if they have a Retry-After."""
    delay = Retry.delay
    read = peer.Peer.read
    named = set[int]()

    async def noting(self: Any, reply: Any) -> Any:
        if "Retry-After" in reply.headers:
            named.add(reply.status)
        return await read(self, reply)

    def more(self: Retry, failures: list[AttemptError], random: Any) -> float | None:
        status = failures[-1].status_code or 0
        if status in named and is_worth_it(status):
            failures[-1].retryable = True
        return delay(self, failures, random)

    patch.setattr(peer.Peer, "read", noting)
    patch.setattr(Retry, "delay", more)


alike(
    retry_if,
    "RTY-04",
    killed_by=FINAL,
    whoever_names_a_time_is_tried_again=lambda _: True,
    too_many_requests_with_a_time_is_tried_again=lambda status: status == 429,
    too_large_with_a_time_is_tried_again=lambda status: status == 413,
    a_redirect_with_a_time_is_tried_again=lambda status: status < 400,
    a_failure_of_the_peer_with_a_time_is_tried_again=lambda status: status >= 500,
)

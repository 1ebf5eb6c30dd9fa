"""Mutants that read or keep all but a rare form: of a name, of a URL, of a line of a stream."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import SplitResult

import pytest

from deploy_relay_kit.relay import urls
from deploy_relay_kit.relay.events import EventParser
from tests.conformance import test_events_grammar, test_names, test_url_grammar
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_names import rename

OWN = case(test_names.test_every_node_has_its_own_upload_and_record_whatever_its_name)
KEPT = case(test_url_grammar.test_every_character_of_a_path_and_a_query_is_kept)
OF_SOCKETS = case(test_url_grammar.test_the_path_and_the_query_of_a_replication_url_are_kept)
FORMS = case(test_events_grammar.test_the_event_done_is_read_in_every_form)

alike(
    rename,
    *("AGG-01", "AGG-03", "RES-02"),
    killed_by=OWN,
    names_end_at_a_nul=lambda it: it.partition("\0")[0],
    names_have_no_tabs=lambda it: it.replace("\t", " "),
    names_have_blanks_for_plus_signs=lambda it: it.replace("+", " "),
    names_are_unescaped=lambda it: it.replace("\\\\", "\\"),
    names_have_one_kind_of_line_end=lambda it: it.replace("\r\n", "\n"),
    names_begin_after_an_at_sign=lambda it: it.rpartition("@")[2],
    names_are_formats=lambda it: it.replace("%%", "%"),
    names_have_no_brackets=lambda it: it.strip("[]"),
    names_have_no_comments=lambda it: it.partition("#")[0] or it,
    names_have_no_stars=lambda it: it.replace("*", ""),
)


def change_target(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Change the path and the query of every URL."""
    target = urls._target
    patch.setattr(urls, "_target", lambda parts: change(target(parts)))


def in_query(change: Callable[[list[str]], Iterable[str]]) -> Callable[[str], str]:
    def changed(target: str) -> str:
        path, mark, query = target.partition("?")
        return f"{path}{mark}{'&'.join(change(query.split('&')))}"

    return changed


alike(
    change_target,
    "URL-08",
    killed_by=KEPT,
    also={
        it: {"WS-01": "the URL of a socket is read in the same way"}
        for it in (
            "a_parameter_is_sent_once",
            "an_equals_sign_in_a_value_is_escaped",
            "two_dots_at_the_end_of_a_path_are_resolved",
            "escaped_dots_of_a_path_are_resolved",
            "a_page_at_the_end_of_a_path_is_cut",
        )
    },
    a_parameter_is_sent_once=in_query(dict.fromkeys),
    an_equals_sign_in_a_value_is_escaped=in_query(
        lambda given: (
            f"{name}{sign}{value.replace('=', '%3D')}"
            for name, sign, value in (it.partition("=") for it in given)
        )
    ),
    two_dots_at_the_end_of_a_path_are_resolved=lambda it: re.sub(r"[^/]+/\.\.$", "", it),
    escaped_dots_of_a_path_are_resolved=lambda it: re.sub("[^/]+/%2[eE]%2[eE]/", "", it),
    a_page_at_the_end_of_a_path_is_cut=lambda it: re.sub(r"/index\.[a-z]+$", "/", it),
)


def change_socket(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Change the path and the query of the URL of a socket alone."""
    target = urls._target

    def changed(parts: SplitResult) -> str:
        found = target(parts)
        return change(found) if parts.scheme in urls._WEBSOCKET else found

    patch.setattr(urls, "_target", changed)


alike(
    change_socket,
    "WS-01",
    killed_by=OF_SOCKETS,
    a_socket_has_no_slash_at_its_end=lambda it: it.rstrip("/") or "/",
    a_socket_has_no_empty_segments=lambda it: re.sub("/+", "/", it),
    a_socket_has_few_escapes=lambda it: it.replace("%7e", "~").replace("%2D", "-"),
)


def change_line(patch: pytest.MonkeyPatch, change: Callable[[EventParser, str], str]) -> None:
    """Change each line of a stream before it is read."""
    take = EventParser._take
    patch.setattr(EventParser, "_take", lambda self, line: take(self, change(self, line)))


@mutant("SSE-17", killed_by=FORMS)
def every_kind_of_blank_is_removed_before_data(patch: pytest.MonkeyPatch) -> None:
    change_line(patch, lambda _, line: re.sub(r"^(\w+):[ \xa0]", r"\1:", line))


@mutant("SSE-09", killed_by=FORMS)
def an_id_ends_the_name_of_an_event(patch: pytest.MonkeyPatch) -> None:
    def changed(self: EventParser, line: str) -> str:
        if line.startswith("id:"):
            self._name = None
        return line

    change_line(patch, changed)

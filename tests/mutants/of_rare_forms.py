"""Mutants that are right in the usual form, and wrong in a rarer one."""

from __future__ import annotations

import json
import re
import ssl
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from multidict import MultiDict

from deploy_relay_kit.relay import answer, fanout, formdata, states, upload, urls
from deploy_relay_kit.relay.errors import AttemptError, OriginError, PeerError
from deploy_relay_kit.relay.framing import Framing
from deploy_relay_kit.relay.link import Link, PatientTls, Reply
from deploy_relay_kit.relay.payload import measure
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import failed_record
from deploy_relay_kit.relay.states import AnswerState, BodyState, End, Exchange, Limit, Rule
from deploy_relay_kit.relay.tls import Tls, contexts_for
from deploy_relay_kit.relay.urls import Endpoint
from tests.conformance import (
    test_answers,
    test_answers_framing,
    test_early_success,
    test_events_forms,
    test_names,
    test_payload_changes,
    test_plain,
    test_posture,
    test_sockets_trust,
    test_url,
    test_url_parts,
    test_values,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_urls import Trust

EARLY = test_early_success.test_no_early_success_of_any_form_is_one_without_the_whole_payload

# -- early successes -----------------------------------------------------------------------------


@mutant("RES-02", killed_by=case(EARLY, then="close"))
def an_early_204_is_a_success(patch: pytest.MonkeyPatch) -> None:
    end = Exchange._end

    def lenient(self: Exchange, error: Any) -> End:
        return End.SUCCESS if error is None and self.status == 204 else end(self, error)

    patch.setattr(Exchange, "_end", lenient)


@mutant("RES-02", killed_by=case(EARLY, then="grace"))
def a_done_before_the_end_of_the_upload_is_a_success(patch: pytest.MonkeyPatch) -> None:
    early = Rule(Limit.CLOSE, None, End.SUCCESS, End.SUCCESS)
    pair = BodyState.SENDING, AnswerState.DONE
    patch.setattr(states, "RULES", {**states.RULES, pair: early})


# -- trust ---------------------------------------------------------------------------------------


@mutant(
    "TLS-01",
    killed_by=case(
        test_posture.test_a_certificate_is_verified_after_a_handshake_that_failed,
        flaw=test_posture.FLAWS[0],
    ),
)
def after_a_failed_handshake_nothing_is_verified(patch: pytest.MonkeyPatch) -> None:
    attempt, failed = fanout._attempt, set[int]()

    async def weaker(work: Any, peer: Peer) -> Any:
        outcome = await attempt(work, peer)
        if not isinstance(outcome, AttemptError) or outcome.stage not in {"connect", "tls"}:
            return outcome
        if "reset" not in str(outcome) and id(peer) not in failed:
            failed.add(id(peer))
            lax = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            lax.check_hostname, lax.verify_mode = False, ssl.CERT_NONE
            lax.sslobject_class = PatientTls
            object.__setattr__(peer, "tls", lax)
            outcome.retryable = True
        return outcome

    patch.setattr(fanout, "_attempt", weaker)


@mutant(
    "TLS-01",
    "TLS-02",
    killed_by=case(test_posture.test_the_authority_of_a_node_is_read_again_for_each_deploy),
)
def the_authority_of_a_node_is_read_once(patch: pytest.MonkeyPatch) -> None:
    kept: dict[Trust, ssl.SSLContext] = {}

    def read_once(nodes: Iterable[Trust], how: Tls) -> list[ssl.SSLContext]:
        given = list(nodes)
        for node, context in zip(given, contexts_for(given, how), strict=True):
            if node[0] is None:
                kept[node] = context
            kept.setdefault(node, context)
        return [kept[node] for node in given]

    patch.setattr(fanout, "contexts_for", read_once)


@mutant(
    "TLS-06",
    killed_by=(
        case(test_plain.test_plain_http_to_another_machine_is_refused),
        case(test_sockets_trust.test_plain_ws_to_another_machine_is_refused),
    ),
)
def a_plain_scheme_in_capitals_is_allowed(patch: pytest.MonkeyPatch) -> None:
    parse = urls._parse

    def lenient(node: Any, url: str, schemes: Any, *, allow_http: bool) -> Endpoint:
        in_capitals = url.startswith(("HTTP:", "WS:"))
        return parse(node, url, schemes, allow_http=allow_http or in_capitals)

    patch.setattr(urls, "_parse", lenient)


@mutant("TLS-06", killed_by=case(test_sockets_trust.test_plain_ws_to_another_machine_is_refused))
def plain_ws_to_a_node_without_a_url_is_allowed(patch: pytest.MonkeyPatch) -> None:
    parse = urls._parse

    def lenient(node: Any, url: str, schemes: Any, *, allow_http: bool) -> Endpoint:
        is_made = "ws" in schemes and node.replication_url is None
        return parse(node, url, schemes, allow_http=allow_http or is_made)

    patch.setattr(urls, "_parse", lenient)


@mutant("BUG-41", killed_by=case(test_url.test_a_password_in_a_url_stands_in_no_record))
def a_password_in_a_url_ends_at_its_first_at(patch: pytest.MonkeyPatch) -> None:
    parse = urls._parse

    def telling(node: Any, url: str, schemes: Any, *, allow_http: bool) -> Endpoint:
        if "@" in url.partition("?")[0]:
            raise OriginError("resolve", f"cannot use {re.sub('//[^@]*@', '//', url)}")
        return parse(node, url, schemes, allow_http=allow_http)

    patch.setattr(urls, "_parse", telling)


@mutant(
    "URL-02",
    killed_by=case(
        test_url_parts.test_the_scheme_follows_the_ports_of_the_origin_and_not_that_of_the_node
    ),
)
def the_scheme_follows_the_port_of_the_node(patch: pytest.MonkeyPatch) -> None:
    put_together = urls._put_together

    def by_port(schemes: Any, host: str, settings: tuple[Any, ...]) -> str:
        url = put_together(schemes, host, settings)
        is_insecure = settings[0] is not None and settings[0] == settings[2]
        return url.replace("https:", "http:") if is_insecure else url

    patch.setattr(urls, "_put_together", by_port)


@mutant(
    "URL-03",
    killed_by=case(
        test_url_parts.test_the_port_in_the_name_of_a_node_is_not_that_of_its_operations_api
    ),
)
def the_port_of_a_name_is_that_of_the_operations_api(patch: pytest.MonkeyPatch) -> None:
    resolve = urls.resolve

    def by_name(node: Any, *local: Any, **how: Any) -> Endpoint:
        port = node.name.rpartition(":")[2]
        if node.url is None and node.port is None and ":" in node.name and port.isdigit():
            node = replace(node, port=port)
        return resolve(node, *local, **how)

    patch.setattr(fanout, "resolve", by_name)


@mutant(
    "AGG-01",
    killed_by=case(test_names.test_every_node_has_its_own_upload_and_record_whatever_its_name),
)
def the_name_in_a_failed_record_is_composed(patch: pytest.MonkeyPatch) -> None:
    def composed(name: str, failures: Any) -> Any:
        return failed_record(unicodedata.normalize("NFC", name), failures)

    patch.setattr(fanout, "failed_record", composed)


# -- reading and writing -------------------------------------------------------------------------


@mutant(
    "HTTP-05",
    killed_by=case(
        test_answers_framing.test_an_answer_is_read_in_every_form_of_http,
        wire=test_answers_framing.FORMS["length-in-capitals"],
    ),
)
def a_chunk_with_a_length_in_capitals_is_refused(patch: pytest.MonkeyPatch) -> None:
    received = Link.data_received

    def strict(self: Link, data: bytes) -> None:
        if self.failure is None and re.search(rb"^[0-9]*[A-F][0-9A-F]*\r\n", data, re.MULTILINE):
            self.failure = PeerError("answer", "a chunk without a length")
            self._transport.abort()
        else:
            received(self, data)

    patch.setattr(Link, "data_received", strict)


@mutant(
    "HTTP-05",
    killed_by=case(
        test_answers_framing.test_an_answer_is_read_in_every_form_of_http,
        wire=test_answers_framing.FORMS["more-than-its-length"],
    ),
)
def bytes_after_an_answer_spoil_it(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Framing, "take", lambda _, data: len(data))


@mutant(
    "RES-12",
    killed_by=case(
        test_answers_framing.test_an_answer_whose_framing_breaks_is_not_waited_for, status=200
    ),
)
def a_broken_body_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Link, "_break_off", lambda _: None)


@mutant(
    "RES-03",
    killed_by=case(
        test_answers.test_a_success_that_is_not_json_has_the_body_as_its_message,
        body='\u00a0{"n":1}',
    ),
)
def other_blanks_around_json_are_removed(patch: pytest.MonkeyPatch) -> None:
    def loads(text: str, **how: Any) -> Any:
        return json.loads(text.strip(), **how)

    patch.setattr(answer, "json", SimpleNamespace(**{**vars(json), "loads": loads}))


@mutant("WIRE-06", killed_by=case(test_values.test_line_separators_in_json_are_not_escaped))
def line_separators_are_escaped_in_json(patch: pytest.MonkeyPatch) -> None:
    def dumps(value: Any, **how: Any) -> str:
        text = json.dumps(value, **how)
        return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")

    patch.setattr(formdata, "json", SimpleNamespace(**{**vars(json), "dumps": dumps}))


@mutant(
    "RES-13",
    "SSE-09",
    killed_by=case(
        test_events_forms.test_the_media_type_of_a_stream_may_have_parameters_and_capitals,
        header=("content-type", "text/event-stream;charset=UTF-8"),
    ),
)
def the_name_of_a_header_is_compared_with_its_case(patch: pytest.MonkeyPatch) -> None:
    begin = Reply.__init__

    def exact(self: Reply, response: Any, *what: Any) -> None:
        begin(self, response, *what)
        headers: Any = MultiDict((name.decode(), it.decode()) for name, it in response.raw_headers)
        self.headers = headers

    patch.setattr(Reply, "__init__", exact)


@mutant(
    "BUG-14",
    "RES-11",
    killed_by=case(test_payload_changes.test_a_payload_that_grows_between_two_attempts_is_not_sent),
)
def each_attempt_measures_the_payload_anew(patch: pytest.MonkeyPatch) -> None:
    attempt = upload._attempt

    async def measured(what: upload.Upload, peer: Peer) -> dict[str, object]:
        return await attempt(replace(what, payload=measure(what.payload.path)), peer)

    patch.setattr(upload, "_attempt", measured)

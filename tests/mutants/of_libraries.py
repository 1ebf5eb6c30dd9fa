"""Mistakes that HTTP and form libraries make by default, on top of the reference.

They break the same requirements as the mutants of other files. Here they prove that the output
names the mistake: see `hinted.py`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import posixpath
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from deploy_relay_kit.harness.targets import DeployCommand, Outcome
from deploy_relay_kit.harness.targets.function import FunctionTarget
from deploy_relay_kit.harness.targets.reference import ReferenceTarget
from deploy_relay_kit.relay import answer, formdata, request, tls, urls
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.formdata import Frame
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.token import OperationsMint
from tests.conformance import (
    test_answers,
    test_early,
    test_fields,
    test_reading,
    test_refusals,
    test_secrets,
    test_tls,
    test_url,
    test_values,
)
from tests.mutants.mutant import A_HEALTHY_DEPLOY, Case, Patch, case
from tests.mutants.of_answers import change_reason
from tests.mutants.of_urls import change_nodes
from tests.mutants.of_values import change_values
from tests.mutants.of_wire import change_form, change_head, change_headers

BY_NAME = test_tls.test_the_handshake_names_a_host_and_no_address
NOT_JSON = test_answers.test_a_success_that_is_not_json_has_the_body_as_its_message
VALUES = test_values.test_any_other_value_is_forwarded_as_compact_json
REFUSED = test_refusals.test_a_refusal_is_a_failed_record_with_reason_and_status


@dataclass(frozen=True)
class Mistake:
    """A relay that makes one mistake of `hints.toml`, and the case whose output names it."""

    apply: Patch
    hint: str
    seen_in: Case
    beside: str = ""
    """The hint of another requirement that the same mistake breaks in this case."""


MISTAKES: list[Mistake] = []


def mistake(
    hint: str, *, seen_in: Case = A_HEALTHY_DEPLOY, beside: str = ""
) -> Callable[[Patch], Patch]:
    """Register a function that patches the reference with the mistake of this hint."""

    def register(apply: Patch) -> Patch:
        MISTAKES.append(Mistake(apply, hint, seen_in, beside))
        return apply

    return register


def change_content_type(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    def changed(headers: Mapping[str, str]) -> Mapping[str, str]:
        return {**headers, "Content-Type": change(headers["Content-Type"])}

    change_headers(patch, changed)


def add_to_fields(patch: pytest.MonkeyPatch, header: bytes) -> None:
    change_head(patch, b'name="project"\r\n', b'name="project"\r\n' + header + b"\r\n")


@mistake("content-type-charset")
def the_media_type_has_a_charset(patch: pytest.MonkeyPatch) -> None:
    change_content_type(patch, lambda it: f"{it}; charset=UTF-8")


@mistake("content-type-without-boundary")
def the_media_type_is_set_by_hand(patch: pytest.MonkeyPatch) -> None:
    change_content_type(patch, lambda _: "multipart/form-data")


@mistake("body-compressed")
def the_coding_of_the_file_is_declared(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda headers: {**headers, "Content-Encoding": "gzip"})


@mistake("field-with-content-length")
def fields_have_a_length(patch: pytest.MonkeyPatch) -> None:
    add_to_fields(patch, b"Content-Length: 4")


@mistake("field-with-transfer-encoding")
def fields_have_the_encoding_of_a_mail(patch: pytest.MonkeyPatch) -> None:
    add_to_fields(patch, b"Content-Transfer-Encoding: 8bit")


@mistake("file-with-another-header")
def the_file_has_the_encoding_of_a_mail(patch: pytest.MonkeyPatch) -> None:
    usual = b"Content-Type: application/gzip\r\n"
    change_head(patch, usual, usual + b"Content-Transfer-Encoding: binary\r\n")


@mistake("extended-filename")
def the_filename_is_extended(patch: pytest.MonkeyPatch) -> None:
    extended = b"filename*=UTF-8''package.tar.gz"
    change_head(patch, b'filename="package.tar.gz"', extended)


def _boundary(form: Frame) -> bytes:
    return form.content_type.rpartition("boundary=")[2].encode()


@mistake("file-before-fields")
def a_field_is_appended_after_the_file(patch: pytest.MonkeyPatch) -> None:
    def after(form: Frame) -> Frame:
        field = b'--%b\r\nContent-Disposition: form-data; name="late"\r\n\r\n1\r\n'
        return replace(form, tail=form.tail[:2] + field % _boundary(form) + form.tail[2:])

    change_form(patch, after)


@mistake("list-as-several-fields")
def a_list_has_a_part_for_each_item(patch: pytest.MonkeyPatch) -> None:
    def twice(form: Frame) -> Frame:
        part = re.search(rb'--[^\r]+\r\n[^\r]+name="project".+?\r\n(?=--)', form.head, re.DOTALL)
        assert part is not None
        return replace(form, head=form.head.replace(part[0], part[0] * 2))

    change_form(patch, twice)


@mistake("no-final-line-end")
def the_body_ends_with_the_closing_delimiter(patch: pytest.MonkeyPatch) -> None:
    change_form(patch, lambda form: replace(form, tail=form.tail.removesuffix(b"\r\n")))


@mistake("values-as-the-language-prints-them", seen_in=case(VALUES))
def values_are_printed_by_python(patch: pytest.MonkeyPatch) -> None:
    change_values(patch, lambda value: value if isinstance(value, str) else str(value).encode())


@mistake(
    "names-not-cleaned",
    seen_in=case(test_fields.test_quotes_and_line_breaks_are_deleted_from_a_name),
)
def names_are_written_as_they_are(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(request, "_cleaned", lambda name: name)
    patch.setattr(formdata, "name_bytes", str.encode)


@mistake(
    "names-not-cleaned",
    seen_in=case(
        test_fields.test_a_forbidden_name_with_quotes_or_line_breaks_is_not_forwarded,
        requirement="FLD-01",
        name="pay\nload",
        read_as="payload",
    ),
)
def a_line_break_in_a_name_ends_its_header(patch: pytest.MonkeyPatch) -> None:
    names_are_written_as_they_are(patch)


@mistake(
    "path-normalized",
    seen_in=case(
        test_url.test_the_path_and_query_of_the_operations_api_url_are_kept,
        path="/a/../b/./c//d/",
    ),
)
def a_url_is_normalized(patch: pytest.MonkeyPatch) -> None:
    target = urls._target
    patch.setattr(urls, "_target", lambda parts: posixpath.normpath(target(parts)))


@mistake(
    "upload-left-open",
    seen_in=case(test_early.test_the_rest_of_a_refused_payload_is_not_sent),
)
def a_refused_upload_is_left_open(patch: pytest.MonkeyPatch) -> None:
    def deploy(_: ReferenceTarget, command: DeployCommand, deadline: float) -> Outcome:
        return FunctionTarget("tests.runs.bad_relays:careless").deploy(command, deadline)

    patch.setattr(ReferenceTarget, "deploy", deploy)


@mistake("success-must-be-json", seen_in=case(NOT_JSON))
def a_success_must_be_json(patch: pytest.MonkeyPatch) -> None:
    members = answer._members

    def strict(value: object, text: str) -> dict[str, object]:
        if value is answer._UNPARSABLE:
            raise PeerError("answer", "Expecting value: line 1 column 1 (char 0)")
        return members(value, text)

    patch.setattr(answer, "_members", strict)


class AddressAsName(ssl.SSLContext):
    """Sends an address in the handshake; in this form, Python does not notice."""

    def wrap_bio(self, *at: Any, **how: Any) -> ssl.SSLObject:
        return super().wrap_bio(*at, **{**how, "server_hostname": "127.1"})


@mistake("address-as-server-name", seen_in=case(BY_NAME, host="127.0.0.1"))
def an_address_is_the_server_name(patch: pytest.MonkeyPatch) -> None:
    def context(_trusted: tuple[str, ...], _verify: bool) -> ssl.SSLContext:  # noqa: FBT001
        made = AddressAsName(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made

    patch.setattr(tls, "_shared_context", context)


@mistake("error-body-ignored", seen_in=case(REFUSED))
def a_status_raises_an_error_of_the_library(patch: pytest.MonkeyPatch) -> None:
    change_reason(patch, lambda *_: "500 Server Error: Internal Server Error for url: https://a/")


@mistake(
    "reason-in-ascii", seen_in=case(test_reading.test_the_reason_of_a_refusal_is_that_of_its_body)
)
def an_error_that_is_an_object_is_in_ascii(patch: pytest.MonkeyPatch) -> None:
    def in_ascii(value: object, _text: str, reason: str) -> str:
        error = value.get("error") if isinstance(value, dict) else None
        if isinstance(error, dict) and reason[:1] == "{":
            return json.dumps(error, separators=(",", ":"))
        return reason

    change_reason(patch, in_ascii)


@mistake(
    "basic-from-the-url",
    seen_in=case(test_url.test_credentials_in_a_url_are_sent_to_nobody),
    beside="credentials-of-a-url",
)
def the_credentials_of_the_url_replace_the_token(patch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def without(node: Node) -> Node:
        scheme, _, rest = (node.url or "").partition("://")
        user, at, where = rest.rpartition("@")
        taken.extend([user] if at else [])
        return replace(node, url=f"{scheme}://{where}") if at else node

    def basic(headers: Mapping[str, str]) -> Mapping[str, str]:
        if not taken:
            return headers
        login = base64.b64encode(taken[-1].encode()).decode()
        return {**headers, "Authorization": f"Basic {login}"}

    change_nodes(patch, without)
    change_headers(patch, basic)


LAST_OF_A_FILE = case(test_tls.test_every_authority_of_a_file_is_trusted)


@mistake("authority-of-the-process", seen_in=LAST_OF_A_FILE)
def the_last_certificate_of_a_file_is_trusted(patch: pytest.MonkeyPatch) -> None:
    read = tls._certificates
    begin = "-----BEGIN CERTIFICATE-----"
    patch.setattr(tls, "_certificates", lambda file: begin + read(file).rpartition(begin)[2])


IN_A_PROCESS = test_secrets.test_no_process_shows_a_credential_during_a_deploy


@mistake("secret-in-environment", seen_in=case(IN_A_PROCESS))
def a_password_is_a_variable_of_a_program(patch: pytest.MonkeyPatch) -> None:
    mint = OperationsMint.mint

    async def by_program(self: OperationsMint, *at: Any) -> str:
        variables = {**os.environ, "NODE_PASSWORD": self.password}
        program = await asyncio.create_subprocess_exec("sleep", "0.5", env=variables)
        await program.wait()
        return await mint(self, *at)

    patch.setattr(OperationsMint, "mint", by_program)

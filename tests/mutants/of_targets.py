"""Mutants that change invalid characters in the target of a URL, as some libraries do."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from deploy_relay_kit.relay import urls
from tests.conformance import test_url_grammar
from tests.mutants.mutant import alike, case


def change_target(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    target = urls._target
    patch.setattr(urls, "_target", lambda parts: change(target(parts)))


def escape(pattern: str) -> Callable[[str], str]:
    return lambda target: re.sub(pattern, lambda found: quote(found[0]), target)


alike(
    change_target,
    "URL-08",
    killed_by=case(test_url_grammar.test_a_character_that_no_path_has_is_kept_or_refused),
    a_backslash_becomes_a_slash=lambda target: target.replace("\\", "/"),
    brackets_and_braces_are_escaped=escape(r"[\[\]{}]"),
    quotes_and_signs_are_escaped=escape(r'["<>^`|]'),
    a_percent_sign_without_digits_is_escaped=escape("%(?![0-9A-Fa-f]{2})"),
)

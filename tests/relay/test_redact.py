"""Secrets that a peer quotes appear in no record, event or reason."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploy_relay_kit import relay
from deploy_relay_kit.relay.answer import StreamedAnswer
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.redact import Secrets
from tests.relay.driving import DEPLOY, against

TOKEN = "header.payload-of-the-token.signature"
PASSWORD = "hunter2-and-more"


def hiding(secrets: list[str], word: str) -> Secrets:
    made = Secrets()
    for secret in secrets:
        made.add(secret, word)
    return made


@pytest.mark.parametrize(
    ("secret", "value", "hidden"),
    [
        ("pw", "a pw and pw", "a * and *"),
        ("pw", {"pw": ["pw", {"x": "pw"}], "n": 7}, {"*": ["*", {"x": "*"}], "n": 7}),
        ('p"w', 'p"w p\\"w', "* *"),
        ("pä", 'pä "p\\u00e4"', '* "*"'),
        ("", "nothing to hide", "nothing to hide"),
        ("deploy", {"deployment_id": "redeploy: deploy!"}, {"deployment_id": "redeploy: *!"}),
        ("deployed", "redeployed", "re*"),
    ],
)
def test_a_secret_is_replaced(secret: str, value: object, hidden: object) -> None:
    assert hiding([secret], "*").hide(value) == hidden


@pytest.mark.parametrize(
    ("secret", "text", "hidden"),
    [
        ("p/w ä?+1", "GET /p%2Fw%20%C3%A4%3F%2B1", "GET /*"),
        ("p/w ä?+1", "GET /p%2fw%20%c3%a4%3f%2b1", "GET /*"),
        ("p/w ä?+1", "?q=p/w%20%C3%A4%3F%2B1", "?q=*"),
        ("p/w ä?+1", "?q=p%2Fw+%C3%A4%3F%2B1", "?q=*"),
        ("hunter2(x)!", "?q=hunter2(x)!", "?q=*"),
        ("hunter2/x", r'"hunter2\/x"', '"*"'),
        ("hunter2/x", "token aHVudGVyMi94 is wrong", "token * is wrong"),
        ("hunter2>x?", "aHVudGVyMj54Pw==", "*=="),
        ("hunter2>x??", "aHVudGVyMj54Pz8", "*"),
        ("AAAAAAAAAA", "A" * 19, "*" + "A" * 9),
        ("deploying", "deploying deploying", "* *"),
    ],
)
def test_other_forms_of_a_secret_are_replaced(secret: str, text: str, hidden: str) -> None:
    assert hiding([secret], "*").hide(text) == hidden


SECRET = "hunter \"2\" & <ö>/'more'+😀"


def by_character(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(ord(it)) for it in text)


def with_names(text: str) -> str:
    """As of an old page: names in capitals, and an apostrophe by its number."""
    names = {"&": "&AMP;", '"': "&QUOT;", "<": "&LT;", ">": "&GT;", "'": "&#039;", "ö": "&ouml;"}
    return "".join(names.get(it, it) for it in text)


FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "JSON": lambda it: json.dumps(it)[1:-1],
    "JSON with capitals": lambda it: re.sub(
        r"(\\u)(....)|\\.",
        lambda found: found[1] + found[2].upper() if found[1] else found[0],
        json.dumps(it)[1:-1],
    ),
    "JSON of UTF-8": lambda it: json.dumps(it, ensure_ascii=False)[1:-1].replace("/", "\\/"),
    "JSON for a page": lambda it: (
        json.dumps(it)[1:-1].replace("<", "\\u003c").replace("&", "\\u0026")
    ),
    "JSON in JSON": lambda it: json.dumps(json.dumps(it)),
    "Python": ascii,
    "Python's bytes": lambda it: repr(it.encode()),
    "JavaScript": by_character("\\u{{{:x}}}"),
    "HTML": html.escape,
    "HTML with names": with_names,
    "HTML with decimal numbers": by_character("&#{};"),
    "HTML with numbers in hexadecimal": by_character("&#x{:X};"),
    "HTML with long numbers": by_character("&#0000{};"),
    "HTML with short numbers": lambda it: re.sub("&#x27;(?![0-9;])", "&#39", html.escape(it)),
    "HTML of JSON": lambda it: html.escape(json.dumps(it)),
    "JSON of HTML": lambda it: json.dumps(html.escape(it)),
    "HTML of HTML": lambda it: html.escape(html.escape(it)),
    "URL": quote,
    "URL without a slash": lambda it: quote(it, ""),
    "URL in small letters": lambda it: re.sub("%..", lambda found: found[0].lower(), quote(it)),
    "URL, all of it": lambda it: "".join(f"%{byte:02x}" for byte in it.encode()),
    "form": quote_plus,
    "URL in a URL": lambda it: quote(quote(it)),
    "hexadecimal": lambda it: it.encode().hex(),
    "hexadecimal in capitals": lambda it: it.encode().hex().upper(),
    "hexadecimal with colons": lambda it: it.encode().hex(":"),
    "hexadecimal with blanks": lambda it: it.encode().hex(" "),
    "base64": lambda it: base64.b64encode(it.encode()).decode().rstrip("="),
    "base64 for URLs": lambda it: base64.urlsafe_b64encode(it.encode()).decode().rstrip("="),
    "base64 in a URL": lambda it: quote(base64.b64encode(it.encode()).decode().rstrip("="), ""),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_secret_is_replaced_in_every_form(name: str) -> None:
    echoed = FORMS[name](SECRET)
    hidden = hiding([SECRET], "*").hide(f"<p>not {echoed}, 100%</p> & \\u00")
    assert re.fullmatch(r"""<p>not [b"'\\]*(&quot;)?\*[\\"']*(&quot;)?, 100%</p> & \\u00""", hidden)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=20)
MARKED = st.text('a4&#;x%+\\u0026amp"5', max_size=20)


@given(SECRETS, TEXTS | MARKED, TEXTS | MARKED, st.sampled_from([*FORMS]))
def test_no_form_of_a_secret_stays(secret: str, before: str, after: str, name: str) -> None:
    form = FORMS[name]
    echoed = form(secret)
    # A blank keeps the neighbours from being read as a part of the form; base64 has its own test.
    hidden = hiding([secret], "\0").hide(f"{before} {echoed} {after}")
    assert "\0" in hidden
    assert hidden.count(echoed) <= f"{before} {after}".count(echoed)


@given(MARKED, st.sampled_from(["", "hunter2 & more", "a4&#;x%+"]))
def test_a_text_without_a_secret_is_not_changed(text: str, secret: str) -> None:
    assume(not secret or not {*"hunter"} <= {*text})
    hides = hiding([f"{secret}-of-another"], "*")
    assert hides.hide(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "&",
        "&#38;",
        "&#x26;",
        "&amp;",
        "%",
        "%41",
        "%2541",
        "\\",
        "\\u0026",
        "\\xc3\\x",
        "+",
        "hunter",
    ],
)
def test_a_long_text_of_escapes_takes_linear_time(text: str) -> None:
    """The processor time of a text is compared with that of a tenth of it."""
    hides = hiding([SECRET, TOKEN, "hunter" * 20], "*").hide

    def seconds(length: int) -> float:
        took = []
        for _ in range(3):
            start = time.process_time()
            hides(text * (length // len(text)))
            took.append(time.process_time() - start)
        return min(took)

    assert seconds(1_000_000) < 40 * (seconds(100_000) + 0.005)


QUOTING = st.sampled_from([SECRET, quote(SECRET), html.escape(json.dumps(SECRET)), "hunter2"])
VALUES = st.recursive(
    TEXTS | MARKED | QUOTING | st.integers() | st.none(),
    lambda some: st.lists(some) | st.dictionaries(TEXTS | MARKED | QUOTING, some),
)


@settings(max_examples=50)
@given(VALUES)
def test_texts_are_searched_together_as_alone(value: Any) -> None:
    hide = hiding([SECRET, "hunter2"], "*").hide

    def each(value: Any) -> Any:
        match value:
            case dict():
                return {hide(name): each(item) for name, item in value.items()}
            case list():
                return [*map(each, value)]
            case _:
                return hide(value)

    assert hide(value) == each(value)


def test_many_short_texts_take_no_longer_than_a_long_one() -> None:
    """The processor time is compared; one by one they took ten times as long."""
    texts = [f"%41&amp;\\x41+{number}" for number in range(5_000)]
    hide = hiding([SECRET, TOKEN], "*").hide

    def seconds(value: str | list[str]) -> float:
        took = []
        for _ in range(3):
            start = time.process_time()
            hide(value)
            took.append(time.process_time() - start)
        return min(took)

    parts = [" ".join(texts[i::8]) for i in range(8)]
    assert seconds(texts) < 4 * sum(map(seconds, parts))


@given(st.text(min_size=8), st.text(), st.text())
def test_a_secret_inside_base64_is_replaced_but_for_its_ends(
    secret: str, before: str, after: str
) -> None:
    """As in the scheme Basic, whose text is `user:password`."""
    raw = before.encode("utf-8", "replace"), secret.encode("utf-8", "replace")
    encoded = base64.b64encode(b"".join(raw) + after.encode("utf-8", "replace")).decode()
    hidden = hiding([secret], "*").hide(encoded)
    shown = len(encoded) - len(hidden)
    assert shown >= len(raw[1]) * 4 // 3 - 8


def test_overlapping_secrets_are_hidden_together() -> None:
    assert hiding(["abcdefgh", "efghijkl"], "*").hide("x abcdefghijkl y") == "x * y"


def test_the_replacement_of_a_secret_is_not_replaced() -> None:
    assert hiding(["a", "s"], "[password]").hide("a s") == "[password] [password]"


@given(st.text(min_size=8), st.text(), st.text())
def test_every_secret_is_removed(secret: str, before: str, after: str) -> None:
    hidden = hiding([secret], "").hide(f"{before}{secret}{after}")
    assert len(hidden) <= len(before + after)


@given(st.text(min_size=1, max_size=7), st.text(), st.text())
def test_a_short_secret_is_removed_as_a_word(secret: str, before: str, after: str) -> None:
    hidden = hiding([secret], "").hide(f"{before} {secret} {after}")
    assert len(hidden) <= len(before + after) + 2


def answering(answers: dict[str, bytes]) -> Callable[[str], tuple[int, bytes]]:
    """Answers by operation; a JSON object without `error` is a success."""

    def answer(operation: str) -> tuple[int, bytes]:
        body = answers[operation]
        return 200 if body.startswith(b"{") and b"error" not in body else 500, body

    return answer


QUOTED = json.dumps({"error": f"bad token {TOKEN}"}).encode()
MINTED = json.dumps({"operation_token": TOKEN}).encode()
JOB = b'{"job_id":"1"}'


@pytest.mark.parametrize(
    "answers",
    [
        {"restart_service": QUOTED},
        {"restart_service": f"not JSON: {TOKEN}".encode()},
        {"restart_service": b"x" * 180 + TOKEN.encode()},
        {"restart_service": json.dumps({"message": TOKEN}).encode()},
        {"restart_service": JOB, "get_job": QUOTED},
        {
            "restart_service": JOB,
            "get_job": json.dumps({"status": "ERROR", "message": f"no: {TOKEN}"}).encode(),
        },
    ],
)
def test_a_restart_shows_no_token(answers: dict[str, bytes]) -> None:
    events: list[relay.Event] = []

    async def restart(node: relay.Node) -> relay.Report:
        return await relay.restart([node], on_event=events.append)

    answers = {"create_authentication_tokens": MINTED, **answers}
    record = asyncio.run(against(answering(answers), restart, relay.OperationsMint("u", "p-w")))
    for text in (str(record), str(events)):
        assert TOKEN[:12] not in text
        assert "[token]" in text


@pytest.mark.parametrize("probe", [True, False])
def test_a_deploy_shows_no_token(package: Path, *, probe: bool) -> None:
    async def deploy(node: relay.Node) -> relay.Report:
        return await relay.deploy([node], DEPLOY, package, probe=probe)

    old = json.dumps({"version": f"4.7 {TOKEN}"}).encode()
    answers = {"registration_info": old, "deploy_component": b"x" * 180 + TOKEN.encode()}
    record = asyncio.run(against(answering(answers), deploy, relay.GivenToken(TOKEN)))
    assert TOKEN[:12] not in str(record)
    assert "[token]" in str(record)


def test_a_deploy_shows_no_password(package: Path) -> None:
    async def deploy(node: relay.Node) -> relay.Report:
        return await relay.deploy([node], DEPLOY, package)

    quoted = json.dumps({"message": f"user u with {PASSWORD} is in"}).encode()
    answers = {"create_authentication_tokens": MINTED, "deploy_component": quoted}
    record = asyncio.run(against(answering(answers), deploy, relay.OperationsMint("u", PASSWORD)))
    assert record["message"] == "user u with [password] is in"


def test_the_text_of_the_relay_itself_is_not_changed(package: Path) -> None:
    """The password is also a word of the relay."""
    events: list[relay.Event] = []

    async def deploy(node: relay.Node) -> relay.Report:
        return await relay.deploy([node], DEPLOY, package, on_event=events.append)

    answers = {"create_authentication_tokens": MINTED, "deploy_component": b"{}"}
    asyncio.run(against(answering(answers), deploy, relay.OperationsMint("u", "total")))
    sent = [event.data for event in events if event.name == "sent"]
    assert sent[-1] == {"bytes": package.stat().st_size, "total": package.stat().st_size}


@pytest.mark.parametrize("filler", ["", "x" * 190])
def test_a_mint_shows_no_password_and_no_part_of_it(package: Path, filler: str) -> None:
    async def deploy(node: relay.Node) -> relay.Report:
        return await relay.deploy([node], DEPLOY, package)

    answers = {"create_authentication_tokens": f"{filler}{PASSWORD}".encode()}
    record = asyncio.run(against(answering(answers), deploy, relay.OperationsMint("u", PASSWORD)))
    assert str(record["reason"]).startswith(f"token mint failed: {filler}[password]")
    assert "hunter" not in str(record)


def test_an_error_event_shows_no_part_of_a_token() -> None:
    stream = StreamedAnswer(1_000, hiding([TOKEN], "[token]").hide)
    with pytest.raises(PeerError) as failure:
        list(stream.feed(f"event: error\ndata: {'x' * 190}{TOKEN}\n\n".encode()))
    assert failure.value.reason == "x" * 190 + "[token]"


def test_an_empty_password_is_refused() -> None:
    with pytest.raises(relay.InputError, match="empty"):
        relay.OperationsMint("u", "")


@pytest.mark.parametrize("inside", [False, True])
def test_a_refresh_token_that_a_peer_quotes_is_hidden(package: Path, *, inside: bool) -> None:
    async def deploy(node: relay.Node) -> relay.Report:
        return await relay.deploy([node], DEPLOY, package)

    minted: dict[str, object] = {"operation_token": TOKEN, "refresh_token": "a-second-token"}
    answers = {
        "create_authentication_tokens": json.dumps(
            {"results": minted} if inside else minted
        ).encode(),
        "deploy_component": b'{"error":"not a-second-token"}',
    }
    record = asyncio.run(against(answering(answers), deploy, relay.OperationsMint("u", "p-w")))
    assert record["reason"] == "not [refresh token]"

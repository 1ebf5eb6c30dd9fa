"""The forms in which a secret may stand in a text. Pure."""

import functools
import html
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

_SHORTEST = 12  # characters of a form in base64 or hexadecimal that is not there by chance
_ESCAPE = re.compile(r"(\\\\)|\\u([0-9a-f]{4})")
_HEX = re.compile("%[0-9A-F]{2}")
_ANY_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-f]{2}|\\.|%[0-9a-fA-F]{2}|&#?\w+;")
_URL_SAFE = str.maketrans("+/", "-_")


@functools.lru_cache(maxsize=10_000)  # every text of a case is searched for every peer of it
def forms_of(secret: str) -> frozenset[str]:
    """A secret as it is, in JSON, a URL, HTML, base64 and hexadecimal digits, and as shown bytes.

    An empty secret has no form.
    """
    return frozenset(kinds_of(secret))


@functools.lru_cache(maxsize=10_000)
def kinds_of(secret: str) -> Mapping[str, str]:
    """The forms of a secret, each with its kind in words; a form of two kinds has the first."""
    in_json = json_forms(secret)
    raw = secret.encode("utf-8", "replace")
    in_base64 = {it for before in range(3) if len(it := _in_base64(raw, before)) >= _SHORTEST}
    kinds = {
        "": {secret},
        "with the escapes of JSON": in_json | {_all_escaped(secret)},
        "with the escapes of a URL": url_forms(secret) | _as_bytes_of_a_url(raw),
        "with the escapes of bytes": {
            repr(text.encode("utf-8", "replace"))[2:-1] for text in (secret, *in_json)
        },
        "with the escapes of HTML": html_forms(secret) | _by_numbers(secret),
        "in base64": in_base64 | {form.translate(_URL_SAFE) for form in in_base64},
        "in hexadecimal digits": hex_forms(raw) | {raw.hex(" "), raw.hex(":")},
    }
    if len(raw.hex()) < _SHORTEST:
        del kinds["in hexadecimal digits"]
    return {form: kind for kind in reversed(kinds) for form in kinds[kind] if form}


def escapes_in(form: str) -> list[str]:
    r"""The different escapes in a form of a secret, such as `\"`, `%22` and `&quot;`, in order."""
    return list(dict.fromkeys(_ANY_ESCAPE.findall(form)))


def json_forms(secret: str) -> set[str]:
    """A text inside JSON, as libraries of different languages escape it."""
    forms = {json.dumps(secret, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False)}
    forms |= {_ESCAPE.sub(_in_capitals, text) for text in forms}
    return forms | {text.replace("/", "\\/") for text in forms}


def url_forms(secret: str) -> set[str]:
    """A text inside a URL, with capital and small letters in its escapes."""
    forms = {quote(secret, safe, errors="replace") for safe in ("", "/", "!'()*")}
    forms.add(quote_plus(secret, errors="replace"))
    return forms | {_HEX.sub(lambda found: found[0].lower(), text) for text in forms}


def html_forms(secret: str) -> set[str]:
    """A text inside HTML, as libraries of different languages escape it."""
    whole = html.escape(secret)
    forms = {whole.replace("&#x27;", quote_) for quote_ in ("&#x27;", "&#39;", "&apos;", "'")}
    return forms | {html.escape(secret, quote=False)}


def _all_escaped(secret: str) -> str:
    """A text inside JSON, with each character as an escape."""
    units = secret.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _as_bytes_of_a_url(secret: bytes) -> set[str]:
    """A text inside a URL, with each byte as an escape."""
    return {"".join(form.format(it) for it in secret) for form in ("%{:02x}", "%{:02X}")}


def _by_numbers(secret: str) -> set[str]:
    """A text inside HTML, with each character as its number."""
    return {"".join(form.format(ord(it)) for it in secret) for form in ("&#{};", "&#x{:x};")}


def hex_forms(secret: bytes) -> set[str]:
    """The bytes of a text in hexadecimal digits."""
    return {secret.hex(), secret.hex().upper()}


def _in_capitals(escape: re.Match[str]) -> str:
    """An escape of JSON with its digits in capitals; an escaped backslash as it is."""
    return escape[1] or f"\\u{escape[2].upper()}"


def _in_base64(secret: bytes, before: int) -> str:
    """A secret in base64 after so many bytes, without the characters that its neighbours change."""
    encoded = b64encode(bytes(before) + secret).decode()
    end = len(encoded) - (0, 3, 2)[(before + len(secret)) % 3]
    return encoded[(0, 2, 3)[before] : end]

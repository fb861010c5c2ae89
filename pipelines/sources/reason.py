"""The reason in an error response: the publisher's own words, in whichever format they come."""

from __future__ import annotations

import codecs
import html
import json
import re
from collections.abc import Iterator
from typing import Any, Final

_FIELDS: Final = frozenset(
    {"error", "errors", "errormessage", "message", "msg", "detail", "details", "description", "reason", "fault"}
    | {"error_description"}
)
# `Reason/text` of ENTSO-E, `Message` of file stores, `ErrorMessage/Text` of SDMX.
_ELEMENT: Final = re.compile(r"<(?:[\w.-]+:)?(?:text|message|faultstring)\b[^<>]*>([^<]+)</", re.IGNORECASE)
_CDATA: Final = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_TITLE: Final = re.compile(r"<title\b[^<>]*>([^<]+)</", re.IGNORECASE)
_MARKUP: Final = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^<>]*>", re.IGNORECASE | re.DOTALL)


def reason_of(body: bytes, charset: str = "utf-8") -> str:
    """The text of an error response on one line, of any length: the error fields of JSON, the reasons of XML, the
    title of HTML, else the whole text. Empty for a body without text, as of an image.
    """
    text = _decoded(body, charset)
    if sum(not (one.isprintable() or one.isspace()) for one in text) > len(text) // 20:
        return ""
    if "]]>" in text:
        text = _CDATA.sub(lambda match: html.escape(match[1]), text)
    try:
        parts = list(_json_texts(json.loads(text), named=False)) or [text]
    except (ValueError, RecursionError):
        is_html = re.search(r"<(!doctype )?html\b", text[:1000], re.IGNORECASE) is not None
        found = _TITLE.findall(text)[:1] if is_html else _ELEMENT.findall(text)
        parts = [html.unescape(part) for part in found] or [html.unescape(_MARKUP.sub(" ", text))]
    lines = (" ".join(part.split()) for part in parts)
    return ": ".join(dict.fromkeys(line for line in lines if line))


def _decoded(body: bytes, charset: str) -> str:
    """The body as text; a stated charset may be wrong or missing."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        charset = "utf-16"
    try:
        text = body.decode(charset, "replace")
    except (LookupError, ValueError):  # no such charset, or not one of text
        text = body.decode("utf-8", "replace")
    if text.count("\ufffd") > len(text) // 20:
        text = body.decode("latin-1")
    return text.strip("\ufeff \t\r\n")


def _json_texts(value: Any, named: bool) -> Iterator[str]:
    """Texts of a JSON value; inside an object only those in an error field."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _json_texts(inner, named or name.lower() in _FIELDS)
    elif isinstance(value, list):
        for inner in value:
            yield from _json_texts(inner, named)
    elif isinstance(value, str) and named:
        yield value

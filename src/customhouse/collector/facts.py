"""
What is kept of a request besides its events: few headers, bounded, without secrets, the address truncated.

Most requests of one client say the same again, so the last few thousand results are remembered by the headers they
were made from.
"""

import re
from urllib.parse import unquote_plus

import msgspec

from customhouse.collector.peers import truncate
from customhouse.model.envelope import RequestFacts
from customhouse.model.http import Request

ALLOWED_COOKIES = (
    "_fbp",
    "_fbc",
    "OptanonConsent",
    "OptanonAlertBoxClosed",
    "CookieConsent",
    "CookieConsentBulkTicket",
    "cookieyes-consent",
    "didomi_token",
    "euconsent-v2",
    "eupubconsent-v2",
    "usprivacy",
)
"""Cookies that are kept: Meta's browser ids, which its destination needs, and what consent platforms store."""
SECRET_PARAMETERS = frozenset(
    {"access_token", "api_key", "apikey", "auth", "authorization", "client_secret", "code", "id_token", "key", "pass"}
    | {"passwd", "password", "pwd", "refresh_token", "secret", "session", "session_id", "sessionid", "sig"}
    | {"signature", "token", "write_key", "writekey"}
)
"""Query parameters (in lower case) that are cut out of queries and referers before anything is kept."""
CLIENT_HINTS = (
    "sec-ch-ua",
    "sec-ch-ua-arch",
    "sec-ch-ua-bitness",
    "sec-ch-ua-form-factors",
    "sec-ch-ua-full-version",
    "sec-ch-ua-full-version-list",
    "sec-ch-ua-mobile",
    "sec-ch-ua-model",
    "sec-ch-ua-platform",
    "sec-ch-ua-platform-version",
    "sec-ch-ua-wow64",
)
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SHORT, _LONG, _COOKIE = 256, 1024, 4096
_REMEMBERED = 4096


class Facts:
    """Reduces requests to what may be kept of them."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[tuple[str | None, ...], RequestFacts] = {}

    def of(self, request: Request) -> RequestFacts:
        """Return the facts of a request."""
        get = request.headers.get
        said = (
            request.peer,
            request.path,
            request.query,
            get("host"),
            get("user-agent"),
            get("referer"),
            get("origin"),
            get("accept-language"),
            get("cookie"),
            get("sec-gpc"),
            *((get(name) for name in CLIENT_HINTS) if "sec-ch-ua" in request.headers else ()),
        )
        facts = self._known.get(said)
        if facts is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            facts = self._known[said] = _reduce(request)
        trace = get("traceparent")
        if trace is not None and _TRACEPARENT.fullmatch(trace):
            return msgspec.structs.replace(facts, traceparent=trace)
        return facts


def _reduce(request: Request) -> RequestFacts:
    headers = request.headers
    hints = CLIENT_HINTS if "sec-ch-ua" in headers else ()
    return RequestFacts(
        ip=truncate(request.peer),
        user_agent=_text(headers, "user-agent", _LONG),
        client_hints={name: _text(headers, name, _SHORT) for name in hints if name in headers},
        referer=scrub_url(_text(headers, "referer", 2 * _LONG))[:_LONG],
        origin=_text(headers, "origin", _SHORT),
        language=_text(headers, "accept-language", _SHORT),
        host=_text(headers, "host", _SHORT),
        path=request.path[:_SHORT],
        query=scrub(request.query[: 2 * _LONG])[:_LONG],
        cookies=_cookies(headers.get("cookie", "")),
        gpc=headers.get("sec-gpc") == "1",
    )


def _text(headers: dict[str, str], name: str, length: int) -> str:
    """Return a header's text, cut; senders put UTF-8 where HTTP promises Latin-1."""
    text = headers.get(name, "")
    if not text.isascii():
        text = text.encode("latin-1", "replace").decode("utf-8", "replace")
    return text[:length]


def scrub(query: str) -> str:
    """Return a query string without the parameters that carry keys, tokens and passwords."""
    if not query:
        return ""
    pairs = query.replace(";", "&").split("&")
    return "&".join(pair for pair in pairs if unquote_plus(pair.partition("=")[0]).lower() not in SECRET_PARAMETERS)


def scrub_url(url: str) -> str:
    """Return a URL without user name, password, fragment and secret parameters."""
    before, _, query = url.partition("#")[0].partition("?")
    scheme, mark, rest = before.partition("://")
    if mark:
        authority, slash, path = rest.partition("/")
        before = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    kept = scrub(query)
    return f"{before}?{kept}" if kept else before


def _cookies(header: str) -> dict[str, str]:
    found = {}
    for pair in header.split(";") if header else ():
        name, mark, value = pair.strip().partition("=")
        if mark and name in ALLOWED_COOKIES:
            found[name] = value[:_COOKIE]
    return found

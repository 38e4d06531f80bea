"""
The anonymous-id cookie: the id a browser's SDK goes by, kept where scripts cannot reach it and browsers do not shorten it.

Browsers delete cookies that scripts set after days; one that the site's own server sets with an answer lives as long as
it says. The SDK's id goes into the cookie once; from then on the cookie is renewed and never changed, so that it goes on
saying who this browser was when the SDK has forgotten. The client's bytes stay as they are: the cookie's id is a fact
of receipt, and stands in for an event's anonymous id only where the event names none.
"""

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

from customhouse.collector.config import CookieConfig
from customhouse.collector.front import address
from customhouse.model.errors import Problem
from customhouse.model.http import Request

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DOMAIN = re.compile(r"\.?(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")
_ID = re.compile(r"[\x21-\x7e\u00a1-\ud7ff\ue000-\uffff]{1,128}")
"""What an id in a cookie may hold: what can be seen, and no half of a character."""
_LONGEST = 384
"""Characters of an id when it is percent-encoded."""
_DAY = 86400


class Cookie:
    """How the cookie is read and set."""

    __slots__ = ("_always", "_auto", "_mark", "_tail", "_wiped")

    def __init__(self, config: CookieConfig) -> None:
        """Take a configuration without problems."""
        scope = f"; Path=/; HttpOnly; SameSite={config.same_site.capitalize()}"
        scope += f"; Domain={config.domain}" if config.domain else ""
        self._mark = f"{config.name}="
        self._tail = f"; Max-Age={config.days * _DAY}{scope}"
        self._wiped = f"{self._mark}; Max-Age=0{scope}"
        self._auto = config.secure == "auto"
        # Browsers refuse a cookie for every site that is not secure, so nobody can have meant it otherwise.
        self._always = config.secure is True or config.same_site == "none"

    def known(self, request: Request) -> str:
        """Return the id a request's cookie holds; empty when there is none, or none we would have set."""
        pairs = map(str.strip, request.headers.get("cookie", "").split(";"))
        text = next((pair[len(self._mark) :] for pair in pairs if pair.startswith(self._mark)), "")
        found = unquote(text[: _LONGEST + 1])
        return found if _ID.fullmatch(found) else ""

    def kept(self, request: Request, id_: str) -> tuple[tuple[str, str], ...]:
        """Return the header that sets or renews the cookie; nothing for an id that cannot be kept in one."""
        value = quote(id_, safe="") if _ID.fullmatch(id_) else ""
        if not value or len(value) > _LONGEST:
            return ()
        return (("Set-Cookie", f"{self._mark}{value}{self._tail}{self._secured(request)}"),)

    def wiped(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Return the header that removes the cookie, where the request carries one."""
        if self._mark not in request.headers.get("cookie", ""):
            return ()
        return (("Set-Cookie", self._wiped + self._secured(request)),)

    def _secured(self, request: Request) -> str:
        return "; Secure" if self._always or (self._auto and address.scheme(request) == "https") else ""


def from_browser(request: Request) -> bool:
    """Say whether a browser's page sent this: servers' SDKs send neither header, browsers always one of them."""
    return "origin" in request.headers or "sec-fetch-site" in request.headers


def opted_out(request: Request) -> bool:
    """Say whether the browser asks not to be followed (Global Privacy Control)."""
    return request.headers.get("sec-gpc") == "1"


def problems(config: CookieConfig, place: str) -> Iterator[Problem]:
    """Say what is wrong with a cookie as configured."""
    if not _NAME.fullmatch(config.name):
        yield Problem(f"{place}.name", "this is no name of a cookie", "use letters, digits, `_`, `.`, `-`: `ch_anon`")
    if config.domain and not _DOMAIN.fullmatch(config.domain):
        hint = "write the site's domain, such as `shop.example`, or nothing for the very host that was asked"
        yield Problem(f"{place}.domain", "this is no domain", hint)
    if config.same_site == "none" and config.secure is False:
        hint = "set secure to `true` and serve by https, or same_site to `lax`"
        yield Problem(f"{place}.secure", "browsers refuse `same_site: none` on a cookie that is not secure", hint)
    if config.name.startswith("__Host-") and config.domain:
        yield Problem(f"{place}.domain", "a cookie named `__Host-…` cannot have a domain", "leave the domain out")
    if config.name.startswith(("__Host-", "__Secure-")) and config.secure is False:
        yield Problem(f"{place}.secure", "a cookie of this name must be secure", "set secure to `true`")

"""
By which address the client reached us. Settings answers name it, and a cookie is `Secure` when it is https.

`Host` is the client's own word. What a proxy forwards in its stead is believed only when a trusted proxy handed the
request on: everybody else could send those headers too.
"""

import re

from customhouse.model.http import Request

_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_NOWHERE = "localhost"
"""Stands for a host that is none: whoever follows it stays on their own machine."""


def scheme(request: Request) -> str:
    """Return `https` when a trusted proxy says that the client came by it, else `http`: TLS ends at the proxy."""
    return "https" if _forwarded(request, "proto").lower() == "https" else "http"


def base(request: Request, prefix: str) -> str:
    """Return scheme, host and prefix of the address the client used, such as `https://www.shop.example/journal`."""
    host = _forwarded(request, "host") or request.headers.get("host", "")
    return f"{scheme(request)}://{host if _HOST.fullmatch(host) else _NOWHERE}{prefix}"


def _forwarded(request: Request, what: str) -> str:
    """Return what a trusted proxy says of the client's `proto` or `host`; empty when nobody says it."""
    if not request.proxied:
        return ""
    said = request.headers.get(f"x-forwarded-{what}", "").partition(",")[0].strip()
    # Of a Forwarded header (RFC 7239) the last element is the one our own proxy wrote.
    for pair in () if said else request.headers.get("forwarded", "").rpartition(",")[2].split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == what:
            return value.strip().strip('"')
    return said

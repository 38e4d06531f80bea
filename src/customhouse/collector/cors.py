"""
What browsers need to be told before they show a page our answer, or send anything but the simplest request.

The origin is reflected and credentials are allowed: `*` makes SDKs that send with credentials fail, some of them after
the event was stored.
"""

from functools import lru_cache

from customhouse.model.http import Reply, Request

RECEIPT_HEADER = "X-Customhouse-Receipt"

_METHODS = "GET, POST, OPTIONS"
_MAX_AGE = "86400"
_USUAL = "authorization, content-type, content-encoding, anonymousid, sentat, x-write-key, x-ip-policy, x-retry-count"
Headers = tuple[tuple[str, str], ...]
VARY: Headers = (("Vary", "Origin"),)
"""For answers that depend on who asks, when no page does: caches must not hand them to one."""


@lru_cache(maxsize=1024)
def shared_with(origin: str) -> Headers:
    """Return the headers that show an answer to pages of this origin."""
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", f"Retry-After, {RECEIPT_HEADER}"),
        *VARY,
    )


def headers_for(request: Request) -> Headers:
    """Return what a request's answer must carry; nothing when no browser page asks."""
    origin = request.headers.get("origin")
    return shared_with(origin) if origin else ()


def preflight(request: Request) -> Reply:
    """Answer the question whether a page may send what it wants to send: it may."""
    origin = request.headers.get("origin")
    if not origin:
        return Reply(200, content_type="", headers=(("Allow", _METHODS), *VARY))
    wanted = request.headers.get("access-control-request-headers") or _USUAL
    allowed = (
        ("Access-Control-Allow-Methods", _METHODS),
        ("Access-Control-Allow-Headers", wanted),
        ("Access-Control-Max-Age", _MAX_AGE),
    )
    return Reply(200, content_type="", headers=shared_with(origin) + allowed)

"""
A request and a reply without a server: what protocols read and answer, and what any HTTP layer can host.

Header names are lower-case. Bodies are whole: the door bounds them before anybody sees them.
"""

from msgspec import Struct


class Request(Struct):
    """One HTTP request, complete and within the door's limits."""

    method: str
    path: str
    """Percent-encoded as it came, without the query."""
    query: str
    """What stood behind the question mark, as it came."""
    headers: dict[str, str]
    """Lower-case names; the last of repeated headers wins, except `cookie` and `x-forwarded-for`, which are joined."""
    body: bytes
    peer: str
    """The client's address after trusted proxies have been believed; empty when unknown."""
    proxied: bool = False
    """A trusted proxy handed it on: what it says of the client's own scheme and host may be believed."""
    base: str = ""
    """Scheme, host and path prefix by which the client reached us, where an answer names it; empty when nobody asked."""


class Reply(Struct, frozen=True):
    """One HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Response(Struct, frozen=True):
    """What a destination answered over HTTP, cut to a bounded length."""

    status: int
    headers: dict[str, str]
    body: bytes

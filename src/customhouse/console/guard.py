"""
What stands before every page: our own host names only, nobody who is not let in, no request from a foreign page.

A service on loopback can be reached from any web page in the user's browser. Requests under foreign host names are
refused (DNS rebinding), changes need our own origin and a proof in the form, and our pages may load nothing from
elsewhere and run nothing that is not a file of ours.
"""

from collections.abc import Sequence
from secrets import token_hex
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from customhouse.console.access import FORM, Access

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
OPEN_PATHS = ("/login", "/health", "/static/")
"""What may be seen without being let in: it says nothing of the events."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FOR_EVER = "public, max-age=31536000, immutable"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # `no-referrer` would have browsers send our own forms with `Origin: null`
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """The outermost layer of the console."""

    def __init__(self, app: ASGIApp, access: Access, names: Sequence[str]) -> None:
        """Let in requests under the loopback names and `names`."""
        self._app = app
        self._access = access
        self._names = LOOPBACK_NAMES | {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on; harden what comes back either way."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        form = connection.cookies.get(FORM, "")
        fresh = "" if len(form) == 32 else token_hex(16)
        scope.setdefault("state", {})["form_cookie"] = form or fresh
        fingerprinted = scope["path"].startswith("/static/") and scope["query_string"].startswith(b"v=")
        secure = "; Secure" if connection.url.scheme == "https" else ""

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", _FOR_EVER if fingerprinted else "no-store")
                if fresh and headers.get("Content-Type", "").startswith("text/html"):
                    headers.append("Set-Cookie", f"{FORM}={fresh}; Path=/; HttpOnly; SameSite=Strict{secure}")
            await send(message)

        answer = self._refusal(connection, scope["method"]) or self._app
        await answer(scope, receive, hardened)

    def _refusal(self, connection: HTTPConnection, method: str) -> Response | None:
        """Return why a request is not passed on; None when it is."""
        if host_name(connection.headers.get("host", "")) not in self._names:
            return PlainTextResponse("this host name is not in `console.names`\n", 421)
        if method not in _SAFE and not _same_origin(connection):
            return PlainTextResponse("changes are taken from the console's own pages only\n", 403)
        path = connection.url.path
        if path.startswith(OPEN_PATHS) or self._access.inside(connection):
            return None
        if "text/html" in connection.headers.get("accept", "") and self._access.takes_password:
            to = f"{path}?{connection.url.query}" if connection.url.query else path
            return RedirectResponse(f"/login?to={quote(to, safe='/')}", 303)
        return JSONResponse({"error": "say who you are: Authorization: Bearer <console.token>"}, 401)


def host_name(header: str) -> str:
    """Return the name in a Host header, lower-case and without its port; an IPv6 address keeps its brackets."""
    name = header.strip().lower()
    if name.startswith("["):
        inside, bracket, rest = name.partition("]")
        return inside + bracket if not rest or rest.startswith(":") else ""
    return name.partition(":")[0].rstrip(".")


def _same_origin(connection: HTTPConnection) -> bool:
    """Tell whether a change was asked for by a page of ours, or by a program that is no browser."""
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == connection.headers.get("host", "").strip().lower()
    return site in (None, "same-origin", "none")

"""
The console in its first shape: metrics, health, and one sentence on how the books stand.

It asks nobody and knows no other room: what it shows is handed in as functions. A service on loopback is still reachable
from any web page in the user's browser, so requests under foreign host names are refused (DNS rebinding) and pages may
load nothing.
"""

import asyncio
import html
from collections.abc import Callable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from msgspec import Struct

from customhouse.console.config import ConsoleConfig
from customhouse.model.errors import Misconfigured, Problem, Unavailable
from customhouse.telemetry.prometheus import CONTENT_TYPE

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "customhouse",
}

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Customhouse</title></head>
<body>
<h1>Customhouse</h1>
<p>{sentence}</p>
<ul>
<li><a href="/metrics">metrics</a>: counts, lag and durations for Prometheus</li>
<li><a href="/health">health</a>: whether all is well, as JSON</li>
</ul>
</body>
</html>
"""


class Standing(Struct, frozen=True):
    """How the books stand, in events."""

    accounted: int
    in_flight: int
    unaccounted: int

    def __str__(self) -> str:
        """Say it in one sentence."""
        return (
            f"{self.accounted:,} events accounted for; {self.in_flight:,} in flight; unaccounted {self.unaccounted:,}"
        )


class Health(Struct, frozen=True):
    """Whether the house is well, and what each part of it says."""

    ok: bool
    parts: dict[str, str] = {}


class Sources(Struct, frozen=True):
    """Where the console looks. Called in its event loop, so they take milliseconds; they may raise Unavailable."""

    metrics: Callable[[], bytes]
    health: Callable[[], Health]
    standing: Callable[[], Standing]


async def serve(config: ConsoleConfig, sources: Sources, stop: asyncio.Event, ready: Callable[[int], None]) -> None:
    """
    Serve until `stop` is set; `ready` is told the port once requests are answered.

    Raises Misconfigured when the address cannot be listened on.
    """
    runner = web.AppRunner(application(config, sources), access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.host, config.port)
        try:
            await site.start()
        except OSError as error:
            words = f"cannot listen on {config.host}:{config.port}: {error.strerror}"
            raise Misconfigured([Problem("customhouse.yaml: console.port", words, "choose another port")]) from error
        ready(runner.addresses[0][1])
        await stop.wait()
    finally:
        await runner.cleanup()


def application(config: ConsoleConfig, sources: Sources) -> web.Application:
    """Return the service as aiohttp knows it."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=sources.metrics(), headers={"Content-Type": CONTENT_TYPE})

    async def health(_request: web.Request) -> web.Response:
        state = sources.health()
        body = msgspec.json.encode(state)
        return web.Response(body=body, status=200 if state.ok else 503, content_type="application/json")

    async def page(_request: web.Request) -> web.Response:
        text = _PAGE.format(sentence=html.escape(str(sources.standing())))
        return web.Response(text=text, content_type="text/html")

    guarded = web.Application(middlewares=[_guard(LOOPBACK_NAMES | {name.lower() for name in config.names})])
    guarded.on_response_prepare.append(_harden)
    guarded.add_routes([web.get("/", page), web.get("/metrics", metrics), web.get("/health", health)])
    return guarded


def _guard(names: frozenset[str]) -> Middleware:
    """Let in only requests under our own names; say plainly when what is asked for does not answer."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if host_name(request.headers.get("Host", "")) not in names:
            return web.Response(status=421, text="this host name is not in `console.names`\n")
        try:
            return await handler(request)
        except Unavailable as error:
            return web.Response(status=503, text=f"{error}\n", headers={"Retry-After": "5"})

    return guard


def host_name(header: str) -> str:
    """Return the name in a Host header, lower-case and without its port; an IPv6 address keeps its brackets."""
    name = header.strip().lower()
    if name.startswith("["):
        inside, bracket, rest = name.partition("]")
        return inside + bracket if not rest or rest.startswith(":") else ""
    return name.partition(":")[0].rstrip(".")


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)

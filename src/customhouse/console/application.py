"""
The console as one web application: the guard, the pages in the order people need them, and what machines ask for.

A page is a module in `pages/` with a function that returns a `Page`; what it reads is handed in as an object of its own
Protocol, so that the console asks nobody and knows no other room.
"""

from collections.abc import Callable, Sequence
from importlib.resources import files

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from customhouse.console.access import SESSION, SESSION_SECONDS, Access
from customhouse.console.desk import Desk, Form, Page
from customhouse.console.guard import Guard
from customhouse.model.errors import Unavailable
from customhouse.telemetry.prometheus import CONTENT_TYPE


class Health(Struct, frozen=True):
    """Whether the house is well, and what each part of it says."""

    ok: bool
    parts: dict[str, str] = {}


class Probes(Struct, frozen=True):
    """What machines ask for. Both may raise Unavailable."""

    metrics: Callable[[], bytes]
    health: Callable[[], Health]


def application(
    desk: Desk, pages: Sequence[Page], probes: Probes, access: Access, names: Sequence[str] = ()
) -> ASGIApp:
    """Return everything that is served. `names` are host names besides the loopback ones."""
    desk.pages = pages
    static = StaticFiles(directory=str(files("customhouse.console") / "static"))
    routes = [
        *(route for page in pages for route in page.routes),
        *_probes(desk, probes, access),
        *_doors(desk, access),
        Mount("/static", static, name="static"),
    ]
    handlers = {HTTPException: _refused(desk), Unavailable: _unavailable(desk), Exception: _failed(desk)}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), access, names)


def _probes(desk: Desk, probes: Probes, access: Access) -> list[Route]:
    async def metrics(_request: Request) -> Response:
        return Response(await desk.read(probes.metrics), headers={"Content-Type": CONTENT_TYPE})

    async def health(request: Request) -> Response:
        state = await desk.read(probes.health)
        told = state if access.inside(request) else Health(state.ok)
        return Response(msgspec.json.encode(told), 200 if state.ok else 503, media_type="application/json")

    return [desk.get("/metrics", metrics), desk.get("/health", health)]


def _doors(desk: Desk, access: Access) -> list[Route]:
    """Getting in, and getting out."""

    async def ask(request: Request) -> Response:
        to = _inside(request.query_params.get("to", "/"))
        if not access.takes_password:
            return RedirectResponse(to, 303)
        return desk.page(request, "login.html", "Customhouse", to=to, wrong=False, rest=access.resting())

    async def enter(request: Request, form: Form) -> Response:
        to = _inside(form.get("to", "/"))
        session = access.enter(form.get("password", ""))
        if session is None:
            rest = access.resting()
            return desk.page(request, "login.html", "Customhouse", status=403, to=to, wrong=True, rest=rest)
        answer = RedirectResponse(to, 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(SESSION, session, max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
        return answer

    async def leave(_request: Request, _form: Form) -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(SESSION)
        return answer

    return [desk.get("/login", ask), desk.post("/login", enter), desk.post("/logout", leave)]


def _inside(to: str) -> str:
    """Return where to go after the login: a path of ours, never another site."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/"


_Handler = Callable[[Request, Exception], Response]
_WORDS = {
    404: ("There is no such page", "Look at the address, or begin at the Overview."),
    405: ("This page cannot do that", "Go back, and use its buttons."),
}


def _refused(desk: Desk) -> _Handler:
    def handle(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        title, message = _WORDS.get(status, ("That is not possible", "Go back, and try another way."))
        return _answer(desk, request, status, (title, message))

    return handle


def _unavailable(desk: Desk) -> _Handler:
    def handle(request: Request, error: Exception) -> Response:
        message = f"{error}. `customhouse doctor` tells more."
        answer = _answer(desk, request, 503, ("Something does not answer", message))
        answer.headers["Retry-After"] = "5"
        return answer

    return handle


def _failed(desk: Desk) -> _Handler:
    def handle(request: Request, error: Exception) -> Response:
        desk.report(error)
        message = "This is a mistake in Customhouse, and its log tells where. Please report it."
        return _answer(desk, request, 500, ("This page failed", message))

    return handle


def _answer(desk: Desk, request: Request, status: int, said: tuple[str, str]) -> Response:
    """Say what is wrong: as a page to people, as JSON to programs."""
    title, message = said
    if "text/html" in request.headers.get("accept", ""):
        return desk.page(request, "error.html", title, status=status, message=message)
    return Response(msgspec.json.encode({"error": f"{title}. {message}"}), status, media_type="application/json")

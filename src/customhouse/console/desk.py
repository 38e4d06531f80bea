"""
What every page works with: templates, threads for reading, tables, and forms whose origin has been proven.

Reading blocks (SQLite, files, the lake), so it never happens in the event loop: quick reads share one thread and the
connections that belong to it, searches in the lake have threads of their own and must open what they need.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from customhouse.console.access import Access
from customhouse.console.render import Templates
from customhouse.console.tables import Table, serve_table

P = ParamSpec("P")
T = TypeVar("T")
Form = dict[str, str]
Get = Callable[[Request], Awaitable[Response]]
Post = Callable[[Request, Form], Awaitable[Response]]

FORM_BYTES = 1024 * 1024
FORM_FIELDS = 2000
PROOF = "_proof"
PROOF_HEADER = "x-customhouse-proof"
_SEARCHES = 2


class Page(Struct, frozen=True, kw_only=True):
    """One place in the navigation, and everything that is served for it."""

    name: str
    path: str
    routes: Sequence[Route]
    hidden: bool = False
    """Reached from other pages only."""


class Desk:
    """The tools of the pages. One per console process."""

    def __init__(self, templates: Templates, access: Access) -> None:
        """Start the reading threads."""
        self._templates = templates
        self._access = access
        self._quick = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._search = ThreadPoolExecutor(_SEARCHES, thread_name_prefix="search")
        self.pages: Sequence[Page] = ()
        self.strip: Callable[[], Sequence[Any]] = tuple
        """What stands above every page: the alarms of the moment. Called in the event loop, so it only remembers."""

        self.report: Callable[[Exception], None] = lambda _error: None
        """Told of every exception no page expected, to leave a line in the log."""

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a short read in the one thread the open states belong to."""
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._quick, call)

    async def search(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a longer search, or a job, beside the short reads. It must open states of its own."""
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._search, call)

    def page(self, request: Request, template: str, title: str, *, status: int = 200, **context: Any) -> Response:
        """Return a page, or a part of one when htmx asks for it. `title` is the heading and the name of the tab."""
        text = self._templates.render(
            template,
            title=title,
            pages=[page for page in self.pages if not page.hidden],
            path=request.url.path,
            proof=self._access.proof(request.state.form_cookie),
            leave=self._access.takes_password,
            strip=self.strip(),
            **context,
        )
        return HTMLResponse(text, status)

    def get(self, path: str, handler: Get) -> Route:
        """Return a route for reading."""
        return Route(path, handler, methods=["GET"])

    def tables(self, path: str, make: Callable[[Request], Awaitable[Table]]) -> list[Route]:
        """Return the routes that serve a table alone, as `path.json` and `path.csv`."""

        def route(ending: str) -> Route:
            async def alone(request: Request) -> Response:
                return serve_table(await make(request), ending)

            return self.get(f"{path}.{ending}", alone)

        return [route("json"), route("csv")]

    def post(self, path: str, handler: Post) -> Route:
        """Return a route for a change: its handler gets the form once that is proven to be ours."""

        async def proven(request: Request) -> Response:
            body = bytearray()
            async for piece in request.stream():
                body += piece
                if len(body) > FORM_BYTES:
                    return PlainTextResponse("the form is too large\n", 413)
            try:
                pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS)
            except ValueError:
                return PlainTextResponse("the form cannot be read\n", 400)
            form = dict(pairs)
            proof = request.headers.get(PROOF_HEADER, "") or form.pop(PROOF, "")
            if not self._access.proven(request.state.form_cookie, proof):
                return self.page(request, "error.html", "Please send the form again", status=403, message=_STALE)
            return await handler(request, form)

        return Route(path, proven, methods=["POST"])

    def close(self) -> None:
        """End the reading threads."""
        self._quick.shutdown(wait=True, cancel_futures=True)
        self._search.shutdown(wait=False, cancel_futures=True)


_STALE = "This form was made for another session, so nothing was changed. Load the page again and repeat what you did."

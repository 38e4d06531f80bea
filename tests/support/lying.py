"""
A destination that does what it is told: takes batches, refuses, stalls, cuts the line, or says 200 and means no.

Real destinations fail in all these ways; the house is told nothing about which one it is talking to.
"""

import asyncio
import contextlib
import json
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

_START_SECONDS = 10


@dataclass(frozen=True)
class Taken:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    answer: str

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class LyingServer:
    """
    An HTTP server in a thread of its own.

    `mode` says how it answers from now on: `ok`, `500` (or any status), `429` (with Retry-After), `lie` (200 with an
    error inside), `slow:SECONDS`, `hang` (never answers), `reset` (cuts the connection). `then` queues answers for the
    next requests, before `mode` applies again. Use it as a context manager.
    """

    def __init__(self, mode: str = "ok") -> None:
        """Start to listen."""
        self.mode = mode
        self.retry_after = 1
        self.port = 0
        self._queue: deque[str] = deque()
        self._taken: list[Taken] = []
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="lying-server", daemon=True)
        self._thread.start()
        assert self._ready.wait(_START_SECONDS), "the lying server did not start"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_rest: object) -> None:
        """Close."""
        self.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def then(self, *answers: str) -> None:
        """Answer the next requests like this, one each."""
        with self._lock:
            self._queue.extend(answers)

    def requests(self) -> list[Taken]:
        """Return every request that came, in order, with how it was answered."""
        with self._lock:
            return list(self._taken)

    def events(self, *, taken: bool = True) -> list[dict[str, Any]]:
        """Return the events of all requests (of those that were answered `ok` or late, unless `taken` is false)."""
        found: list[dict[str, Any]] = []
        for request in self.requests():
            if not taken or request.answer == "ok" or request.answer.startswith("slow:"):
                document = request.json()
                found += document.get("events") or document.get("batch") or []
        return found

    def close(self) -> None:
        """Cut every connection and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._done.set)
            self._thread.join(_START_SECONDS)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._done.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        with self._lock:
            answer = self._queue.popleft() if self._queue else self.mode
            self._taken.append(Taken(request.path, {k.lower(): v for k, v in request.headers.items()}, body, answer))
        if answer.startswith("slow:"):
            await asyncio.sleep(float(answer.removeprefix("slow:")))
        elif answer == "hang":
            with contextlib.suppress(asyncio.CancelledError):
                await self._done.wait()
        elif answer == "reset":
            assert request.transport is not None
            request.transport.abort()
        elif answer == "lie":
            return web.json_response({"success": False, "error": "not today"})
        elif answer != "ok":
            return self._refusal(int(answer))
        return web.json_response({"success": True})

    def _refusal(self, status: int) -> web.Response:
        headers = {"Retry-After": str(self.retry_after)} if status in (429, 503) else {}
        return web.json_response({"code": status, "message": "as told"}, status=status, headers=headers)

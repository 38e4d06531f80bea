"""
Server-sent events: a page that stays open and is told what is new. Few at a time, none for ever, none in the way.

A stream asks its beat twice a second what there is to send. While a browser does not read, nothing is asked, so nothing
piles up; a browser that reads nothing for too long is let go. All streams end at once when the console closes.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

MOST = 16
"""Streams at once."""
TICK_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
_PATIENCE_SECONDS = 30.0
_HEARTBEAT = b": still here\n\n"
_FULL = "so many people watch already that nobody more can; close a Live page, or load this one again later"


def message(kind: str, data: Any, place: str = "") -> bytes:
    """Return one server-sent event. `place` is what a browser names when it comes back after a break."""
    named = f"id: {place}\n" if place else ""
    return f"{named}event: {kind}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"


class Streams:
    """All open streams of the console."""

    def __init__(self, most: int = MOST) -> None:
        """Allow so many at once."""
        self._most = most
        self._open: set[asyncio.Event] = set()
        self._closing = False

    @property
    def full(self) -> bool:
        """Tell whether nobody more can be served."""
        return self._closing or len(self._open) >= self._most

    @staticmethod
    def refusal() -> Response:
        """Say that it is full, and when to ask again."""
        return JSONResponse({"error": _FULL}, 503, headers={"Retry-After": "15"})

    def open(self, beat: Callable[[], bytes], done: Callable[[], None]) -> Response:
        """Return a stream of what `beat` returns each time, `b""` for nothing; `done` is called at its end, whatever that is."""
        return _Stream(self, beat, done)

    def end(self) -> None:
        """End every stream now, and begin no other. Call it in the event loop."""
        self._closing = True
        for leaving in self._open:
            leaving.set()

    def enter(self, leaving: asyncio.Event) -> None:
        """Count a stream in."""
        self._open.add(leaving)
        if self._closing:
            leaving.set()

    def leave(self, leaving: asyncio.Event) -> None:
        """Count a stream out."""
        self._open.discard(leaving)


class _Stream(Response):
    """One answer that goes on."""

    def __init__(self, streams: Streams, beat: Callable[[], bytes], done: Callable[[], None]) -> None:
        super().__init__(None, 200, {"X-Accel-Buffering": "no"}, "text/event-stream")
        del self.headers["content-length"]
        self._streams = streams
        self._beat = beat
        self._done = done

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is until the browser goes, the console closes, or the browser does not read."""
        leaving = asyncio.Event()
        self._streams.enter(leaving)
        listening = asyncio.create_task(_listen(receive, leaving))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            with suppress(TimeoutError, OSError):
                await self._send(send, leaving)
                await _write(send, b"", more=False)
        finally:
            listening.cancel()
            self._streams.leave(leaving)
            self._done()

    async def _send(self, send: Send, leaving: asyncio.Event) -> None:
        await _write(send, b"retry: 2000\n\n")
        said_at = time.monotonic()
        while not leaving.is_set():
            piece = self._beat()
            if not piece and time.monotonic() - said_at >= HEARTBEAT_SECONDS:
                piece = _HEARTBEAT
            if piece:
                await _write(send, piece)
                said_at = time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(leaving.wait(), TICK_SECONDS)


async def _listen(receive: Receive, leaving: asyncio.Event) -> None:
    """Hear when the browser goes."""
    while (await receive())["type"] != "http.disconnect":
        pass
    leaving.set()


async def _write(send: Send, piece: bytes, *, more: bool = True) -> None:
    """Send a piece. Raises TimeoutError when the browser does not read."""
    message_ = {"type": "http.response.body", "body": piece, "more_body": more}
    await asyncio.wait_for(send(message_), _PATIENCE_SECONDS)

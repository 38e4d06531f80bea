"""
Sends packets and hears every one of them out, as a well-behaved SDK: it keeps connections, waits when it is told to,
and sends again under the same message ids until it has an answer or its patience ends.
"""

import asyncio
import base64
import random
import time
from collections.abc import Callable, Sequence
from typing import Self

import msgspec
from msgspec import Struct

from customhouse.demo.packets import Packet
from customhouse.demo.tally import Tally
from customhouse.demo.wire import Piece
from customhouse.model.errors import Unavailable
from customhouse.model.http import Response
from customhouse.model.secret import Secret
from customhouse.wire.answers import retry_after

RECEIPT = "x-customhouse-receipt"
_LARGEST_ANSWER = 64 * 1024
_TRY_SECONDS = 30.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_LONGEST_WAIT = 60.0
"""Seconds a door may ask for."""
_PASSING = frozenset({408, 425, 429})

Note = Callable[[str, Sequence[Piece]], None]
"""Is told the receipt of every acknowledged request, and the events in it."""


class Target(Struct, frozen=True):
    """Where events go, and under which key."""

    url: str
    """Scheme, host, port and perhaps a path before `/v1`; no credentials."""
    key: Secret


class Client:
    """Belongs to one event loop. Use as an asynchronous context manager."""

    def __init__(self, target: Target, tally: Tally, in_flight: int, patience: float, note: Note | None = None) -> None:
        """Keep at most `in_flight` requests under way; give a packet up after `patience` seconds."""
        self._url = target.url.rstrip("/")
        user = base64.b64encode(f"{target.key.reveal()}:".encode()).decode()
        self._authorization = {"Authorization": f"Basic {user}"}
        self._tally = tally
        self._note = note
        self._patience = patience
        self._slots = asyncio.Semaphore(in_flight)
        self._connections = in_flight
        self._jitter = random.Random()  # noqa: S311  # a pause, not a secret
        self._asked: set[str] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()
        self.answered = False
        """Whether anything ever answered."""
        self.denied = False
        """Whether the door does not know the write key."""

    async def __aenter__(self) -> Self:
        """Open the session."""
        import aiohttp  # heavy, and the command line knows this module whatever the verb

        self._failures = (aiohttp.ClientError, TimeoutError, OSError)
        connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=60)
        timeout = aiohttp.ClientTimeout(total=_TRY_SECONDS)
        # No cookies, no environment: nothing is sent that an SDK would not send.
        jar = aiohttp.DummyCookieJar()
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar)
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close every connection."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._session.close()

    async def reach(self) -> None:
        """Make sure that somebody listens. Raises Unavailable."""
        try:
            async with self._session.options(f"{self._url}/v1/batch") as answer:
                await answer.content.read(_LARGEST_ANSWER)
        except self._failures:
            raise Unavailable(f"nothing answers at {self._url}; start it: customhouse run") from None

    async def submit(self, packet: Packet) -> None:
        """Send a packet as soon as there is room for it; its fate goes to the tally."""
        await self._slots.acquire()
        self._tally.sent += len(packet.pieces)
        task = asyncio.create_task(self._deliver(packet))
        self._under_way.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._slots.release()

    async def drain(self) -> None:
        """Wait until everything has been answered or given up."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def hurry(self) -> None:
        """Give up what waits for another try; what is being sent is heard out."""
        self._hurry.set()

    async def _deliver(self, packet: Packet) -> None:
        began = time.monotonic()
        pause = _FIRST_PAUSE
        try:
            while True:
                answer = await self._try(packet)
                if answer is not None and self._settled(packet, answer, time.monotonic() - began):
                    return
                asked = retry_after(answer) if answer is not None else None
                wait = min(asked, _LONGEST_WAIT) if asked is not None else pause * self._jitter.uniform(0.5, 1.0)
                pause = min(pause * 2, _LONGEST_PAUSE)
                if time.monotonic() + wait - began > self._patience or await self._interrupted(wait):
                    self._tally.give_up(packet.pieces)
                    return
                self._tally.retries += 1
        except asyncio.CancelledError:
            self._tally.give_up(packet.pieces)
            raise

    async def _interrupted(self, seconds: float) -> bool:
        """Wait; return True when there is no time left to."""
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return False
        return True

    async def _try(self, packet: Packet) -> Response | None:
        """Send once. None when the line broke or nobody answered."""
        now = time.time_ns() // 1000
        headers = packet.moment(now) | self._authorization
        try:
            if "Origin" in headers and packet.path not in self._asked:
                await self._preflight(packet)
            async with self._session.post(
                self._url + packet.path, data=packet.body(now), headers=headers, allow_redirects=False
            ) as answer:
                body = await answer.content.read(_LARGEST_ANSWER)
                self.answered = True
                return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)
        except self._failures:
            return None

    async def _preflight(self, packet: Packet) -> None:
        """Ask, as browsers do before they send an Authorization header to another origin; once for each path."""
        self._asked.add(packet.path)
        asking = {
            "Origin": packet.headers["Origin"],
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        async with self._session.options(self._url + packet.path, headers=asking) as answer:
            await answer.content.read(_LARGEST_ANSWER)

    def _settled(self, packet: Packet, answer: Response, seconds: float) -> bool:
        """Book an answer that is final; return False for one that asks to come again."""
        if 200 <= answer.status < 300:
            receipt = answer.headers.get(RECEIPT, "").partition(";")[0]
            self._tally.took(packet.pieces, seconds, receipt)
            if self._note is not None:
                self._note(receipt, packet.pieces)
            return True
        if answer.status in _PASSING or answer.status >= 500:
            return False
        self.denied = self.denied or answer.status in (401, 403)
        self._tally.refuse(packet.pieces, _reason(answer))
        return True


def _reason(answer: Response) -> str:
    """Return the word a Customhouse gives for a refusal, or the status of any other door."""
    try:
        said = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    code = said.get("code") if isinstance(said, dict) else None
    return code[:60] if isinstance(code, str) and code else f"status {answer.status}"

"""A destination that lies: a real HTTP server on loopback that answers as a script says and remembers what it was sent."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from msgspec import Struct, json


class Sent(Struct):
    key: str
    ids: list[str]
    headers: dict[str, str]
    body: bytes


Answer = int | tuple[int, dict[str, str], bytes] | str
"""A status; or status, headers and body; or `hang`, `reset`, `slow`."""


class Liar:
    def __init__(self, answer: Callable[[Sent], Answer] = lambda _sent: 200) -> None:
        self.answer = answer
        self.sent: list[Sent] = []
        self.taken: list[Sent] = []
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()

    async def __aenter__(self):
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/in"
        return self

    async def __aexit__(self, *_):
        self._closing.set()
        await self._runner.cleanup()

    @property
    def ids(self) -> list[str]:
        """Message ids of all events answered with success, in order of arrival, duplicates included."""
        return [each for sent in self.taken for each in sent.ids]

    async def _handle(self, request):
        body = await request.read()
        data = json.decode(body)
        events = data.get("events") or data.get("batch") or []
        ids = [event.get("message_id") or event.get("messageId") for event in events]
        sent = Sent(request.headers.get("idempotency-key", ""), ids, dict(request.headers), body)
        self.sent.append(sent)
        answer = self.answer(sent)
        if answer == "hang":
            await self._closing.wait()
            return web.Response(status=500)
        if answer == "reset":
            request.transport.abort()
            return web.Response(status=500)
        if isinstance(answer, int):
            answer = (answer, {}, b"")
        status, headers, text = answer
        if 200 <= status < 300:
            self.taken.append(sent)
        return web.Response(status=status, headers=headers, body=text)

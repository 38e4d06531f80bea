"""
The one place that speaks HTTP to destinations: bounded in time and in size, and silent about secrets.

Redirects are not followed (a signed body belongs to one address), proxies are used only when configured, and of an
answer no more than the beginning is read. What goes wrong is a value; its text names kinds of errors, never addresses
with credentials, headers or bodies.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, Self

import aiohttp
from msgspec import Struct

from customhouse.delivery.retry.verdicts import Failure
from customhouse.model.contracts import Parcel
from customhouse.model.http import Response

ANSWER_BYTES = 64 * 1024
_CONNECTIONS = 100


class Patience(Struct, frozen=True):
    """How long one request may take, in seconds."""

    connect: float
    total: float


class Sender(Protocol):
    """Sends one parcel and returns what came back. Never raises for what the other side does."""

    async def send(self, parcel: Parcel, patience: Patience, traceparent: str) -> Response | Failure:
        """Send a parcel; `traceparent` is the client's, or empty."""


class HttpSender:
    """Sends over HTTP/1.1 with connections kept alive. Use as an async context manager."""

    def __init__(self, version: str, child: Callable[[str], str], proxy: str | None = None) -> None:
        """`child` makes a request's `traceparent` of its parent's, empty where there is none; `proxy` is an http address."""
        self._agent = f"customhouse/{version}"
        self._child = child
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool of connections."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,  # a small answer may unpack into a large one; none is asked for packed
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    async def send(self, parcel: Parcel, patience: Patience, traceparent: str) -> Response | Failure:
        """Send a parcel; `traceparent` is the client's, or empty."""
        if self._session is None:
            raise RuntimeError("the sender is not open")
        headers = {"user-agent": self._agent, "accept-encoding": "identity", **dict(parcel.headers)}
        if step := self._child(traceparent):
            headers["traceparent"] = step
        timeout = aiohttp.ClientTimeout(total=patience.total, connect=patience.connect)
        try:
            async with self._session.request(
                parcel.method,
                parcel.url,
                data=parcel.body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                proxy=self._proxy,
            ) as answer:
                return Response(
                    answer.status,
                    {name.lower(): value for name, value in answer.headers.items()},
                    await _beginning(answer),
                )
        except aiohttp.ConnectionTimeoutError:
            return Failure("unreachable", "no connection in time")
        except TimeoutError:
            return Failure("timeout", f"no answer within {patience.total:g} s")
        except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            return Failure("unreachable", _kind(error))


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    """Return the beginning of the body. What lies beyond is not read; its connection is then not used again."""
    body = bytearray()
    while len(body) < ANSWER_BYTES:
        piece = await answer.content.read(ANSWER_BYTES - len(body))
        if not piece:
            return bytes(body)
        body += piece
    if not answer.content.at_eof():
        answer.close()
    return bytes(body)


def _kind(error: BaseException) -> str:
    """Return what kind of error it was, with the system's own words when it has some. Its full text may hold the URL."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    words = cause.strerror if isinstance(cause, OSError) and cause.strerror else ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__

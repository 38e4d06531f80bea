"""The console's process from inside: bind, serve until told to stop, and let nobody's open page hold up the end."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import uvicorn
from starlette.types import ASGIApp

from customhouse.console.config import ConsoleConfig
from customhouse.model.errors import Misconfigured, Problem

_BACKLOG = 256
_CONNECTIONS = 256
_DRAIN_SECONDS = 1


async def serve(config: ConsoleConfig, app: ASGIApp, stop: asyncio.Event, ready: Callable[[int], None]) -> None:
    """
    Serve until `stop` is set; `ready` is told the port once requests are answered.

    Raises Misconfigured when the address cannot be listened on.
    """
    listening = _listen(config)
    settings = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        limit_concurrency=_CONNECTIONS,
        headers=[("Server", "customhouse")],
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it quotes requests
    server = _Server(settings, lambda: ready(int(listening.getsockname()[1])))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving
        listening.close()


class _Server(uvicorn.Server):
    """Says when it is ready, and leaves signals to the process it runs in."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        """Serve by `config`; call `ready` once requests are answered."""
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Take over no signal."""
        return nullcontext()


def _listen(config: ConsoleConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # The protocol by name: asyncio sends at once (TCP_NODELAY) only on sockets that say they are TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.host.strip("[]"), config.port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        words = f"cannot listen on {config.host}:{config.port}: {error.strerror}"
        raise Misconfigured([Problem("customhouse.yaml: console.port", words, "choose another port")]) from error
    listening.settimeout(0)
    return listening

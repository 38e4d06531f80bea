"""The door's process from inside: bind, serve, and on the word to stop finish what is under way before leaving."""

import asyncio
import gc
import sys
from collections.abc import Callable

from customhouse.collector.commit import Commit
from customhouse.collector.config import ListenConfig
from customhouse.collector.http.host import Host
from customhouse.collector.http.server import Server

_BACKLOG = 2048
_SWITCH_INTERVAL = 0.0005
"""Seconds. The writer's thread comes back from the disk many times a second and must not wait 5 ms for its turn."""

_COLLECT_AFTER = 20_000
"""Objects. Next to none of what the door makes is cyclic, so looking for cycles rarely is enough."""


async def serve(
    listen: ListenConfig, host: Host, commit: Commit, stop: asyncio.Event, ready: Callable[[int], None]
) -> None:
    """
    Serve until `stop` is set; `ready` is told the port as soon as connections are accepted.

    Then: no new connections, requests under way are finished within the drain time-out, everything accepted and every
    count is in the log. Raises OSError when the address cannot be had.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL)
    gc.set_threshold(_COLLECT_AFTER)
    server = Server(host, listen)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(server, listen.host, listen.port, reuse_address=True, backlog=_BACKLOG)
    try:
        commit.start()
        server.start()
        ready(int(listening.sockets[0].getsockname()[1]))
        await stop.wait()
    finally:
        listening.close()
        await server.drain()
        await commit.drain()

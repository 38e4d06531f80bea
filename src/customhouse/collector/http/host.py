"""Who answers requests, and what all connections to it share. Apart, so that another HTTP layer can host the same door."""

from collections.abc import Callable
from typing import Protocol

from customhouse.collector.config import ListenConfig
from customhouse.collector.later import Later
from customhouse.collector.peers import Proxies
from customhouse.model.http import Reply, Request

Answer = Reply | Later
Handler = Callable[[Request], Answer]


class Host(Protocol):
    """What answers requests. Never raises, never blocks."""

    body_bytes: int
    """The largest body it takes, as it may change with the configuration."""

    def handle(self, request: Request) -> Answer:
        """Answer a whole request now or later."""

    def refuse(self, request: Request, reason: str) -> Reply:
        """Refuse, for a documented reason, a request whose body is not going to be read."""


class Commons:
    """What the connections of one listening socket share: bounds, sums, and the time as of the last sweep."""

    __slots__ = ("buffered", "date", "draining", "host", "listen", "now", "proxies")

    def __init__(self, host: Host, listen: ListenConfig) -> None:
        """Begin without connections. Raises Misconfigured when a trusted network is none."""
        self.host = host
        self.listen = listen
        self.proxies = Proxies(listen.trusted_proxies, listen.proxy_header) or None
        self.buffered = 0
        """Bytes of bodies that are still arriving."""
        self.draining = False
        self.now = 0.0
        """The loop's time: near enough for deadlines, and free."""
        self.date = ""
        """The Date header as a whole line."""

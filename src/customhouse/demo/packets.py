"""
Events put into requests as the SDKs put them: browsers send each at once or collect a few, servers fill batches.

Only what is known at the moment of sending is missing in a packet, the time; `body` fills it in, at every try anew, as
the SDKs do.
"""

import base64
from typing import Any

from isal import igzip
from msgspec import Struct, field
from msgspec.structs import replace

from customhouse.demo import shop
from customhouse.demo.mistakes import MISTAKES
from customhouse.demo.wire import (
    BROWSERS,
    RUDDER_NODE,
    RUDDER_PYTHON,
    RUDDER_WEB,
    SEGMENT_NODE,
    SEGMENT_PYTHON,
    SEGMENT_WEB,
    Draft,
    Piece,
    finish,
)
from customhouse.wire import times

_FLUSH_SECONDS = 0.5
_MOST_BYTES = 400_000
"""Of one body: under what Segment's service takes."""
_SIZES = {SEGMENT_PYTHON: 100, SEGMENT_NODE: 15, RUDDER_PYTHON: 100, RUDDER_NODE: 20, SEGMENT_WEB: 10, RUDDER_WEB: 10}
_GZIP = frozenset({SEGMENT_PYTHON, RUDDER_PYTHON, RUDDER_NODE})
_HEADERS = {
    SEGMENT_PYTHON: {"User-Agent": "analytics-python/2.4.0", "Content-Type": "application/json"},
    SEGMENT_NODE: {"User-Agent": "analytics-node-next/latest", "Content-Type": "application/json"},
    RUDDER_PYTHON: {"User-Agent": "analytics-python/2.1.9", "Content-Type": "application/json"},
    # rudder-sdk-node says so, whatever it sends.
    RUDDER_NODE: {"User-Agent": "analytics-node/3.0.13", "Content-Type": "application/x-www-form-urlencoded"},
    SEGMENT_WEB: {"Content-Type": "text/plain"},
    RUDDER_WEB: {"Content-Type": "application/json;charset=UTF-8", "Accept": "application/json"},
}
_SINGLES_PER_SECOND = 200
"""Beyond this rate the shop's makers have switched their browser SDKs to batching."""


class Packet(Struct):
    """One request: where to, with which headers, and the events in it."""

    path: str
    headers: dict[str, str]
    pieces: list[Piece]
    batch: bool
    gzip: bool = False
    stamped: bool = False
    """Whether a header says the time of sending, too."""

    @property
    def clean(self) -> bool:
        """Whether nothing in it is a mistake."""
        return not any(piece.mistake for piece in self.pieces)

    def again(self) -> "Packet":
        """Return the same request as a mistake: somebody sends it a second time."""
        fate = MISTAKES["resent"].fate
        return replace(self, pieces=[replace(piece, mistake="resent", fate=fate) for piece in self.pieces])

    def body(self, now: int) -> bytes:
        """Return the body as it is sent at a moment (microseconds since 1970)."""
        if not self.batch:
            return _sent(self.pieces[0], now)
        # A sender whose clock is wrong says so event by event; the others once for all.
        bodies = b",".join([_sent(piece, now) if piece.skew else piece.body for piece in self.pieces])
        body = b'{"batch":[%b],"sentAt":"%b"}' % (bodies, _time(now))
        return igzip.compress(body, compresslevel=1) if self.gzip else body

    def moment(self, now: int) -> dict[str, str]:
        """Return the headers, with those that depend on the moment."""
        return self.headers | {"SentAt": _time(now).decode()} if self.stamped else self.headers


def _time(us: int) -> bytes:
    return times.format(us // 1000 * 1000).encode()


def _sent(piece: Piece, now: int) -> bytes:
    return b'%b,"sentAt":"%b"}' % (piece.body[:-1], _time(now + piece.skew))


class _Waiting(Struct):
    since: float
    sender: str
    anonymous_id: str
    agent: str
    pieces: list[Piece] = field(default_factory=list)
    bytes: int = 0
    held: bool = False
    """Without a network: nothing goes out before the visit ends."""


class Packer:
    """Collects events and says which requests are due. Knows no clock but the seconds it is told."""

    def __init__(self, rate: float) -> None:
        """Pack for so many events per second."""
        self._single = 0.7 * min(1.0, _SINGLES_PER_SECOND / rate)
        self._waiting: dict[Any, _Waiting] = {}
        self._servers = {
            sender: _HEADERS[sender] | ({"Content-Encoding": "gzip"} if sender in _GZIP else {})
            for sender in _HEADERS
            if sender not in BROWSERS
        }

    def add(self, draft: Draft, now: float, *, offline: bool = False) -> list[Packet]:
        """Take an event at a moment (seconds of the run); return the requests that are full by it."""
        piece, sender, device = finish(draft), draft.sender, draft.visit.device
        if sender in BROWSERS and not offline and not draft.raw and device.batching > 1 - self._single:
            return [self._alone(piece, draft)]
        key = (device.anonymous_id, offline) if sender in BROWSERS else sender
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(now, sender, device.anonymous_id, device.agent, held=offline)
        waiting.pieces.append(piece)
        waiting.bytes += len(piece.body)
        full = len(waiting.pieces) >= _SIZES[sender] * (5 if offline else 1) or waiting.bytes >= _MOST_BYTES
        due = [key] if full else []
        # The network comes back when the visit is over, whoever told its last step.
        if draft.last and (burst := (device.anonymous_id, True)) in self._waiting and burst not in due:
            due.append(burst)
        return [self._packed(self._waiting.pop(key)) for key in due]

    def ripe(self, now: float) -> list[Packet]:
        """Return the requests that have waited long enough."""
        keys = [
            key for key, waiting in self._waiting.items() if not waiting.held and now - waiting.since >= _FLUSH_SECONDS
        ]
        return [self._packed(self._waiting.pop(key)) for key in keys]

    def rest(self) -> list[Packet]:
        """Return everything that still waits."""
        packets = [self._packed(waiting) for waiting in self._waiting.values()]
        self._waiting.clear()
        return packets

    def _alone(self, piece: Piece, draft: Draft) -> Packet:
        kind = draft.event["type"]
        named = draft.event.get("anonymousId") or ""
        headers = _browser(draft.sender, draft.visit.device.agent, named)
        path = f"/v1/{kind[0]}" if draft.sender == SEGMENT_WEB else f"/v1/{kind}"
        return Packet(path, headers, [piece], batch=False, stamped=draft.sender == RUDDER_WEB)

    def _packed(self, waiting: _Waiting) -> Packet:
        sender = waiting.sender
        if sender not in BROWSERS:
            return Packet("/v1/batch", self._servers[sender], waiting.pieces, batch=True, gzip=sender in _GZIP)
        path = "/v1/b" if sender == SEGMENT_WEB else "/v1/batch"
        headers = _browser(sender, waiting.agent, waiting.anonymous_id)
        return Packet(path, headers, waiting.pieces, batch=True, stamped=sender == RUDDER_WEB)


def _browser(sender: str, agent: str, anonymous_id: str) -> dict[str, str]:
    """Return what a browser adds by itself, and what the SDK in it does."""
    headers = _HEADERS[sender] | {"User-Agent": agent, "Origin": shop.ORIGIN, "Referer": f"{shop.ORIGIN}/"}
    if sender == RUDDER_WEB and anonymous_id:
        headers["AnonymousId"] = base64.b64encode(anonymous_id.encode()).decode()
    return headers

"""
Senders that never give up what they were not told is safe: what real SDKs are, without their kindness.

They mint the ids, number the events of every key, send the same bytes again until they are told 200, and write down in a
journal what was sent and which of it was acknowledged. They know nothing of the house but its address.
"""

import gzip
import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlsplit

from knock import basic

BAD = ("name_missing", "identity_missing", "schema_violation")
"""The ways in which an event is broken on purpose: the reasons it has to lie in quarantine for."""
AGREED = {
    "event": "Order Completed",
    "version": "1.0.0",
    "owner": "team-chaos",
    "description": "What the plan knows, so that an event can break it.",
    "properties": {"total": {"type": "number"}},
    "required": ["total"],
}
SOURCES = {"app": {"write_key": "chaos-segment"}, "rudder": {"write_key": "chaos-rudder", "protocol": "rudderstack"}}
_RETRIED = (429, 503)
_KEYS_EACH = 6
_SECONDS = 10.0
_OLD = 400
_LARGE = 28_000


@dataclass(frozen=True, slots=True)
class Minted:
    """One event as it was made."""

    id: str
    source: str
    key: str
    seq: int
    bad: str


@dataclass
class Journal:
    """What was sent and what was acknowledged. Everything by message id."""

    sent: dict[str, Minted] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    copies_sent: int = 0
    """Events in all requests that may have reached the door."""
    copies_acknowledged: int = 0
    """Events in all requests that were answered 200."""
    troubles: Counter[str] = field(default_factory=Counter)
    """Answers that ask to come again, and broken connections."""
    surprises: list[str] = field(default_factory=list)
    """Answers no sender should get, whatever happens inside."""
    longest_wait: float = 0.0
    """Seconds from the first attempt to the 200 of the request that waited longest."""


class Load:
    """Several senders in threads of their own. Use it as a context manager; leaving it waits for the last answers."""

    def __init__(self, url: str, seed: int, *, senders: int = 3, pause: float = 0.02) -> None:
        """Send to a door that keeps its address; each sender pauses so many seconds after every request."""
        self.journal = Journal()
        self.pause = pause
        self.large = threading.Event()
        """While set, batches are of large events: segments fill up."""
        self.patience = 60.0
        """Seconds for which a request is repeated after the load was told to end; then its fate is unknown."""
        self._place = urlsplit(url)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send_on, args=(nth, random.Random(seed * 1000 + nth)), daemon=True)
            for nth in range(senders)
        ]

    def __enter__(self) -> Self:
        """Begin to send."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        """Stop sending, and wait for the answers that are due."""
        self.end()

    def end(self) -> Journal:
        """Send nothing new; repeat what was not answered, for a while. Returns the journal."""
        self._stop.set()
        for thread in self._threads:
            thread.join(self.patience + 2 * _SECONDS)
            assert not thread.is_alive(), "a sender hangs"
        return self.journal

    def acknowledged(self) -> int:
        """Return how many events are acknowledged so far."""
        with self._lock:
            return len(self.journal.acknowledged)

    def _send_on(self, nth: int, chance: random.Random) -> None:
        sender = _Sender(nth, chance)
        while not self._stop.is_set():
            events = sender.make(large=self.large.is_set())
            path, body, headers = sender.pack(events)
            self._until_taken(sender, [minted for minted, _ in events], (path, body, headers))
            time.sleep(self.pause * chance.uniform(0.2, 1.8))
        sender.close()

    def _until_taken(self, sender: "_Sender", minted: list[Minted], request: tuple[str, bytes, dict[str, str]]) -> None:
        began = time.monotonic()
        with self._lock:
            self.journal.sent |= {each.id: each for each in minted}
        while True:
            with self._lock:
                self.journal.copies_sent += len(minted)
            status, wait = sender.post(self._place.hostname or "", self._place.port or 80, *request)
            with self._lock:
                if status == 200:
                    self.journal.copies_acknowledged += len(minted)
                    self.journal.acknowledged.update(each.id for each in minted)
                    self.journal.longest_wait = max(self.journal.longest_wait, time.monotonic() - began)
                    sender.remember(minted)
                    return
                self.journal.troubles[str(status or "broken")] += 1
                if status and status not in _RETRIED:
                    self.journal.surprises.append(f"{request[0]} was answered {status}")
                    return
            if self._stop.is_set() and time.monotonic() - began > self.patience:
                return
            if not status and sender.chance.random() < 0.05:
                return  # a device that is switched off: nobody knows what became of these
            time.sleep(wait)


class _Sender:
    """One client: its keys, its connection, its memory of what it may send twice."""

    def __init__(self, nth: int, chance: random.Random) -> None:
        self.chance = chance
        self._source = "rudder" if nth % 2 else "app"
        self._nexts = {f"key-{nth}-{each}": 0 for each in range(_KEYS_EACH)}
        self._old: list[tuple[Minted, dict[str, Any]]] = []
        self._fresh: list[tuple[Minted, dict[str, Any]]] = []
        self._connection: http.client.HTTPConnection | None = None

    def make(self, *, large: bool) -> list[tuple[Minted, dict[str, Any]]]:
        """Make the events of the next request; some are broken, some were sent before, some stand twice."""
        chance = self.chance
        count = 100 if large else 1 if chance.random() < 0.4 else chance.randint(2, 60)
        events = [self._event(_LARGE if large else chance.randint(0, 300)) for _ in range(count)]
        self._fresh = list(events)
        if count > 1 and chance.random() < 0.1:
            events.append(chance.choice(events))
        if self._old and not large and chance.random() < 0.15:
            events += chance.sample(self._old, min(len(self._old), chance.randint(1, 5))) if count > 1 else []
        return events

    def remember(self, _minted: list[Minted]) -> None:
        """Keep what was acknowledged, to send it again some time."""
        if not self._fresh or len(self._fresh[0][1]["context"]["pad"]) < _LARGE:
            self._old = (self._old + self._fresh)[-_OLD:]

    def pack(self, events: list[tuple[Minted, dict[str, Any]]]) -> tuple[str, bytes, dict[str, str]]:
        """Put events into one request: a single call on its own route, several in a batch, some compressed."""
        documents = [document for _, document in events]
        headers = {"content-type": "application/json", "authorization": basic(SOURCES[self._source]["write_key"])}
        if len(documents) == 1:
            path, body = f"/v1/{documents[0]['type']}", json.dumps(documents[0]).encode()
        else:
            path, body = "/v1/batch", json.dumps({"batch": documents}).encode()
        if self.chance.random() < 0.3:
            body, headers["content-encoding"] = gzip.compress(body, 1), "gzip"
        return path, body, headers

    def post(self, host: str, port: int, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
        """Send one request; return the status (0 when the answer did not come whole) and the seconds to wait."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
            self._connection.request("POST", path, body=body, headers=headers)
            response = self._connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return 0, self.chance.uniform(0.05, 0.3)
        asked = float(response.headers.get("retry-after", 0.2))
        return response.status, min(asked, 0.5)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _event(self, pad: int) -> tuple[Minted, dict[str, Any]]:
        bad = self.chance.choice(BAD) if self.chance.random() < 0.03 else ""
        key = self.chance.choice(list(self._nexts))
        seq = self._nexts[key]
        if not bad:
            self._nexts[key] += 1
        kind = "track" if bad else self.chance.choice(("track", "track", "track", "page", "identify"))
        document: dict[str, Any] = {
            "type": kind,
            "messageId": str(uuid.UUID(int=self.chance.getrandbits(128), version=4)),
            "anonymousId": key,
            "timestamp": datetime.now(UTC).isoformat(),
            "context": {"seq": seq, "pad": "x" * pad},
        }
        if kind == "track" and bad != "name_missing":
            document |= {"event": "Order Completed", "properties": {"total": "a lot" if bad else 1.5}}
        if bad == "identity_missing":
            del document["anonymousId"]
        return Minted(document["messageId"], self._source, "" if bad else key, seq, bad), document

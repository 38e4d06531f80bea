"""
The events a lane tries again by themselves, in memory: who is due, and who waits behind whom.

The state keeps the same events on disk. Under `order: key` only the first of each key is tried; the others wait for
it, in the order they came.
"""

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush

from customhouse.model.frames import HeldEvent


class Held:
    """One lane's events in retry. Not thread-safe."""

    def __init__(self, *, by_key: bool) -> None:
        """Start empty; `by_key` keeps the order of each key."""
        self._by_key = by_key
        self._events: dict[bytes, HeldEvent] = {}
        self._queues: dict[str, deque[bytes]] = {}
        self._due: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._events)

    def __contains__(self, event_id: bytes) -> bool:
        """Tell whether an event is in retry by itself."""
        return event_id in self._events

    def blocks(self, key: str) -> bool:
        """Tell whether an event of this key must wait behind another. An empty key orders nothing."""
        return key in self._queues

    def fill(self, events: Iterable[HeldEvent]) -> None:
        """Take in what the state holds, in the order of the log; what is here already stays as it is."""
        for held in sorted(events, key=lambda one: (one.partition, one.position)):
            if held.event.id not in self._events:
                self.put(held)

    def put(self, held: HeldEvent) -> None:
        """Add an event, or bring it up to date after another try."""
        event_id, key = held.event.id, held.event.order_key
        if event_id not in self._events and self._by_key and key:
            self._queues.setdefault(key, deque()).append(event_id)
        self._events[event_id] = held
        if self._is_first(event_id):
            heappush(self._due, (held.due_at, event_id))

    def remove(self, event_id: bytes) -> None:
        """Let go of an event; the next of its key may be tried."""
        held = self._events.pop(event_id, None)
        queue = self._queues.get(held.event.order_key) if held else None
        if queue is None or held is None:
            return
        queue.remove(event_id)
        if queue:
            heappush(self._due, (self._events[queue[0]].due_at, queue[0]))
        else:
            del self._queues[held.event.order_key]

    def next(self) -> HeldEvent | None:
        """Return the event to be tried next, due or not; None when there is none."""
        while self._due:
            due_at, event_id = self._due[0]
            held = self._events.get(event_id)
            if held is not None and held.due_at == due_at and self._is_first(event_id):
                return held
            heappop(self._due)
        return None

    def _is_first(self, event_id: bytes) -> bool:
        queue = self._queues.get(self._events[event_id].event.order_key)
        return queue is None or queue[0] == event_id

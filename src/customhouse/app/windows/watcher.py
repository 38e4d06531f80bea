"""
Watching the house for the console: reads it now and then, keeps the newest reading, and notes a few numbers for charts.

Pages show the newest reading instead of reading by themselves, so a page costs the same however much is stored and
however many people look. Nobody looking, it reads every five seconds; while somebody does, every second.
"""

import threading
import time
from collections.abc import Iterator

from customhouse.app.windows.window import Seen, Window
from customhouse.model.posting import LOGGED, RECEIVED, Posting
from customhouse.telemetry.history import History
from customhouse.telemetry.measure import BOUNDS, Snapshot

HISTORY_FILE = "history.msgpack"
_IDLE_SECONDS = 5.0
_BUSY_SECONDS = 1.0
_ATTENTION_SECONDS = 30.0
_SAVE_SECONDS = 60.0
_SHARE = 20
"""Looking takes at most one part in so many of the time: years of books are looked at less often."""
_ACKNOWLEDGED = "customhouse_acknowledgement_duration_seconds"


class Watcher:
    """The newest reading of the house, and its history. `look` is called in one thread; the rest from any."""

    def __init__(self, window: Window) -> None:
        """Go on with the history that was kept."""
        self._window = window
        self._history = History(window.workspace.run / HISTORY_FILE)
        self._lock = threading.Lock()
        self._seen: Seen | None = None
        self._attention = 0.0
        self._next_save = time.monotonic() + _SAVE_SECONDS
        self._waited: dict[str, list[int]] = {}
        self._took = 0.0

    def due(self) -> bool:
        """Tell whether it is time to look again."""
        if self._seen is None:
            return True
        wanted = _BUSY_SECONDS if time.monotonic() - self._attention < _ATTENTION_SECONDS else _IDLE_SECONDS
        passed = time.time() - self._seen.at
        return passed < 0 or passed >= max(wanted, self._took * _SHARE)

    def look(self) -> Seen:
        """Read the house and note what charts need. Raises Unavailable, OSError."""
        began = time.monotonic()
        seen = self._window.seen()
        self._took = time.monotonic() - began
        values = dict(_numbers(seen))
        values |= self._acknowledgement(seen.measured)
        with self._lock:
            self._seen = seen
            self._history.add(seen.at, values)
            if time.monotonic() >= self._next_save:
                self._next_save = time.monotonic() + _SAVE_SECONDS
                self._history.save()
        return seen

    def newest(self) -> Seen:
        """Return the newest reading; looks if there is none yet. Whoever asks is paid attention to for a while."""
        self._attention = time.monotonic()
        return self._seen or self.look()

    @property
    def history(self) -> History:
        """The history. Hold `lock` while reading from it."""
        return self._history

    @property
    def lock(self) -> threading.Lock:
        """Held while the history is written or read."""
        return self._lock

    def save(self) -> None:
        """Keep the history over a restart. Raises OSError."""
        with self._lock:
            self._history.save()

    def _acknowledgement(self, measured: list[Snapshot]) -> dict[str, float]:
        """Return within what time 99 of 100 requests were acknowledged since the last look, in ms, by source."""
        before, self._waited = self._waited, {}
        found = {}
        for held in (held for snapshot in measured for held in snapshot.histograms if held.name == _ACKNOWLEDGED):
            source = dict(held.labels)["source"]
            self._waited[source] = held.counts
            known = before.get(source, [0] * len(held.counts))
            fresh: list[int] = [now - then for now, then in zip(held.counts, known, strict=True)]
            if self._seen and min(fresh) >= 0 and sum(fresh):  # counts that fell are those of a new process
                found[f"ack:{source}"] = percentile(fresh, 0.99) * 1000
        return found


def percentile(counts: list[int], share: float) -> float:
    """Return a percentile of durations sorted into the buckets of `BOUNDS`, in seconds; straight within a bucket."""
    wanted, below = share * sum(counts), 0
    for nth, count in enumerate(counts):
        if count and below + count >= wanted:
            low = BOUNDS[nth - 1] if nth else 0.0
            high = BOUNDS[nth] if nth < len(BOUNDS) else BOUNDS[-1]
            return low + (high - low) * (wanted - below) / count
        below += count
    return 0.0


def _numbers(seen: Seen) -> Iterator[tuple[str, float]]:
    """Yield what charts and alarms need, by name: counters as they stand, and gauges."""
    yield from counted(seen.balance.postings).items()
    waiting = {each.account: each.events for each in seen.balance.waiting}
    yield "lag:pipeline", waiting.get(LOGGED, 0)
    for name, lane in seen.lanes.items():
        yield f"lag:{name}", waiting.get(f"owed:{name}", 0)
        oldest = lane.get("oldest_seconds")
        if isinstance(oldest, int | float):
            yield f"age:{name}", oldest


def counted(postings: list[Posting]) -> dict[str, float]:
    """Return how many events came in by source, went out by destination, and were held back, ever."""
    found: dict[str, float] = {"quarantined": 0, "refused": 0}
    for p in postings:
        kind, _, name = p.moved_to.partition(":")
        if p.moved_from == RECEIVED and p.moved_to == LOGGED:
            found[f"received:{p.source}"] = found.get(f"received:{p.source}", 0) + p.count
        elif kind == "delivered":
            found[f"delivered:{name}"] = found.get(f"delivered:{name}", 0) + p.count
        elif kind in ("quarantined", "refused"):
            found[kind] += p.count
    return found

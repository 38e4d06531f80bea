"""
A workspace that looks as if it had taken in millions of events over a month: written straight into lake, books and log.

What is as the house leaves it: shapes, statistics, Bloom filters and compression of the files (its own writer makes
them), partitions by day, rows in the order of receipt, ids that grow with time and random message ids, whole files of
tens of megabytes, a checkpointed log of commits, books by source and hour that balance, bookmarks and marks.

What is not: the logs hold one frame for all of it instead of days of segments; event bodies are drawn from twenty thousand;
every day has the same traffic; the index of message ids is empty; the tables hold no files that wait for removal.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from time import time_ns

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct

from bench.load import events as bodies
from customhouse.app.rules import take_in
from customhouse.app.workspace import Workspace
from customhouse.delivery.settle import LANES, Mark
from customhouse.ledger.books import post
from customhouse.ledger.trail import RECEIPTS, RECEIPTS_SHAPE, TRAIL, TRAIL_SHAPE
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.frames import (
    OWED_TOPIC,
    RECEIPTS_TOPIC,
    RECEIVED_TOPIC,
    DoorFrame,
    OwedFrame,
    ReceiptFrame,
    encode,
)
from customhouse.model.outcome import Versions
from customhouse.model.posting import HOUR, LOGGED, RECEIVED, Posting, delivered, dropped, owed
from customhouse.pipeline.batch import Place
from customhouse.state.embedded import EmbeddedState
from customhouse.tables.datafile import Shape
from customhouse.tables.delta import DeltaFolder
from customhouse.tables.events import SHAPE, TABLE

DAYS = 30
_DAY = 86_400_000_000
_LANE = "lake"
_SOURCES = ("web", "ios", "server")
_EVERY = 50
"""One event in so many is a duplicate: it has a trail row and stands in no lake."""
_BATCH = 8
"""Events in one commit of the lake, and so under one receipt: about four events a second, two seconds a commit."""
_STAGES = ("dedupe", "clock", "validation", "routing")
_FILE_ROWS = {TABLE: 130_000, TRAIL: 400_000, RECEIPTS: 400_000}
_BODIES = 20_000
_HEX = np.array([list(f"{value:02x}".encode()) for value in range(256)], dtype=np.uint8)
_DASHED = np.array([at for at in range(36) if at not in (8, 13, 18, 23)])


class Past(Struct, frozen=True):
    """How much is pretended, and until when (microseconds since 1970)."""

    events: int
    until: int
    seed: int = 11

    @property
    def copies(self) -> int:
        """Return how many of the events went to the lake."""
        return self.events - self.events // _EVERY

    def received_at(self, numbers: np.ndarray) -> np.ndarray:
        """Return when events came, by number: evenly over the month."""
        step = DAYS * _DAY / self.events
        return (self.until - (self.events - numbers) * step).astype(np.int64)

    def ids(self, numbers: np.ndarray) -> tuple[pa.Array, pa.Array]:
        """Return event ids, which grow with time, and message ids, which are random; the same for the same numbers."""
        mixed = _mixed(numbers, self.seed)
        event = np.empty((len(numbers), 2), dtype=">u8")
        event[:, 0] = (self.received_at(numbers) // 1000) << 16 | 7 << 12
        event[:, 1] = mixed[:, 0] >> 2 | 1 << 63
        return _uuids(event), _uuids(mixed[:, 1:].astype(">u8"))


def prepare(place: Workspace, events: int) -> Past:
    """Write the past into a workspace nobody runs in, accept its configuration, and return the past."""
    place.prepare()
    take_in(place, {})
    past = Past(events, time_ns() // 1000)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as both:
        for done in [both.submit(_fill, place.lake, name, past) for name in (TABLE, TRAIL, RECEIPTS)]:
            done.result()
    _books(place, past)
    _logs(place, past)
    return past


def samples(past: Past, count: int) -> list[tuple[str, str]]:
    """Return event id and message id of some events of the lake, old and new ones."""
    numbers = np.linspace(0, past.events - 2, count).astype(np.int64)
    numbers -= numbers % _EVERY == _EVERY - 1  # those have no copy in the lake
    event, message = past.ids(numbers)
    return list(zip(event.to_pylist(), message.to_pylist(), strict=True))


def _fill(lake: Path, name: str, past: Past) -> None:
    """Write one table, a day at a time, as compaction leaves it."""
    shape, rows = {TABLE: (SHAPE, _events), TRAIL: (TRAIL_SHAPE, _trail), RECEIPTS: (RECEIPTS_SHAPE, _receipts)}[name]
    app = f"{RECEIPTS_TOPIC if name == RECEIPTS else OWED_TOPIC}-0"
    with closing(DeltaFolder(lake / name, shape)) as table:
        for numbers in _stretches(past, name):
            made = rows(past, numbers)
            table.append(made, app, _upto(past, name, int(numbers[-1])))
        table.append(made.slice(0, 0), app, past.copies - 1 if name != RECEIPTS else 0, encode(_receipt(past)))
        table.tend()


def _upto(past: Past, name: str, number: int) -> int:
    """Return the position a table has reached, below the last one: versions of commits only grow."""
    return -10 - past.events + number if name == RECEIPTS else min(past.copies - 2, number - number // _EVERY)


def _stretches(past: Past, name: str) -> Iterator[np.ndarray]:
    """Cut the events into files: no file over midnight, and none larger than compaction makes them."""
    size = _FILE_ROWS[name] * (_BATCH if name == RECEIPTS else 1)
    numbers = np.arange(past.events, dtype=np.int64)
    days = past.received_at(numbers) // _DAY
    for day in np.unique(days):
        first, last = np.searchsorted(days, day), np.searchsorted(days, day, side="right")
        pieces = max(1, round((last - first) / size))
        yield from (piece for piece in np.array_split(numbers[first:last], pieces) if len(piece))


def _trail(past: Past, numbers: np.ndarray) -> pa.Table:
    """Return trail rows: most routed, some dropped as duplicates."""
    event, message = past.ids(numbers)
    received = past.received_at(numbers)
    gone = numbers % _EVERY == _EVERY - 1
    places = numbers - numbers // _EVERY
    sources = pa.array(_SOURCES, pa.string()).take(pa.array(numbers % len(_SOURCES)))
    routes = pa.ListArray.from_arrays(
        pa.array(np.concatenate(([0], np.cumsum(~gone))), pa.int32()), pa.repeat(_LANE, int((~gone).sum()))
    )
    columns = {
        "event_id": event, "message_id": message, "source": sources, "type": _same("track", numbers),
        "event": _names().take(pa.array(numbers % _BODIES)), "received_at": _times(received),
        "occurred_at": _times(received - 40_000), "original_at": _times(received - 90_000),
        "fate": pa.array(np.where(gone, dropped("duplicate"), "routed")),
        "stage": pa.array(np.where(gone, "dedupe", "routing")), "detail": _same("", numbers),
        "flags": _empty_lists(numbers), "schema_version": pa.array(np.where(gone, "", "1.0.0")), "routes": routes,
        "origin": _same(RECEIVED_TOPIC, numbers), "partition": _numbers(0, numbers, pa.int32()),
        "position": pa.array(numbers), "owed_position": pa.array(places, mask=gone),
        "judged_at": _times(received // 2_000_000 * 2_000_000 + 2_000_000),
        "config": _numbers(1, numbers), "plan": _numbers(1, numbers), "policy": _numbers(0, numbers),
        "key": _numbers(0, numbers), "day": _dates(received),
    }  # fmt: skip  # a table of columns
    return _table(TRAIL_SHAPE, columns)


def _receipts(past: Past, numbers: np.ndarray) -> pa.Table:
    """Return one row per commit of the lake, which says that everything in a range was delivered."""
    first = np.unique(numbers // _BATCH) * _BATCH
    last = np.minimum(first + _BATCH, past.events) - 1
    at = past.received_at(last) + 1_500_000
    at = np.minimum(at, (past.received_at(numbers[-1:]) // _DAY + 1) * _DAY - 1)
    columns = {
        "lane": _same(_LANE, first), "partition": _numbers(0, first, pa.int32()),
        "first": pa.array(first - first // _EVERY), "last": pa.array(last - last // _EVERY),
        "event_id": pa.nulls(len(first), pa.string()), "verdict": _same("delivered", first),
        "reason": _same("", first), "answer": _same("", first), "at": _times(at),
        "attempts": _numbers(1, first, pa.int32()), "config": _numbers(1, first), "day": _dates(at),
    }  # fmt: skip  # as above
    return _table(RECEIPTS_SHAPE, columns)


def _events(past: Past, numbers: np.ndarray) -> pa.Table:
    """Return rows of the lake, with bodies drawn from a pool."""
    numbers = numbers[numbers % _EVERY != _EVERY - 1]
    event, message = past.ids(numbers)
    received = past.received_at(numbers)
    drawn = pa.array(_mixed(numbers, past.seed + 1)[:, 0] % _BODIES)
    pool, places = _pool(), numbers - numbers // _EVERY
    nothing = pa.nulls(len(numbers), pa.string())
    upto = (places // _BATCH + 1) * _BATCH - 1
    columns = {
        "event_id": event, "type": _same("track", numbers), "event": _names().take(pa.array(numbers % _BODIES)),
        "category": nothing, "source": pa.array(_SOURCES, pa.string()).take(pa.array(numbers % len(_SOURCES))),
        "protocol": _same("segment", numbers), "message_id": message, "user_id": pool["userId"].take(drawn),
        "anonymous_id": pool["anonymousId"].take(drawn), "group_id": nothing, "previous_id": nothing,
        "occurred_at": _times(received - 40_000), "original_at": _times(received - 90_000),
        "sent_at": _times(received - 5_000), "received_at": _times(received),
        "properties": pool["properties"].take(drawn), "traits": _same("{}", numbers),
        "context": pool["context"].take(drawn), "integrations": _same("{}", numbers),
        "plan_release": _numbers(1, numbers), "schema_version": _same("1.0.0", numbers),
        "violations": _same("[]", numbers), "flags": _empty_lists(numbers), "ip": _same("203.0.113.0", numbers),
        "user_agent": _same("analytics-python/2.4.0", numbers), "referer": _same("", numbers),
        "language": _same("", numbers), "replay": pa.repeat(pa.scalar(value=False), len(numbers)),
        "position": pa.array(numbers), "owed_partition": _numbers(0, numbers, pa.int32()),
        "owed_upto": pa.array(upto), "day": _dates(received),
    }  # fmt: skip  # as above
    return _table(SHAPE, columns)


def _books(place: Workspace, past: Past) -> None:
    """Post what happened, hour by hour, and set the bookmarks behind it."""
    numbers = np.arange(past.events, dtype=np.int64)
    hours, sources = past.received_at(numbers) // HOUR, numbers % len(_SOURCES)
    gone = numbers % _EVERY == _EVERY - 1
    keys, counts = np.unique((hours * len(_SOURCES) + sources) * 2 + gone, return_counts=True)
    judged, sent = [], []
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        source, hour, is_gone = _SOURCES[key // 2 % len(_SOURCES)], key // 2 // len(_SOURCES), key % 2
        end = [_STAGES[0], dropped("duplicate")] if is_gone else [*_STAGES, owed(_LANE)]
        way = [RECEIVED, LOGGED, *end]
        judged += [Posting(source, hour, way[at], way[at + 1], count) for at in range(len(way) - 1)]
        sent += [] if is_gone else [Posting(source, hour, owed(_LANE), delivered(_LANE), count)]
    with closing(EmbeddedState(place.state("pipeline"))) as state, state.settle() as settled:
        post(settled, judged)
        settled.put("bookmark", f"{RECEIVED_TOPIC}/0".encode(), encode(Place(past.events - 1, past.events)))
        settled.put("bookmark", f"{OWED_TOPIC}/0".encode(), encode(Place(past.copies - 1, past.copies)))
    with closing(EmbeddedState(place.state("delivery"))) as state, state.settle() as settled:
        post(settled, sent)
        settled.put(LANES, f"{_LANE}/0".encode(), encode(Mark(past.copies - 1, past.copies, past.until)))
        settled.put("bookmark", RECEIPTS_TOPIC.encode(), (0).to_bytes(8))


def _logs(place: Workspace, past: Past) -> None:
    """Let one frame of each log stand for everything."""
    versions = Versions(config=1, plan=1, policy=0, key=0)
    judged = OwedFrame(
        1, RECEIVED_TOPIC, 0, 0, past.events - 1, past.events, past.until, versions, [], {}, {_LANE: past.copies},
        [], [], [],
    )  # fmt: skip
    with closing(EmbeddedLog(place.log)) as log:
        log.append(RECEIVED_TOPIC, 0, encode(DoorFrame(1, 1, [], [])), past.events, past.until)
        log.append(OWED_TOPIC, 0, encode(judged), past.copies, past.until)
        log.append(RECEIPTS_TOPIC, 0, encode(_receipt(past)), 1, past.until)


def _receipt(past: Past) -> ReceiptFrame:
    return ReceiptFrame(1, _LANE, 0, past.copies - 1, past.until, [], [], [], [], [], past.copies)


def _mixed(numbers: np.ndarray, seed: int) -> np.ndarray:
    """Return three random-looking words per number, the same ones each time (splitmix64)."""
    state = (numbers[:, None].astype(np.uint64) * np.uint64(3) + np.arange(3, dtype=np.uint64)) + np.uint64(seed << 40)
    state *= np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ state >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return state ^ state >> np.uint64(31)


def _uuids(words: np.ndarray) -> pa.Array:
    """Return pairs of big-endian words as text of ids."""
    text = np.full((len(words), 36), ord("-"), dtype=np.uint8)
    text[:, _DASHED] = _HEX[np.ascontiguousarray(words).view(np.uint8)].reshape(len(words), 32)
    ends = np.arange(len(words) + 1, dtype=np.int32) * 36
    return pa.StringArray.from_buffers(len(words), pa.py_buffer(ends), pa.py_buffer(text))


@cache
def _pool() -> dict[str, pa.Array]:
    """Return columns of thousands of bodies."""
    made = [msgspec.json.decode(body) for body in bodies(_BODIES)]
    told = {name: [each[name] for each in made] for name in ("event", "userId", "anonymousId")}
    told |= {name: [msgspec.json.encode(each[name]).decode() for each in made] for name in ("properties", "context")}
    return {name: pa.array(values, pa.string()) for name, values in told.items()}


def _names() -> pa.Array:
    return _pool()["event"]


def _same(word: str, rows: np.ndarray) -> pa.Array:
    return pa.repeat(pa.scalar(word, pa.string()), len(rows))


def _numbers(value: int, rows: np.ndarray, kind: pa.DataType | None = None) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind or pa.int64()), len(rows))


def _empty_lists(rows: np.ndarray) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.zeros(len(rows) + 1, np.int32)), pa.array([], pa.string()))


def _times(values: np.ndarray) -> pa.Array:
    return pa.array(values, pa.int64()).cast(pa.timestamp("us", tz="UTC"))


def _dates(values: np.ndarray) -> pa.Array:
    return pa.array((values // _DAY).astype(np.int32)).cast(pa.date32())


def _table(shape: Shape, columns: dict[str, pa.Array]) -> pa.Table:
    return pa.Table.from_arrays([columns[name] for name in shape.schema.names], schema=shape.schema)

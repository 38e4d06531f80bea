"""
Finding one event, wherever it is: in the trail tables, in the log behind them, or still waiting for the pipeline.

The trail is asked first; what it does not hold yet stands in the few frames of the log it has not taken in.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from customhouse.delivery.settle import RETRYING, mark
from customhouse.ledger.explain import Answered, Passage, Story, story, waiting_in_log
from customhouse.ledger.trail import RECEIPTS, ROUTED, TRAIL, find_event, find_message, find_positions, find_receipts
from customhouse.model.contracts import Frame, Log, State
from customhouse.model.envelope import event_id
from customhouse.model.frames import (
    OWED_TOPIC,
    RECEIPTS_TOPIC,
    RECEIVED_TOPIC,
    HeldEvent,
    TrailRow,
    decode_door,
    decode_owed,
    decode_receipt,
)
from customhouse.pipeline.settle import place
from customhouse.tables.lookup import stored_upto
from customhouse.wire.ids import hex_id, id_bytes

_READ_BYTES = 4 * 1024 * 1024
_MOST = 100
"""A receipt may name thousands of events; so many are told."""
_held = msgspec.msgpack.Decoder(HeldEvent)


class Wanted(Struct, frozen=True):
    """What somebody asks for: an event id, a message id, or a receipt the door gave (`partition:first+count`)."""

    text: str
    id: bytes
    partition: int
    first: int
    last: int

    def fits(self, row: TrailRow, partition: int) -> bool:
        """Tell whether a trail row is meant."""
        if self.first >= 0:
            return partition == self.partition and self.first <= row.position <= self.last
        return row.id == self.id or row.message_id == self.text


def wanted(text: str) -> Wanted:
    """Read what somebody typed."""
    where, plus, count = text.partition("+")
    partition, colon, first = where.partition(":")
    if plus and colon and partition.isdigit() and first.isdigit() and count.isdigit():
        return Wanted(text, b"", int(partition), int(first), int(first) + max(0, int(count) - 1))
    return Wanted(text, id_bytes(text) or b"", -1, -1, -1)


def trace(lake: Path, log: Log, pipeline: State, delivery: State, text: str) -> list[Story]:
    """Return the story of every event that an id means: one for an event id, several for a message id sent twice."""
    ask = wanted(text)
    found: dict[str, list[Passage]] = {}
    for passage in [*_stored(lake, ask), *_behind(lake, log, ask)]:
        found.setdefault(passage.event_id, []).append(passage)
    stories = [
        story(passages, _answers(lake, log, delivery, passages[-1])) for passages in list(found.values())[:_MOST]
    ]
    return stories or list(_waiting(log, pipeline, ask))


def _stored(lake: Path, ask: Wanted) -> list[Passage]:
    """Ask the trail table."""
    if ask.first >= 0:
        rows = find_positions(lake, ask.partition, ask.first, ask.last, _MOST)
    else:
        rows = find_event(lake, ask.id) if ask.id else []
        rows = rows or find_message(lake, ask.text, _MOST)
    return [_passage(row) for row in rows]


def _behind(lake: Path, log: Log, ask: Wanted) -> Iterator[Passage]:
    """Look through the owed frames the trail table has not taken in."""
    for partition in log.partitions(OWED_TOPIC):
        after = stored_upto(lake / TRAIL, f"{OWED_TOPIC}-{partition}")
        for frame in _frames(log, OWED_TOPIC, partition, after):
            owed = decode_owed(frame.body)
            position = frame.base
            for row in owed.trail:
                if ask.fits(row, partition):
                    where = position if row.fate == ROUTED else None
                    yield _fresh(row, partition, where, (owed.now, owed.versions.config, owed.versions.plan))
                position += row.fate == ROUTED


def _answers(lake: Path, log: Log, delivery: State, passage: Passage) -> list[Answered]:
    """Return what every destination the event is owed to has said, or that its lane has not come to it."""
    position = passage.owed_position
    if position is None:
        return []
    key = id_bytes(passage.event_id) or b""
    rows = [_answered(row) for row in find_receipts(lake, passage.partition, position, key)]
    after = stored_upto(lake / RECEIPTS, f"{RECEIPTS_TOPIC}-0")
    for frame in _frames(log, RECEIPTS_TOPIC, 0, after):
        for row in decode_receipt(frame.body).rows:
            mine = row.id == key if row.id else True
            if row.partition == passage.partition and row.first <= position <= row.last and mine:
                rows.append(
                    (row.lane, bool(row.id), Answered(lane=row.lane, verdict=row.verdict, reason=row.reason,
                     answer=row.answer, at=row.at, attempts=row.attempts))
                )  # fmt: skip
    answers: list[Answered] = []
    for name in passage.routes:
        own = [answer for lane, single, answer in rows if lane == name and single]
        whole = [answer for lane, single, answer in rows if lane == name and not single]
        answers += own or whole or [_lane(delivery, name, passage.partition, position, key)]
    return answers


def _lane(delivery: State, name: str, partition: int, position: int, key: bytes) -> Answered:
    """Say what a lane has in mind with an event it has not delivered."""
    kept = delivery.get(RETRYING, name.encode() + b"/" + key)
    if kept:
        event = _held.decode(kept)
        return Answered(
            lane=name, verdict="retry", reason=event.reason, answer=event.answer, at=None, attempts=event.attempts
        )
    reached = mark(delivery, name, partition).upto
    told = "is being settled" if reached >= position else f"{position - reached:,} places from the front"
    return Answered(lane=name, verdict="waiting", answer=told)


def _waiting(log: Log, pipeline: State, ask: Wanted) -> Iterator[Story]:
    """Look through what the door has made durable and the pipeline has not judged."""
    for partition in log.partitions(RECEIVED_TOPIC):
        after = place(pipeline, RECEIVED_TOPIC, partition).position
        for frame in _frames(log, RECEIVED_TOPIC, partition, after):
            position = frame.base
            for envelope in decode_door(frame.body).envelopes:
                for letter in envelope.letters:
                    mine = event_id(envelope.id, letter.nth)
                    named = mine == ask.id or _message_id(letter.body) == ask.text
                    here = partition == ask.partition and ask.first <= position <= ask.last
                    if position > after and (here if ask.first >= 0 else named):
                        told = "" if ask.id == mine or ask.first >= 0 else ask.text
                        at = partition, position
                        yield waiting_in_log(hex_id(mine), told, envelope.source, envelope.received_at, at)
                    position += 1


class _Named(Struct):
    messageId: str | None = None  # noqa: N815  # the wire's own name


_named = msgspec.json.Decoder(_Named)


def _message_id(body: bytes) -> str | None:
    try:
        return _named.decode(body).messageId
    except msgspec.MsgspecError:
        return None


def _frames(log: Log, topic: str, partition: int, after: int) -> Iterator[Frame]:
    while frames := log.read(topic, partition, after=after, limit=_READ_BYTES):
        yield from frames
        after = frames[-1].last


def _passage(row: dict[str, Any]) -> Passage:
    return Passage(
        event_id=row["event_id"], message_id=row["message_id"], source=row["source"], type=row["type"],
        event=row["event"], received_at=_us(row["received_at"]), occurred_at=_us(row["occurred_at"]),
        original_at=_us(row["original_at"]) if row["original_at"] else None, fate=row["fate"], stage=row["stage"],
        detail=row["detail"], flags=tuple(row["flags"]), schema_version=row["schema_version"],
        routes=tuple(row["routes"]), partition=row["partition"], position=row["position"],
        owed_position=row["owed_position"], judged_at=_us(row["judged_at"]), config=row["config"], plan=row["plan"],
    )  # fmt: skip  # a table of fields


def _fresh(row: TrailRow, partition: int, owed_position: int | None, judged: tuple[int, int, int]) -> Passage:
    at, config, plan = judged
    return Passage(
        event_id=hex_id(row.id), message_id=row.message_id, source=row.source, type=row.type, event=row.name,
        received_at=row.received_at, occurred_at=row.occurred_at, original_at=row.original_at, fate=row.fate,
        stage=row.stage, detail=row.detail, flags=row.flags, schema_version=row.schema_version, routes=row.routes,
        partition=partition, position=row.position, owed_position=owed_position, judged_at=at, config=config, plan=plan,
    )  # fmt: skip  # as above


def _answered(row: dict[str, Any]) -> tuple[str, bool, Answered]:
    answer = Answered(
        lane=row["lane"], verdict=row["verdict"], reason=row["reason"] or "", answer=row["answer"] or "",
        at=_us(row["at"]), attempts=row["attempts"],
    )  # fmt: skip
    return row["lane"], row["event_id"] is not None, answer


def _us(value: datetime) -> int:
    return round(value.timestamp() * 1_000_000)

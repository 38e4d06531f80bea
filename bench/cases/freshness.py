"""
Freshness: at 1,000 events a second, how long from the acknowledgement until a reader of the lake can see the event.

A whole house runs. The client notes when each id was acknowledged; an event is visible from the moment its commit
stands in the table's log. `door` is the wait for the acknowledgement itself, from when the request was due.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from bench.calls import call
from bench.house import House, whole
from bench.units import Scale, quantile, within

RATE = 1000
SIZE = 10


def rounds(scale: Scale) -> Iterator[dict[str, float]]:
    """Send steadily for a while, then compare."""
    seconds = scale.of(20, 6)
    acks = scale.scratch / "acks.json"
    with whole(scale.scratch) as house:
        with call(house.port("collector"), "batch", rate=RATE, size=SIZE, seconds=seconds, acks=acks) as client:
            before = house.cpu()
            client.start()
            said = client.end()
        sent = dict(json.loads(acks.read_text()))
        within(30, lambda: house.owed() >= len(sent) and house.delivered(), "events in the lake")
        spent = {kind: used - before[kind] for kind, used in house.cpu().items()}
        waits = _waits(house, sent)
        yield {
            "freshness.p50": quantile(waits, 0.5),
            "freshness.p99": quantile(waits, 0.99),
            "freshness.worst": max(waits),
            "freshness.door.p50": said["p50_ms"],
            "freshness.door.p99": said["p99_ms"],
            "freshness.cores": sum(spent.values()) / said["seconds"],
        }


def _waits(house: House, acknowledged: dict[str, float]) -> list[float]:
    """Return for each event the seconds from its acknowledgement to the commit that holds it."""
    table = house.place.lake / "events"
    visible = _commits(table)
    files = DeltaTable(table).file_uris()
    rows = duckdb.sql("select message_id, owed_upto from read_parquet($files)", params={"files": files}).fetchall()
    if len(rows) != len(acknowledged):
        raise RuntimeError(f"{len(acknowledged)} events were acknowledged, the lake holds {len(rows)}")
    return [visible[upto] - acknowledged[message] for message, upto in rows]


def _commits(table: Path) -> dict[int, float]:
    """Return when each batch became visible, by the last position it holds."""
    found = {}
    for path in table.glob("_delta_log/*.json"):
        for line in path.read_bytes().splitlines():
            if transaction := json.loads(line).get("txn"):
                found[transaction["version"]] = path.stat().st_mtime
    return found

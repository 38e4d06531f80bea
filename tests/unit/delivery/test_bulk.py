import asyncio
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from bulk_world import AT_ONCE, owe

from customhouse.delivery.bulk import LakeLane, TrailConfig, TrailLane
from customhouse.delivery.reading.feed import Feed
from customhouse.delivery.settle import Settler, mark
from customhouse.ledger.books import balances, flows
from customhouse.ledger.trail import TrailTables, find_event, find_receipts
from customhouse.log.embedded import EmbeddedLog
from customhouse.log.memory import MemoryLog
from customhouse.model.contracts import no_fault
from customhouse.model.errors import Unavailable
from customhouse.model.frames import OWED_TOPIC, RECEIPTS_TOPIC, decode_receipt
from customhouse.state.embedded import EmbeddedState
from customhouse.state.memory import MemoryState
from customhouse.tables.query import query
from customhouse.testing.builders import event, events
from customhouse.warehouses.lake import Lake, LakeConfig

PATIENT = LakeConfig(flush_seconds=3600.0, batch_events=5)


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = MemoryLog()
        self.state = MemoryState()
        self.feed = Feed(self.log)

    def lane(self, config=AT_ONCE, fault=no_fault, lake=None) -> LakeLane:
        settler = Settler(self.log, self.state, no_fault)
        settler.recover()
        return LakeLane("lake", self.feed, lake or Lake(self.folder), settler, config, fault)

    def ids(self) -> list[str]:
        return query(self.folder, "select event_id from events order by 1").column("event_id").to_pylist()

    def receipts(self):
        return [decode_receipt(frame.body) for frame in self.log.read(RECEIPTS_TOPIC, 0, after=-1, limit=10**9)]

    def delivered(self) -> int:
        return balances(flows(self.state)).get("delivered:lake", 0)


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the lane works in a thread and tells nobody
            await asyncio.sleep(0.001)


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def texts(owed) -> list[str]:
    return sorted(f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in (one.id.hex() for one in owed))


def test_what_is_owed_is_loaded_and_settled(world):
    owed = events(12)
    owe(world.log, owed[:4], total=4)
    owe(world.log, owed[4:], total=12)
    world.lane().step()
    assert world.ids() == texts(owed)
    (receipt,) = world.receipts()
    assert (receipt.upto, receipt.seen) == (11, 12)
    assert [(row.first, row.last, row.id, row.verdict) for row in receipt.rows] == [(0, 11, b"", "delivered")]
    assert balances(flows(world.state)) == {"owed:lake": -12, "delivered:lake": 12}
    assert mark(world.state, "lake", 0).upto == 11


def test_a_batch_waits_until_it_is_full_or_old(world):
    lane = world.lane(PATIENT)
    owe(world.log, events(4), total=4)
    lane.step()
    assert world.ids() == []
    assert lane.health()["lag_events"] == 4
    assert lane.health()["oldest_seconds"] > 0
    owe(world.log, [event(position=5)], total=5)
    lane.step()
    assert len(world.ids()) == 5
    health = lane.health()
    assert health.pop("settled_at") == mark(world.state, "lake", 0).at
    assert health == {
        "state": "running",
        "problem": "",
        "failures": 0,
        "lag_events": 0,
        "oldest_seconds": 0.0,
        "upto": {"0": 4},
    }


def test_what_is_not_ours_moves_the_mark_without_a_commit(world):
    owe(world.log, events(3), total=3, lane="elsewhere")
    lake = Lake(world.folder)
    world.lane(lake=lake).step()
    assert mark(world.state, "lake", 0).upto == 2
    assert lake.last(0) is None
    assert world.receipts()[0].rows == []


def test_nothing_new_writes_nothing(world):
    lane = world.lane()
    assert lane.step() > 0
    owe(world.log, events(1), total=1)
    lane.step()
    lane.step()
    assert len(world.receipts()) == 1


def test_partitions_have_marks_of_their_own(world):
    owe(world.log, [event(position=1)], total=1, partition=0)
    owe(world.log, [event(position=2), event(position=3)], total=2, partition=1)
    world.lane().step()
    assert (mark(world.state, "lake", 0).upto, mark(world.state, "lake", 1).upto) == (0, 1)
    assert len(world.ids()) == 3


@pytest.mark.parametrize("point", ["lake.before_load", "lake.after_load", "lake.after_settle"])
def test_a_failure_at_any_point_loses_and_doubles_nothing(world, point):
    failing = [point]

    def fault(reached: str) -> None:
        if reached in failing:
            failing.clear()
            raise Unavailable("the disk is full")

    async def drive() -> None:
        lane = world.lane(fault=fault)
        running = asyncio.create_task(lane.run())
        await until(lambda: lane.health()["problem"])
        assert lane.health()["state"] == "backing off"
        await until(lambda: world.delivered() == 10)
        lane.stop()
        await running
        assert lane.health()["state"] == "stopped"

    owed = events(10)
    owe(world.log, owed, total=10)
    asyncio.run(drive())
    assert world.ids() == texts(owed)
    assert balances(flows(world.state)) == {"owed:lake": -10, "delivered:lake": 10}


def test_a_state_that_lags_behind_its_receipts_is_not_posted_twice(world):
    owed = events(3)
    owe(world.log, owed, total=3)
    lane = world.lane()
    lane.step()
    world.state = MemoryState()  # as if none of its transactions had come through
    settler = Settler(world.log, world.state, no_fault)
    LakeLane("lake", world.feed, lane._warehouse, settler, AT_ONCE).step()
    assert balances(flows(world.state)) == {"owed:lake": -3, "delivered:lake": 3}
    assert len(world.receipts()) == 1


def test_a_bug_is_not_retried(world):
    def fault(_reached: str) -> None:
        raise ValueError("a bug")

    owe(world.log, events(1), total=1)
    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(world.lane(fault=fault).run())


def test_what_retention_removed_is_booked_as_expired(world):
    for nth in range(1, 7):
        owe(world.log, [event(position=nth)], total=nth)
    lane = world.lane(LakeConfig(flush_seconds=1e-12, batch_events=2))
    lane.step()
    world.log.retain(OWED_TOPIC, 0, floor=3, before=10**9, size=0)
    fresh = world.lane(lake=lane._warehouse)
    for _ in range(4):
        fresh.step()
    assert balances(flows(world.state)) == {"owed:lake": -6, "delivered:lake": 4, "expired:lake": 2}
    assert len(world.ids()) == 4


def test_trail_and_receipts_are_stored_once(world):
    owed = events(3)
    owe(world.log, owed, total=3)
    world.lane().step()
    tables = TrailTables(world.folder)
    lane = TrailLane(world.log, tables, TrailConfig())
    lane.step()
    lane.step()
    TrailLane(world.log, tables, TrailConfig()).step()
    (row,) = find_event(world.folder, owed[1].id)
    assert (row["fate"], row["owed_position"]) == ("routed", 1)
    (receipt,) = find_receipts(world.folder, 0, 1, owed[1].id)
    assert (receipt["lane"], receipt["verdict"]) == ("lake", "delivered")
    assert (lane.upto(OWED_TOPIC, 0), lane.upto(RECEIPTS_TOPIC, 0)) == (2, 0)


@pytest.mark.parametrize(
    ("point", "times"),
    [
        ("lake.before_load", 1),
        ("lake.after_load", 1),
        ("lake.after_load", 2),
        ("delivery.before_receipt", 1),
        ("delivery.after_receipt", 1),
        ("lake.after_settle", 2),
        ("trail.after_store", 1),
        ("trail.after_store", 2),
    ],
)
def test_a_killed_process_leaves_every_event_in_the_lake_once(tmp_path, point, times):
    owed = events(20)
    log = EmbeddedLog(tmp_path / "log")
    for first in range(0, 20, 5):
        owe(log, owed[first : first + 5], total=first + 5)
    log.close()
    program = [sys.executable, str(Path(__file__).with_name("bulk_world.py")), str(tmp_path)]
    killed = subprocess.run([*program, point, str(times)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    subprocess.run([*program, "none", "0"], check=True, timeout=60)
    lake = tmp_path / "lake"
    assert query(lake, "select event_id from events order by 1").column("event_id").to_pylist() == texts(owed)
    assert query(lake, "select event_id from trail order by 1").column("event_id").to_pylist() == texts(owed)
    assert query(lake, 'select count(*) n, sum("last" - "first" + 1) m from receipts').to_pylist() == [
        {"n": 4, "m": 20}
    ]
    with closing(EmbeddedState(tmp_path / "delivery.db", readonly=True)) as state:
        books = balances(flows(state))
    assert books == {
        "owed:lake": -20,
        "delivered:lake": 20,
    }

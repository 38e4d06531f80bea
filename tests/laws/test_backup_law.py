"""
Whenever a snapshot is taken, and whatever the house does between its parts, the ordinary recovery finds the way from it.

The house is the real one in one process: log, states, index, lake and trail on a disk. Hypothesis says what it does
between any two parts of the snapshot: take events in, judge, load, merge, remove old log, or die in the middle.
"""

import contextlib
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.app.books import balance_of
from customhouse.app.pipeline import Roads
from customhouse.app.rules import newest, take_in
from customhouse.app.upkeep.backup import take
from customhouse.app.upkeep.backup.restore import restore
from customhouse.app.upkeep.formats import problems
from customhouse.app.workspace import Workspace
from customhouse.delivery.bulk import LakeLane, TrailConfig, TrailLane
from customhouse.delivery.reading.feed import Feed
from customhouse.delivery.settle import Settler
from customhouse.ledger.trail import TrailTables
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.envelope import Envelope, Letter, RequestFacts
from customhouse.model.frames import OWED_TOPIC, RECEIPTS_TOPIC, RECEIVED_TOPIC, DoorFrame, encode
from customhouse.pipeline.worker import Pace, Parts, Worker
from customhouse.state.embedded import EmbeddedState
from customhouse.state.jobs import Jobs
from customhouse.tables.delta import Upkeep
from customhouse.telemetry.logs import open_log
from customhouse.telemetry.measure import Meter
from customhouse.warehouses.lake import Lake, LakeConfig

NOW = time.time_ns() // 1000
AT_ONCE = 1e-6
CONFIGURATION = """\
name: law
partitions: 2
sources: {web: {write_key: literal-key}}
destinations: {lake: {type: lake, flush_seconds: 0.000001, batch_events: 4, keep_minutes: 0}}
routes: [{to: lake}]
"""
FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where syncing costs nothing: what is proved here is the order of things, not the disk."""
DEATHS = ("pipeline.after_owed", "lake.after_load", "lake.before_load", "delivery.after_receipt", "trail.after_store")
TOPICS = (RECEIVED_TOPIC, OWED_TOPIC, RECEIPTS_TOPIC)


class Killed(BaseException):
    """Stands for SIGKILL: nothing below may catch it."""


class House:
    """Everything behind the door, one step at a time."""

    def __init__(self, root: Path, keep_seconds: float) -> None:
        self.keep_seconds = keep_seconds
        self.place = Workspace(root, root / ".data")
        self.place.plan.mkdir(parents=True, exist_ok=True)
        self.place.config_file.write_text(CONFIGURATION)
        self.place.prepare()
        take_in(self.place, {})
        self.sent: list[str] = []
        self.death = ""
        self.open()

    def open(self) -> None:
        rules, place = newest(self.place), self.place
        lake = next(iter(rules.configuration.destinations.values()))
        assert isinstance(lake, LakeConfig)
        self.log = EmbeddedLog(place.log, segment_bytes=2000, fault=self.fault)
        self.pipeline, self.delivery = (EmbeddedState(place.state(name)) for name in ("pipeline", "delivery"))
        self.roads = Roads(place, rules)
        logger, meter = open_log("law", level="error"), Meter("law")
        parts = Parts(self.log, self.pipeline, Jobs(place.jobs("pipeline")), logger, meter, self.fault)
        self.worker = Worker(parts, self.roads.road, self.roads.memory, Pace(batch_events=5))
        self.lake = Lake(place.lake, lake)
        self.settler = Settler(self.log, self.delivery, self.fault)
        self.lane = LakeLane("lake", Feed(self.log), self.lake, self.settler, lake, self.fault)
        upkeep = Upkeep(checkpoint_commits=3, keep_seconds=self.keep_seconds)
        self.tables = TrailTables(place.lake, upkeep)
        self.lake._table._upkeep = upkeep  # the configuration has no word for it
        self.trail = TrailLane(self.log, self.tables, TrailConfig(flush_seconds=AT_ONCE), self.fault)

    def close(self) -> None:
        """Let go of everything, as a kill would: nothing is written."""
        for memory in self.roads._memories.values():  # a killed process says no goodbye
            memory.index.close()
        for part in (self.tables, self.lake, self.delivery, self.pipeline, self.log):
            part.close()

    def fault(self, point: str) -> None:
        if point == self.death:
            self.death = ""
            raise Killed

    def do(self, deed: str) -> None:
        """Do one thing; after a death, open again."""
        try:
            getattr(self, deed)()
        except Killed:
            self.close()
            self.open()

    def receive(self) -> None:
        for partition in (0, 1):
            letters = []
            for nth in range(3):
                self.sent.append(f"m{len(self.sent)}")
                body = {"type": "track", "event": "E", "messageId": self.sent[-1], "anonymousId": "a"}
                letters.append(Letter(nth, "a", msgspec.json.encode(body)))
            base = (len(self.sent) << 20).to_bytes(16)
            envelope = Envelope(base, "web", "segment", "batch", NOW, "", b"", RequestFacts(), letters)
            self.log.append(RECEIVED_TOPIC, partition, encode(DoorFrame(1, 1, [], [envelope])), len(letters), NOW)

    def judge(self) -> None:
        self.worker.step()

    def load(self) -> None:
        for _ in range(2):  # the first look begins the wait for a batch to fill
            self.lane.step()

    def follow(self) -> None:
        self.trail.step()

    def note(self) -> None:
        self.worker.checkpoint()

    def retain(self) -> None:
        """Remove what everybody has dealt with, however young: the harshest retention there can be."""
        for partition in self.log.partitions(OWED_TOPIC):
            known = self.roads.memory(partition).synced_through  # the index is made anew from the log
            reached = min(self.settler.mark("lake", partition).upto, self.trail.upto(OWED_TOPIC, partition), known)
            if reached >= 0:
                self.log.retain(OWED_TOPIC, partition, floor=reached, before=1 << 62, size=0)
        reached = self.trail.upto(RECEIPTS_TOPIC, 0)
        if reached >= 0:
            self.log.retain(RECEIPTS_TOPIC, 0, floor=reached, before=1 << 62, size=0)

    def all(self) -> None:
        for deed in ("judge", "load", "follow", "retain"):
            self.do(deed)

    def finish(self) -> None:
        """Work until nothing is left to do."""
        for _ in range(200):
            for deed in ("judge", "load", "follow"):
                self.do(deed)
            if not balance_of(self.log, self.pipeline, self.delivery).in_flight:
                break
        self.do("follow")

    def rows(self, table: str) -> list[dict[str, object]]:
        return DeltaTable(self.place.lake / table).to_pyarrow_table().to_pylist()


deeds = st.sampled_from(
    ["receive", "judge", "load", "follow", "note", "retain", "all", *(f"die:{point}" for point in DEATHS)]
)
points = st.sampled_from(
    ["before_states", "between_states", "before_ids", "before_receipts", "before_lake", "between_tables",
     "before_received", "before_bytes", "before_manifest"]
)  # fmt: skip


def perform(house: House, deed: str) -> None:
    if deed.startswith("die:"):
        house.death = deed.removeprefix("die:")
        house.do("all")
    else:
        house.do(deed)


@settings(max_examples=12, deadline=None)
@given(
    before=st.lists(deeds, max_size=12),
    between=st.lists(st.tuples(points, st.lists(deeds, min_size=1, max_size=6)), max_size=8),
    keep_seconds=st.sampled_from([0.0, 900.0]),
)
def test_every_snapshot_recovers(before, between, keep_seconds):
    check(before, between, keep_seconds=keep_seconds)


def test_a_lane_far_ahead_of_the_receipts_of_the_snapshot():
    """The lake goes on for ten loads after the receipts were read: without the cut, nine would be missing in the books."""
    assert check(["receive", "all"], [("before_lake", ["receive", "judge", "load"] * 10)], keep_seconds=900) == 1


def test_retention_between_states_and_logs():
    """What the states of the snapshot still need is removed: another moment must be taken."""
    moments = check(["receive"] * 8 + ["judge"] * 3, [("before_receipts", ["judge", "load", "follow", "retain"] * 8)])
    assert moments > 1


def test_retention_of_a_log_that_had_not_begun():
    moments = check([], [("before_receipts", ["receive", "all", "receive", "all", "all"])])
    assert moments > 1


@pytest.mark.parametrize("point", DEATHS)
def test_a_death_just_before_the_snapshot(point):
    check(["receive", "all", "receive", f"die:{point}"], [])


def check(before: list[str], between: list[tuple[str, list[str]]], *, keep_seconds: float = 0) -> int:
    with TemporaryDirectory(dir=FAST) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(take, "_PAUSE", 0.0)
        house = House(Path(folder) / "a", keep_seconds)
        for deed in before:
            perform(house, deed)
        known = len(house.sent)
        script = list(between)

        def meanwhile(point: str) -> None:
            for at, (name, todo) in enumerate(script):
                if f"backup.{name}" == point:
                    del script[at]
                    for deed in todo:
                        perform(house, deed)
                    return

        taken = take.back_up(house.place, Path(folder) / "backup", fault=meanwhile)
        later = len(house.sent)
        house.close()
        again = Workspace(Path(folder) / "b", Path(folder) / "b" / ".data")
        restore(again, Path(folder) / "backup")
        assert problems(again) == []
        with contextlib.closing(House(again.root, keep_seconds)) as restored:
            assert_whole(restored, house.sent[:known], house.sent[:later])
        return taken.moments


def assert_whole(house: House, certain: list[str], possible: list[str]) -> None:
    """What was received before is there exactly once, the books and the trail agree, and the house goes on."""
    house.finish()
    struck = balance_of(house.log, house.pipeline, house.delivery)
    assert (struck.unaccounted, struck.in_flight) == (0, 0), struck
    there = Counter(str(row["message_id"]) for row in house.rows("events"))
    assert not [name for name, count in there.items() if count > 1]
    assert set(certain) <= there.keys() <= set(possible)
    trail = Counter(str(row["message_id"]) for row in house.rows("trail"))
    assert trail == there, "the trail tells of each event once"
    told = [row for row in house.rows("receipts") if row["verdict"] == "delivered"]
    assert sum(int(row["last"]) - int(row["first"]) + 1 for row in told) == len(there), "and of each delivery"  # type: ignore[call-overload]
    before = struck.accounts.get("dropped:duplicate", 0)
    chosen = sorted(there)[:3]
    resend(house, chosen)
    house.sent = [f"new-{nth}" for nth in range(1000)]
    house.receive()
    house.finish()
    struck = balance_of(house.log, house.pipeline, house.delivery)
    assert struck.unaccounted == 0
    assert struck.accounts.get("dropped:duplicate", 0) == before + len(chosen), "the index knows the old ids"
    assert len(house.rows("events")) == struck.accounts.get("delivered:lake", 0) >= len(there) + 6


def resend(house: House, names: list[str]) -> None:
    """Send message ids again that the house has seen before the snapshot."""
    for nth, name in enumerate(names):
        body = {"type": "track", "event": "E", "messageId": name, "anonymousId": "a"}
        letter = Letter(0, "a", msgspec.json.encode(body))
        for partition in (0, 1):  # one of them has seen it; to the other it is new
            base = ((1 << 90) + (nth << 24) + (partition << 20)).to_bytes(16)
            envelope = Envelope(base, "web", "segment", "batch", NOW, "", b"", RequestFacts(), [letter])
            house.log.append(RECEIVED_TOPIC, partition, encode(DoorFrame(1, 1, [], [envelope])), 1, NOW)

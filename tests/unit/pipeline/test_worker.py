import json
from types import SimpleNamespace

import msgspec
import pytest

from customhouse.ledger.books import balances, flows
from customhouse.log.memory import MemoryLog
from customhouse.model.contracts import no_fault
from customhouse.model.envelope import Envelope, Letter, RequestFacts
from customhouse.model.frames import OWED_TOPIC, RECEIVED_TOPIC, DoorFrame, decode_owed, encode
from customhouse.model.outcome import Versions
from customhouse.model.posting import HOUR, RECEIVED, Posting, refused
from customhouse.pipeline.batch import Intake, Place, apart
from customhouse.pipeline.judgement import Road
from customhouse.pipeline.quarantine import held
from customhouse.pipeline.worker import Pace, Parts, Worker
from customhouse.protocols.segment import Segment
from customhouse.stages.clock import Clock, ClockConfig
from customhouse.stages.routing import RouteConfig, Routing
from customhouse.state.jobs import Jobs
from customhouse.state.memory import MemoryState
from customhouse.telemetry.logs import open_log
from customhouse.telemetry.measure import Meter

NOW = 1_767_268_800_000_000


class Fragile(Segment):
    """Breaks the promise of protocols on one event: what a bug of ours would do."""

    def read(self, envelope, letters, positions):
        if any(b"boom" in letter.body for letter in letters):
            raise RecursionError("quotes the event")
        return super().read(envelope, letters, positions)


def door(log, *groups):
    for at, names in enumerate(groups):
        letters = [
            Letter(
                nth, "a", msgspec.json.encode({"type": "track", "event": name, "anonymousId": "a", "messageId": name})
            )
            for nth, name in enumerate(names)
        ]
        envelope = Envelope((at << 20).to_bytes(16), "web", "segment", "batch", NOW, "", b"", RequestFacts(), letters)
        postings = [Posting("-", NOW // HOUR, RECEIVED, refused("unknown_write_key"), 1)]
        log.append(RECEIVED_TOPIC, 0, encode(DoorFrame(1, 1, postings, [envelope] if names else [])), len(names), NOW)


@pytest.fixture
def house(tmp_path):
    log, state = MemoryLog(), MemoryState()
    stages = (Clock(ClockConfig()), Routing((RouteConfig(to="lake"),), ("lake",)))
    road = Road(stages, {"segment": Fragile()}, Versions(1, 1))
    memory = SimpleNamespace(stages={}, synced_through=-1, checkpoint=lambda position: None)
    jobs = Jobs(tmp_path)
    parts = Parts(log, state, jobs, open_log("test", level="error"), Meter("pipeline"), no_fault)
    worker = Worker(parts, lambda _: road, lambda _: memory, Pace(batch_events=4))
    return SimpleNamespace(log=log, state=state, worker=worker, jobs=jobs)


def work(house):
    while house.worker.step():
        pass


def fates(house):
    frames = house.log.read(OWED_TOPIC, 0, after=-1, limit=1 << 30)
    return [(row.position, row.fate) for frame in frames for row in decode_owed(frame.body).trail]


def test_batches_are_cut_inside_frames_and_lose_nothing():
    log = MemoryLog()
    door(log, ["a", "b", "c"], [], ["d", "e", "f", "g", "h", "i"])
    intake = Intake(log, 0, Place(), 4)
    batches = []
    while batch := intake.take():
        batches.append(batch)
    names = [[json.loads(letter.body)["event"] for p in b.parcels for letter in p.letters] for b in batches]
    assert [name for batch in names for name in batch] == list("abcdefghi")
    assert all(len(batch) <= 4 for batch in names)
    assert sum(p.count for b in batches for p in b.postings) == 3, "the door's refusals, each once"
    assert batches[-1].total == 9
    again = Intake(log, 0, Place(batches[0].last, batches[0].total), 100).take()
    assert again.size == 9 - batches[0].size


def test_a_gap_in_the_log_is_booked_as_expired():
    log = MemoryLog()
    door(log, ["a", "b"], ["c"])
    batch = Intake(log, 0, Place(-1, -3), 100).take()
    assert [(p.moved_from, p.moved_to, p.count) for p in batch.postings if p.count == 3] == [
        ("received", "logged", 3),
        ("logged", "expired:received", 3),
    ]


def test_a_batch_taken_apart_settles_the_same():
    log = MemoryLog()
    door(log, ["a", "b", "c"], [])
    whole = Intake(log, 0, Place(), 100).take()
    parts = list(apart(whole))
    assert [part.size for part in parts] == [1, 1, 1]
    assert parts[0].first == whole.first
    assert (parts[-1].last, parts[-1].total) == (whole.last, whole.total)
    assert [p for part in parts for p in part.postings] == whole.postings


def test_an_event_that_wakes_a_bug_is_quarantined_and_its_neighbours_go_on(house):
    door(house.log, ["a", "boom", "b"], ["c"])
    work(house)
    assert fates(house) == [(0, "routed"), (1, "quarantined:poison"), (2, "routed"), (3, "routed")]
    accounts = balances(flows(house.state))
    assert (accounts["owed:lake"], accounts["quarantined:poison"], accounts["logged"]) == (3, 1, 0)
    [kept] = held(house.state)
    assert b"boom" in kept.envelope.letters[0].body
    assert kept.detail == "RecursionError"
    last = decode_owed(house.log.last(OWED_TOPIC, 0).body)
    assert last.totals == {"lake": 3}


def test_jobs_replay_and_discard_what_is_held(house):
    door(house.log, ["boom", "a", "boom too"])
    work(house)
    first, second = [one.id.hex() for one in held(house.state, newest_first=False)]
    mended = '{"type": "track", "event": "mended", "anonymousId": "a"}'
    asked = []

    def ask(verb, **arguments):
        (house.jobs._folder / f"{len(asked)}.job").write_bytes(
            msgspec.json.encode({"id": str(len(asked)), "verb": verb, "arguments": arguments})
        )
        house.worker._next_jobs = 0
        house.worker.step()
        asked.append(json.loads((house.jobs._folder / f"{len(asked)}.answer").read_text()))
        return asked[-1]["details"]

    assert ask("replay", ids=[first])["again"] == 1
    assert ask("replay", ids=[first], repaired=mended) == {"done": 1, "again": 0, "missing": 0}
    assert ask("discard", ids=[second, second])["done"] >= 1
    accounts = balances(flows(house.state))
    assert (accounts["owed:lake"], accounts["dropped:discarded"]) == (2, 1)
    assert not accounts["quarantined:poison"]
    assert not list(held(house.state))


def test_jobs_preview_and_repair_many_and_never_end_the_process(house):
    door(house.log, ["boom", "a", "boom too"])
    work(house)
    first, second = [one.id.hex() for one in held(house.state, newest_first=False)]
    mended = '{"type": "track", "event": "mended", "anonymousId": "a"}'

    def ask(verb, **arguments):
        path = house.jobs._folder / "1.job"
        path.write_bytes(msgspec.json.encode({"id": "1", "verb": verb, "arguments": arguments}))
        house.worker._next_jobs = 0
        house.worker.step()
        return json.loads(path.with_suffix(".answer").read_text())

    before, settled = fates(house), balances(flows(house.state))
    said = ask("preview", ids=[first, second], repaired={second: mended})["details"]
    assert said["verdicts"] == [[first, "quarantined:poison", "RecursionError"], [second, "routed", ""]]
    assert said["copies"] == {"lake": 1}
    assert (fates(house), balances(flows(house.state))) == (before, settled)
    assert house.jobs.audit(10) == [], "to look is no act"

    assert not ask("replay", ids=["no id"])["ok"]
    assert not ask("burn", ids=[first])["ok"]
    assert ask("replay", ids=[first, second], repaired={second: mended})["details"]["again"] == 1
    assert [one.id.hex() for one in held(house.state)] == [first]
    assert ask("replay", ids=[first], repaired={first: mended, second: mended})["details"]["done"] == 1
    assert not list(held(house.state))
    assert [line.verb for line in house.jobs.audit(10)] == ["replay", "replay", "burn", "replay"]

"""Whatever is sent, however it is cut into batches, and wherever the pipeline dies: every event is judged once and booked once."""

from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.ledger.books import balances, flows
from customhouse.log.memory import MemoryLog
from customhouse.model.envelope import Envelope, Letter, RequestFacts, event_id
from customhouse.model.frames import OWED_TOPIC, RECEIVED_TOPIC, DoorFrame, decode_owed, encode
from customhouse.model.outcome import Versions
from customhouse.model.posting import RECEIVED, Posting, refused
from customhouse.pipeline.batch import Intake
from customhouse.pipeline.judgement import Road, judge
from customhouse.pipeline.quarantine import discard_frame, held, replay_batch
from customhouse.pipeline.settle import Settler, place
from customhouse.protocols.segment import Segment
from customhouse.stages.clock import Clock, ClockConfig
from customhouse.stages.dedupe import Dedupe
from customhouse.stages.routing import RouteConfig, Routing
from customhouse.state.ids import MemoryIndex
from customhouse.state.memory import MemoryState

NOW = 1_767_268_800_000_000
POINTS = ("pipeline.before_owed", "pipeline.after_owed", "pipeline.after_settle")


class Killed(BaseException):
    """Stands for SIGKILL: nothing below may catch it."""


class House:
    """A pipeline whose process can die; log, state and index are what survives."""

    def __init__(self) -> None:
        self.log, self.state, self.index = MemoryLog(), MemoryState(), MemoryIndex()
        self.deaths: list[tuple[str, int]] = []

    def fault(self, point: str) -> None:
        if self.deaths and self.deaths[0][0] == point:
            name, left = self.deaths.pop(0)
            if left > 0:
                self.deaths.insert(0, (name, left - 1))
            else:
                raise Killed

    def road(self) -> Road:
        rules = (RouteConfig(to=["lake", "hook"]), RouteConfig(to=["ads"]))
        stages = (Dedupe(self.index, 7, 1), Clock(ClockConfig()), Routing(rules, ("lake", "hook", "ads")))
        return Road(stages, {"segment": Segment()}, Versions(config=1, plan=1))

    def live(self, batch_events: int) -> None:
        """Run one life of the process: until the log is empty, or until it dies."""
        settler, road = Settler(self.log, self.state, self.fault), self.road()
        memory = {"dedupe": road.stages[0]}
        settler.recover(0, memory, -1)
        intake = Intake(self.log, 0, place(self.state, RECEIVED_TOPIC, 0), batch_events)
        totals = settler.totals(0)
        while batch := intake.take():
            owed = judge(batch, road, NOW, totals, lambda *_: None)
            settler.commit(owed, memory)
            totals = owed.totals

    def run(self, batch_events: int) -> None:
        while True:
            try:
                return self.live(batch_events)
            except Killed:
                continue


def letter(nth: int, message: int, *, good: bool) -> Letter:
    body = {"type": "track", "messageId": f"m{message}", "anonymousId": "a"} | ({"event": "E"} if good else {})
    return Letter(nth, "a", msgspec.json.encode(body))


messages = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=0, max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    groups=st.lists(messages, min_size=1, max_size=6),
    deaths=st.lists(st.tuples(st.sampled_from(POINTS), st.integers(0, 2)), max_size=4),
    size=st.integers(1, 8),
)
def test_every_event_is_judged_once_and_the_books_balance(groups, deaths, size):
    house = House()
    house.deaths = list(deaths)
    for at, group in enumerate(groups):
        letters = [letter(nth, message, good=good) for nth, (message, good) in enumerate(group)]
        base = (at << 20).to_bytes(16)
        envelope = Envelope(base, "web", "segment", "batch", NOW, "", b"", RequestFacts(), letters)
        refusals = [Posting("-", NOW // 3_600_000_000, RECEIVED, refused("unknown_write_key"), 1)]
        door = DoorFrame(1, 1, refusals, [envelope] if letters else [])
        house.log.append(RECEIVED_TOPIC, 0, encode(door), len(letters), NOW)
    house.run(size)

    sent = [event_id((at << 20).to_bytes(16), nth) for at, group in enumerate(groups) for nth in range(len(group))]
    frames = house.log.read(OWED_TOPIC, 0, after=-1, limit=1 << 30)
    rows = [row for frame in frames for row in decode_owed(frame.body).trail]
    assert sent == [row.id for row in rows], "one trail row per event, in order"
    accounts = balances(flows(house.state))
    assert sum(accounts.values()) == 0
    assert len(groups) == accounts["refused:unknown_write_key"]
    fates = Counter(row.fate for row in rows)
    assert accounts.get("dropped:duplicate", 0) == fates["dropped:duplicate"]
    assert accounts.get("quarantined:name_missing", 0) == fates["quarantined:name_missing"]
    for name in ("lake", "hook", "ads"):
        assert accounts.get(f"owed:{name}", 0) == fates["routed"]
    assert all(not accounts.get(name) for name in ("logged", "dedupe", "clock", "routing"))
    assert fates["routed"] == len({m for group in groups for m, good in group if good})
    assert fates["quarantined:name_missing"] == len(list(held(house.state)))


@settings(max_examples=60, deadline=None)
@given(
    group=st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=6),
    deaths=st.lists(st.tuples(st.sampled_from(POINTS), st.integers(0, 1)), max_size=3),
    repair=st.booleans(),
)
def test_what_leaves_quarantine_leaves_it_once(group, deaths, repair):
    house = House()
    letters = [letter(nth, message, good=good) for nth, (message, good) in enumerate(group)]
    envelope = Envelope(bytes(16), "web", "segment", "batch", NOW, "", b"", RequestFacts(), letters)
    house.log.append(RECEIVED_TOPIC, 0, encode(DoorFrame(1, 1, [], [envelope])), len(letters), NOW)
    house.run(100)
    bad = list(held(house.state))
    house.deaths = list(deaths)
    while chosen := list(held(house.state)):
        settler, road = Settler(house.log, house.state, house.fault), house.road()
        memory = {"dedupe": road.stages[0]}
        try:
            settler.recover(0, memory, -1)
            if not (chosen := list(held(house.state))[:1]):
                break
            totals = settler.totals(0)
            if repair:
                body = (
                    b'{"type":"track","event":"E","anonymousId":"a","messageId":"' + chosen[0].id.hex().encode() + b'"}'
                )
                settler.commit(
                    judge(replay_batch(chosen, 0, {chosen[0].id: body}), road, NOW, totals, lambda *_: None), memory
                )
            else:
                settler.commit(discard_frame(chosen, 0, NOW, road.versions, totals), memory)
        except Killed:
            continue
    accounts = balances(flows(house.state))
    assert sum(accounts.values()) == 0
    assert not accounts.get("quarantined:name_missing")
    assert not accounts.get("replayed")
    if repair:
        good = len({m for m, fine in group if fine})
        assert len(bad) + good == accounts.get("owed:lake", 0)
    else:
        assert len(bad) == accounts.get("dropped:discarded", 0)

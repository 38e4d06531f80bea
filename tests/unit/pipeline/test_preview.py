"""A preview says what the replay then does, and changes nothing; jobs are read within their bounds."""

import json
from copy import deepcopy

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.log.memory import MemoryLog
from customhouse.model.contracts import no_fault
from customhouse.model.envelope import Envelope, Letter, RequestFacts
from customhouse.model.errors import Unavailable
from customhouse.model.frames import OWED_TOPIC, RECEIVED_TOPIC, DoorFrame, encode
from customhouse.model.outcome import Versions
from customhouse.pipeline.batch import Intake
from customhouse.pipeline.judgement import Road, judge
from customhouse.pipeline.preview import foresee, told
from customhouse.pipeline.quarantine import MOST_BYTES, MOST_EVENTS, Asked, asked, held, replay_batch
from customhouse.pipeline.settle import Settler, place
from customhouse.plan.definition import Definition
from customhouse.plan.plan import Plan
from customhouse.protocols.segment import Segment
from customhouse.stages.clock import Clock, ClockConfig
from customhouse.stages.dedupe import Dedupe
from customhouse.stages.routing import RouteConfig, Routing
from customhouse.stages.validation import PlanConfig, Validation
from customhouse.state.ids import MemoryIndex
from customhouse.state.memory import MemoryState

NOW = 1_767_268_800_000_000
TOTALS = (12, "12", "free", None)


def plan(kind):
    definition = msgspec.convert(
        {"event": "Order", "version": "1.0.0", "owner": "shop", "description": "An order.",
         "properties": {"total": {"type": kind}}, "required": ["total"]},
        Definition,
    )  # fmt: skip
    return Plan((definition,))


class House:
    """A pipeline whose plan can change between the judgement and the replay."""

    def __init__(self):
        self.log, self.state, self.index = MemoryLog(), MemoryState(), MemoryIndex()
        self.settler = Settler(self.log, self.state, no_fault)
        self.adopt("number", "quarantine")

    def adopt(self, kind, unknown):
        policy = PlanConfig(unknown_events=unknown, on_violation="quarantine")
        self.dedupe = Dedupe(self.index, 7, 1)
        routing = Routing((RouteConfig(to="lake"), RouteConfig(to="hook")), ("lake", "hook"))
        stages = (self.dedupe, Clock(ClockConfig()), Validation(plan(kind), 2, policy), routing)
        self.road = Road(stages, {"segment": Segment()}, Versions(1, 2))

    def receive(self, bodies):
        letters = [Letter(nth, "a", msgspec.json.encode(body)) for nth, body in enumerate(bodies)]
        at = len(self.log.read(RECEIVED_TOPIC, 0, after=-1, limit=1 << 30))
        envelope = Envelope((at << 20).to_bytes(16), "web", "segment", "batch", NOW, "", b"", RequestFacts(), letters)
        self.log.append(RECEIVED_TOPIC, 0, encode(DoorFrame(1, 1, [], [envelope])), len(letters), NOW)
        intake = Intake(self.log, 0, place(self.state, RECEIVED_TOPIC, 0), 1000)
        while batch := intake.take():
            self.commit(judge(batch, self.road, NOW, self.settler.totals(0), lambda *_: None))

    def commit(self, frame):
        self.settler.commit(frame, {"dedupe": self.dedupe})

    def everything(self):
        """Return all that a preview must leave alone."""
        ids = {day: dict(keys) for day, keys in self.index._days.items()}
        frames = [frame.body for frame in self.log.read(OWED_TOPIC, 0, after=-1, limit=1 << 30)]
        return deepcopy((self.state._values, self.state._counters, ids, frames))


def body(message, total, event):
    said = {"type": "track", "messageId": f"m{message}", "anonymousId": "a", "properties": {}}
    if event:
        said["event"] = event
    if total is not None:
        said["properties"]["total"] = total
    return said


events = st.builds(body, st.integers(0, 5), st.sampled_from(TOTALS), st.sampled_from(["Order", "Other", ""]))


@settings(max_examples=150, deadline=None)
@given(
    sent=st.lists(st.lists(events, min_size=1, max_size=5), min_size=1, max_size=4),
    kind=st.sampled_from(["number", "string"]),
    unknown=st.sampled_from(["allow", "quarantine"]),
    repairs=st.lists(st.none() | events, max_size=20),
    cut=st.integers(1, 4),
)
def test_a_preview_tells_what_the_replay_then_does_and_changes_nothing(sent, kind, unknown, repairs, cut):
    house = House()
    for group in sent:
        house.receive(group)
    house.adopt(kind, unknown)
    chosen = list(held(house.state))
    repaired = {
        one.id: msgspec.json.encode(repair) for one, repair in zip(chosen, repairs, strict=False) if repair is not None
    }
    before = house.everything()
    seen = told(foresee(replay_batch(chosen, 0, repaired), house.road, NOW, house.settler.totals(0)))
    assert house.everything() == before
    again = told(foresee(replay_batch(chosen, 0, repaired), house.road, NOW, house.settler.totals(0)))
    assert seen == again

    # The replay goes in pieces, as windows ask for it: what the preview said of all of them must still come true.
    done = []
    for start in range(0, len(chosen), cut):
        batch = replay_batch(chosen[start : start + cut], 0, repaired)
        frame = judge(batch, house.road, NOW, house.settler.totals(0), lambda *_: None)
        done += frame.trail
        house.commit(frame)
    assert [(row.id.hex(), row.fate) for row in done] == [(id_, fate) for id_, fate, _ in seen["verdicts"]]
    passed = sum(fate == "routed" for _, fate, _ in seen["verdicts"])
    assert seen["copies"] == ({"lake": passed, "hook": passed} if passed else {})
    left = {one.id.hex() for one in held(house.state)}
    assert left == {id_ for id_, fate, _ in seen["verdicts"] if fate.startswith("quarantined:")}


def test_an_event_that_wakes_a_bug_is_foreseen_as_poison_and_its_neighbours_are_judged():
    class Fragile(Segment):
        def read(self, envelope, letters, positions):
            if any(b"boom" in letter.body for letter in letters):
                raise RecursionError("quotes the event")
            return super().read(envelope, letters, positions)

    house = House()
    house.receive([body(1, "a", "Order"), body(2, "boom", "Order")])
    road = Road(house.road.stages, {"segment": Fragile()}, house.road.versions)
    chosen = list(held(house.state, newest_first=False))
    seen = told(foresee(replay_batch(chosen, 0), road, NOW, {}))
    fates = [(fate, detail) for _, fate, detail in seen["verdicts"]]
    assert fates == [
        ("quarantined:schema_violation", "total: expected number, came string"),
        ("quarantined:poison", "RecursionError"),
    ]


def test_a_disk_that_fails_a_preview_is_no_poison():
    class Away(Segment):
        def read(self, envelope, letters, positions):
            raise Unavailable("the disk is gone")

    house = House()
    house.receive([body(1, "a", "Order")])
    road = Road(house.road.stages, {"segment": Away()}, house.road.versions)
    with pytest.raises(Unavailable):
        foresee(replay_batch(list(held(house.state)), 0), road, NOW, {})


def test_only_so_many_details_are_told():
    house = House()
    house.receive([body(nth, "a", "Order") for nth in range(300)])
    seen = told(foresee(replay_batch(list(held(house.state)), 0), house.road, NOW, {}))
    assert len(seen["verdicts"]) == 300
    assert sum(bool(detail) for _, _, detail in seen["verdicts"]) == 200


ID = "00" * 16


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"ids": ["zz"]}, "cannot be read"),
        ({"ids": "no list"}, "cannot be read"),
        ({"ids": [7]}, "cannot be read"),
        ({"ids": [ID], "repaired": {ID: 7}}, "cannot be read"),
        ({"ids": [ID], "repaired": {ID: "\ud800"}}, "cannot be read"),
        ({"ids": [ID] * (MOST_EVENTS + 1)}, "at most"),
        ({"ids": [ID], "repaired": {ID: "x" * (MOST_BYTES + 1)}}, "repair fewer"),
    ],
)
def test_a_job_beyond_its_bounds_is_refused_in_words(arguments, word):
    said = asked(arguments)
    assert isinstance(said, str)
    assert word in said
    assert "nothing was done" in said


def test_a_repaired_text_alone_is_for_the_one_event_named():
    one = bytes(16)
    assert asked({"ids": [ID], "repaired": "{}"}) == Asked([one], {one: b"{}"})
    assert asked({"ids": [ID], "repaired": {ID: "{}"}}) == Asked([one], {one: b"{}"})
    assert asked({"ids": [ID], "repaired": ""}) == Asked([one], {})
    assert asked(json.loads("{}")) == Asked([], {})

"""The trial balance finds what is missing, because it holds counts of different processes against each other."""

import pytest
from msgspec import Raw, structs

from customhouse.ledger.balance import Delivery, LaneMarks, Pipeline, owed_behind, strike
from customhouse.log.memory import MemoryLog
from customhouse.model.frames import OWED_TOPIC, RECEIVED_TOPIC, OwedFrame, OwedRecord, encode
from customhouse.model.outcome import Versions
from customhouse.model.posting import COPIES, LOGGED, RECEIVED, Posting, delivered, owed

EMPTY = OwedFrame(1, RECEIVED_TOPIC, 0, 0, 0, 0, 0, Versions(), [], {}, {}, [], [], [])
ROUTED = [
    Posting("web", 1, RECEIVED, LOGGED, 5),
    Posting("web", 1, LOGGED, "routing", 5),
    Posting("web", 1, COPIES, "routing", 2),
    Posting("web", 1, "routing", owed("lake"), 5),
    Posting("web", 1, "routing", owed("hook"), 2),
]


@pytest.fixture
def log():
    """Seven events at the door, five of them judged: all for the lake, two for the hook as well, in two frames."""
    made = MemoryLog()
    made.append(RECEIVED_TOPIC, 0, b"", 7, 0)
    first = [OwedRecord(("lake", "hook"), Raw(encode(1))), OwedRecord(("lake",), Raw(encode(2)))]
    second = [
        OwedRecord(("lake",), Raw(encode(3))),
        OwedRecord(("lake", "hook"), Raw(encode(4))),
        OwedRecord(("lake",), Raw(encode(5))),
    ]
    made.append(OWED_TOPIC, 0, encode(structs.replace(EMPTY, totals={"lake": 2, "hook": 1}, owed=first)), 2, 0)
    made.append(OWED_TOPIC, 0, encode(structs.replace(EMPTY, totals={"lake": 5, "hook": 2}, owed=second)), 3, 0)
    return made


PIPELINE = Pipeline(ROUTED, {0: (4, 5)}, {0: 4})
DELIVERY = Delivery([Posting("web", 1, owed("lake"), delivered("lake"), 3)], {"lake": LaneMarks({0: 2}, 0)})


@pytest.mark.parametrize(("after", "lake", "hook"), [(-1, 5, 2), (0, 4, 1), (1, 3, 1), (2, 2, 1), (3, 1, 0), (4, 0, 0)])
def test_what_stands_behind_a_bookmark_is_counted_in_the_middle_of_frames_too(log, after, lake, hook):
    assert owed_behind(log, 0, "lake", after, 4) == lake
    assert owed_behind(log, 0, "hook", after, 4) == hook


def test_all_is_accounted_for_when_both_counts_agree(log):
    struck = strike(log, DELIVERY, PIPELINE)
    assert struck.unaccounted == 0
    assert struck.received == 7
    assert {each.account: each.events for each in struck.waiting} == {LOGGED: 2, "owed:lake": 2, "owed:hook": 2}
    assert sum(struck.accounts.values()) == 0


def test_a_lane_that_skipped_an_event_is_found(log):
    skipped = Delivery(DELIVERY.postings, {"lake": LaneMarks({0: 3}, 0)})
    struck = strike(log, skipped, PIPELINE)
    assert struck.unaccounted == 1
    assert [(d.account, d.books, d.counted) for d in struck.differences] == [("owed:lake", 2, 1)]


def test_a_lane_that_booked_too_much_is_found(log):
    twice = Delivery([*DELIVERY.postings, *DELIVERY.postings], DELIVERY.lanes)
    assert strike(log, twice, PIPELINE).unaccounted == 3


def test_what_a_lane_keeps_for_a_retry_is_in_flight(log):
    kept = Delivery([Posting("web", 1, owed("lake"), delivered("lake"), 2)], {"lake": LaneMarks({0: 2}, 1)})
    assert strike(log, kept, PIPELINE).unaccounted == 0


def test_an_event_the_pipeline_never_booked_is_found(log):
    behind = Pipeline(ROUTED, {0: (5, 6)}, {0: 4})
    assert [d.account for d in strike(log, DELIVERY, behind).differences] == [LOGGED]


def test_an_event_that_stuck_at_a_station_is_found(log):
    stuck = Pipeline([*ROUTED, Posting("web", 1, "routing", "clock", 1)], {0: (4, 5)}, {0: 4})
    found = {d.account for d in strike(log, DELIVERY, stuck).differences}
    assert found == {"routing", "clock"}

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readings import START, Watched, lane

from customhouse.alarms.board import LONGEST_CLEAR, MOST_REMEMBERED, Board
from customhouse.alarms.kinds import KINDS
from customhouse.alarms.rules import RULES

PARKED = {"lanes": (lane(state="parked", last_answer="401 unauthorized", lag_events=5),)}


def test_an_alarm_is_told_once_when_raised_and_once_when_it_has_ended():
    house = Watched(clear_seconds=15)
    assert house.told() == []
    assert house.told(**PARKED) == [("raised", "lane_parked", "crm")]
    assert [house.told(**PARKED) for _ in range(10)] == [[]] * 10
    assert house.told() == house.told() == house.told() == []
    assert house.told() == [("cleared", "lane_parked", "crm")]
    assert house.told() == [] and house.board.standing() == []


def test_an_alarm_that_stands_is_told_again_after_the_quiet_time():
    house = Watched(quiet_minutes=1)
    house.see(**PARKED)
    told = [house.told(**PARKED) for _ in range(24)]
    assert told.count([("still", "lane_parked", "crm")]) == 2
    assert told[11] == told[23] == [("still", "lane_parked", "crm")]


def test_a_restart_of_the_watch_repeats_nothing():
    house = Watched()
    house.see(**PARKED)
    house.restart()
    assert house.told(**PARKED) == []
    (alarm,) = house.board.standing()
    assert (alarm.since, alarm.severity) == (START + 5, "critical")
    house.restart()
    house.see()
    house.restart()
    assert house.told(20) == [("cleared", "lane_parked", "crm")]


def test_what_is_well_only_for_a_moment_does_not_end_an_alarm():
    house = Watched(clear_seconds=15)
    house.see(**PARKED)
    for _ in range(20):
        assert house.told() == house.told() == house.told(**PARKED) == []
    assert len(house.board.standing()) == 1


def test_an_alarm_that_comes_back_soon_needs_twice_as_long_to_end():
    house = Watched(clear_seconds=10, quiet_minutes=60)
    lasted = []
    for _ in range(12):
        assert house.told(**PARKED) == [("raised", "lane_parked", "crm")]
        began = house.at
        while house.told() == []:
            pass
        lasted.append(house.at - began - 5)
    assert lasted[:4] == [10, 20, 40, 80]
    assert lasted[-1] == LONGEST_CLEAR
    house.see(3601)
    house.see(**PARKED)
    assert house.told() == house.told() == [], "after a quiet hour it is a new alarm"
    assert house.told() == [("cleared", "lane_parked", "crm")]


def test_between_the_lines_nothing_changes():
    near, between, far = ({"lanes": (lane(lag_events=n, budget_events=100),)} for n in (80, 75, 60))
    house = Watched(clear_seconds=0)
    assert house.told(**between) == []
    assert house.told(**near) == [("raised", "lane_backlog", "crm")]
    assert house.told(**between) == []
    assert house.told(**far) == [("cleared", "lane_backlog", "crm")]
    assert house.told(**between) == []


def test_what_grows_worse_is_told_once_more():
    house = Watched()
    assert [n.severity for n in house.see(lanes=(lane(lag_events=85, budget_events=100),))] == ["warning"]
    assert [n.severity for n in house.see(lanes=(lane(lag_events=120, budget_events=100),))] == ["critical"]
    assert house.see(lanes=(lane(lag_events=85, budget_events=100),)) == []
    assert house.see(lanes=(lane(lag_events=120, budget_events=100),)) == [], "to and fro is not told"


def test_what_cannot_be_seen_stays_as_it_is_and_blindness_is_told():
    blind = {"lanes": None, "disk": None, "unaccounted": None, "judged": None, "quarantined": None, "running": None,
             "refusals": None, "restarts": None, "blind": "the log does not answer"}  # fmt: skip
    house = Watched(clear_seconds=0)
    house.see(**PARKED)
    assert house.told(**blind) == house.told(**blind) == []
    assert house.told(**blind) == [("raised", "watch_blind", "watch")]
    assert {alarm.name for alarm in house.board.standing()} == {"lane_parked", "watch_blind"}
    assert set(house.told()) == {("cleared", "lane_parked", "crm"), ("cleared", "watch_blind", "watch")}


def test_a_lane_that_is_gone_takes_its_alarm_along():
    house = Watched(clear_seconds=0)
    house.see(**PARKED)
    (notice,) = house.see(lanes=())
    assert (notice.what, notice.told) == ("cleared", "crm is no longer there.")


def test_the_critical_and_the_oldest_stand_first():
    house = Watched()
    house.see(lanes=(lane("a", lag_events=9, budget_events=10),))
    house.see(lanes=(lane("a", lag_events=9, budget_events=10), lane("b", "parked")))
    house.see(lanes=(lane("a", lag_events=9, budget_events=10), lane("b", "parked"), lane("c", "parked")))
    assert [alarm.subject for alarm in house.board.standing()] == ["b", "c", "a"]


def test_every_alarm_has_one_rule_and_words():
    assert sorted(rule.name for rule in RULES) == sorted(KINDS)
    assert all(kind.meaning.endswith(".") and kind.mend for kind in KINDS.values())


def test_what_is_remembered_is_bounded():
    house = Watched(clear_seconds=0)
    for nth in range(MOST_REMEMBERED + 20):
        house.see(lanes=(lane(f"lane-{nth}", "parked"),))
    assert len(house.board.ended) == MOST_REMEMBERED
    for _ in range(5000):
        house.see(1)
    assert len(house.board.history.samples) <= 125


@pytest.mark.parametrize("back", [1.0, 3600.0])
def test_a_clock_that_is_set_back_raises_nothing_and_ends_nothing_early(back):
    house = Watched(clear_seconds=15)
    house.see(**PARKED, judged=100, quarantined={"x": 100})
    assert house.told(-back, **PARKED, judged=100, quarantined={"x": 100}) == []
    assert house.told() == house.told() == house.told() == []
    assert house.told() == [("cleared", "lane_parked", "crm")]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["running", "parked", "paused", "backing off"]),
            st.integers(0, 200),
            st.integers(0, 3),
            st.floats(0.2, 90),
        ),
        max_size=80,
    )
)
def test_raised_and_cleared_take_turns_whatever_happens(readings):
    """A law: each alarm's story is raised (raised | still)* cleared, again and again, and the board agrees with it."""
    house = Watched(clear_seconds=10, quiet_minutes=1)
    open_: set[tuple[str, str]] = set()
    for state, lag, unaccounted, seconds in readings:
        seen = (lane(state=state, lag_events=lag, budget_events=100, oldest_seconds=lag * 40.0),)
        for what, alarm, subject in house.told(seconds, lanes=seen, unaccounted=unaccounted):
            if what == "cleared":
                open_.remove((alarm, subject))
            elif what == "still":
                assert (alarm, subject) in open_
            else:
                open_.add((alarm, subject))
        assert {(alarm.name, alarm.subject) for alarm in house.board.standing()} == open_
        house.restart()


def test_an_empty_board_is_what_a_missing_file_means():
    assert Board().standing() == []

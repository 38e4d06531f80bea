import pytest

from customhouse.model.event import Event
from customhouse.model.outcome import Scope
from customhouse.stages.clock import Clock, ClockConfig
from customhouse.testing.builders import RECEIVED_AT, event

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR


def told(*, original: int | None, sent: int | None = None, config: ClockConfig | None = None, **changes):
    """Judge one event whose times are given relative to the time of receipt; return the time and the new flags."""
    subject = event(
        original_at=None if original is None else RECEIVED_AT + original,
        sent_at=None if sent is None else RECEIVED_AT + sent,
        **changes,
    )
    (outcome,) = Clock(config or ClockConfig()).judge([subject], Scope(now=0))
    assert isinstance(outcome, Event)
    assert outcome.original_at == subject.original_at
    return outcome.occurred_at - RECEIVED_AT, outcome.flags


def test_without_any_time_it_is_the_time_of_receipt():
    assert told(original=None, sent=-HOUR) == (0, ())


def test_without_a_time_of_sending_nothing_is_corrected():
    assert told(original=-HOUR) == (-HOUR, ())


def test_the_age_is_the_clients_and_the_clock_is_ours():
    assert told(original=-HOUR - 10 * SECOND, sent=-HOUR) == (-10 * SECOND, ("clock_corrected",))
    assert told(original=2 * HOUR, sent=2 * HOUR + SECOND) == (-SECOND, ("clock_corrected",))


def test_a_clock_that_never_was_set():
    assert told(original=5 * SECOND - RECEIVED_AT, sent=9 * SECOND - RECEIVED_AT) == (-4 * SECOND, ("clock_corrected",))


def test_small_skews_are_corrected_without_a_flag():
    assert told(original=-3 * SECOND, sent=-2 * SECOND) == (-SECOND, ())
    assert told(original=-6 * SECOND, sent=-5 * SECOND) == (-SECOND, ())
    assert told(original=-6 * SECOND, sent=-5 * SECOND - 1) == (-SECOND + 1, ("clock_corrected",))


def test_an_event_kept_offline_for_hours_keeps_its_age():
    assert told(original=-7 * HOUR, sent=-SECOND) == (-7 * HOUR + SECOND, ())


def test_imports_keep_their_own_times():
    assert told(original=-DAY, sent=-HOUR, historical=True) == (-DAY, ())
    assert told(original=-12_000 * DAY, historical=True) == (-12_000 * DAY, ())


def test_but_no_import_comes_from_the_future():
    assert told(original=DAY, historical=True) == (0, ("clock_future",))


@pytest.mark.parametrize(
    ("original", "expected"),
    [(300 * SECOND, (300 * SECOND, ())), (300 * SECOND + 1, (0, ("clock_future",)))],
)
def test_the_future_is_tolerated_a_little(original, expected):
    assert told(original=original) == expected


@pytest.mark.parametrize(
    ("original", "expected"),
    [(-3650 * DAY, (-3650 * DAY, ())), (-3650 * DAY - 1, (0, ("clock_past",)))],
)
def test_the_past_has_an_end(original, expected):
    assert told(original=original) == expected


@pytest.mark.parametrize("sent", [-RECEIVED_AT, -DAY, 20_000 * DAY])
def test_a_time_of_sending_from_another_clock_is_not_believed(sent):
    assert told(original=-HOUR, sent=sent) == (-HOUR, ())


def test_an_old_time_is_set_right_once():
    assert told(original=-4000 * DAY, sent=-400 * DAY) == (-3600 * DAY, ("clock_corrected",))


def test_flags_are_appended():
    assert told(original=DAY, flags=("replayed",)) == (0, ("replayed", "clock_future"))


def test_the_tolerances_are_configurable():
    config = ClockConfig(flag_skew_seconds=0.5, future_seconds=1, oldest_days=1)

    assert told(original=-SECOND, sent=-SECOND, config=config) == (0, ("clock_corrected",))
    assert told(original=2 * SECOND, config=config) == (0, ("clock_future",))
    assert told(original=-2 * DAY, config=config) == (0, ("clock_past",))

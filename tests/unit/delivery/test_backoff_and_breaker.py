from hypothesis import given
from hypothesis import strategies as st

from customhouse.delivery.retry.backoff import delay, wait
from customhouse.delivery.retry.breaker import Breaker


def test_waits_double_up_to_the_cap():
    assert [delay(n, 1.0, base=0.5, cap=5.0) for n in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_chance_takes_any_share_of_the_wait():
    assert [delay(3, chance, base=1.0, cap=60.0) for chance in (0.0, 0.25, 1.0)] == [0.0, 1.0, 4.0]


def test_what_the_destination_asks_for_is_the_least_and_the_cap_the_most():
    assert wait(1, 0.5, 7.0, base=1.0, cap=60.0) == 7.0
    assert wait(1, 0.5, 0.1, base=1.0, cap=60.0) == 0.5
    assert wait(1, 0.5, 1e9, base=1.0, cap=60.0) == 60.0
    assert wait(1, 0.5, None, base=1.0, cap=60.0) == 0.5


@given(st.integers(-3, 10**6), st.floats(0, 1), st.floats(0.001, 10), st.floats(0.001, 10_000))
def test_no_wait_is_negative_or_above_the_cap(failures, chance, base, cap):
    assert 0 <= delay(failures, chance, base=base, cap=cap) <= cap


def test_the_breaker_opens_after_failures_in_a_row_and_probes_once_cool():
    breaker = Breaker(3, 10.0)
    for now in (0.0, 1.0):
        breaker.failure(now)
    assert breaker.state(1.0) == "closed"
    breaker.failure(2.0)
    assert (breaker.state(2.0), breaker.remaining(5.0)) == ("open", 7.0)
    assert (breaker.state(12.0), breaker.remaining(12.0)) == ("half-open", 0.0)
    breaker.failure(12.0)
    assert breaker.state(13.0) == "open", "one failure is enough while half-open"
    breaker.success()
    assert (breaker.state(13.0), breaker.remaining(13.0)) == ("closed", 0.0)


def test_a_success_between_failures_keeps_the_breaker_closed():
    breaker = Breaker(2, 10.0)
    for now in (0.0, 1.0, 2.0):
        breaker.failure(now)
        breaker.success()
    assert breaker.state(3.0) == "closed"

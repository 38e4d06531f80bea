import pytest

from customhouse.delivery.retry.verdicts import PATIENCE, Failure, Halve, Hold, Settled, Tried, Verdict, decide
from customhouse.model.outcome import Delivered, Rejected, Retry

FAULT = Retry("server_error", detail="500")
DELIVERED = Delivered("200")
REFUSED = Rejected("destination_refused", "no")


def tried(events: int, faults: int = 0, *, hunting: bool = False, suspect: bool = False) -> Tried:
    return Tried(events, faults, hunting, suspect)


def test_no_connection_holds_the_lane_however_often():
    failure = Failure("unreachable", "refused")
    assert decide(failure, 0, tried(5, 99, hunting=True)) == Hold("unreachable", "refused")


@pytest.mark.parametrize("reason", ["throttled", "unauthorized"])
def test_what_is_no_fault_holds_the_lane(reason):
    assert decide([Retry(reason, 3.0, "x")] * 4, 429, tried(4, hunting=True)) == Hold(reason, "x", 3.0)


def test_faults_are_borne_with_patience_then_halved():
    assert decide([FAULT] * 4, 500, tried(4, PATIENCE - 1)) == Hold("server_error", "500")
    assert decide([FAULT] * 4, 500, tried(4, PATIENCE)) == Halve("server_error", "500", at_once=False)
    assert decide([FAULT] * 2, 500, tried(2, 1, hunting=True)) == Halve("server_error", "500", at_once=False)


def test_a_single_event_is_set_aside_unless_the_destination_is_in_doubt():
    aside = Settled([Verdict("retry", "server_error", "500")])
    assert decide([FAULT], 500, tried(1, PATIENCE)) == aside
    assert decide([FAULT], 500, tried(1, 1, hunting=True)) == aside
    assert decide([FAULT], 500, tried(1, PATIENCE, suspect=True)) == Hold("server_error", "500")


def test_a_hanging_answer_counts_as_a_fault():
    assert isinstance(decide(Failure("timeout", "30 s"), 0, tried(8, PATIENCE)), Halve)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_parcel_is_halved_at_once(status):
    assert decide([REFUSED] * 3, status, tried(3)) == Halve("destination_refused", "no", at_once=True)


def test_a_refused_event_is_rejected():
    assert decide([REFUSED], 400, tried(1)) == Settled([Verdict("rejected", "destination_refused", "no")])


def test_other_refusals_reject_the_whole_parcel():
    assert decide([REFUSED] * 2, 410, tried(2)) == Settled([Verdict("rejected", "destination_refused", "no")] * 2)


def test_single_receipts_are_taken_one_by_one():
    assert decide([DELIVERED, FAULT, REFUSED], 200, tried(3)) == Settled(
        [
            Verdict("delivered", "", "200"),
            Verdict("retry", "server_error", "500"),
            Verdict("rejected", "destination_refused", "no"),
        ]
    )

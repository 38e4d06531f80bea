"""
What a lane makes of an answer: the retry rules, as a pure decision over one attempt.

Trouble of the whole destination holds the lane and costs nothing but delay. Trouble of single events must not hold the
others. The art is to tell them apart: a group that is answered with faults again and again is halved until the culprit
stands alone; and a culprit that nothing delivered since could clear the destination of suspicion is set aside only
once, so that an outage never pours the backlog into single retries.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from customhouse.model.event import Event
from customhouse.model.outcome import Delivered, Receipt, Rejected, Retry

PATIENCE = 3
"""How often a group is answered with a fault before it is halved."""
_WHOLE_REFUSALS = frozenset({400, 413, 422})
"""Statuses that refuse a request for what one of its events, or their number, may have caused."""
_FAULTS = frozenset({"server_error", "timeout"})

Word = Literal["delivered", "rejected", "expired", "retry"]


class Item(Struct, frozen=True, gc=False):
    """One event a lane is owed, where it stands, and since when."""

    position: int
    nth: int
    """Its number among all copies ever owed to the lane in this partition, from 1."""
    owed_at: int
    event: Event


class Verdict(Struct, frozen=True):
    """What becomes of one event. `retry` sets it aside, for tries of its own."""

    word: Word
    reason: str = ""
    answer: str = ""


class Failure(Struct, frozen=True):
    """There was no answer at all."""

    reason: Literal["unreachable", "timeout"]
    detail: str


class Settled(Struct, frozen=True):
    """Every event of the group has its verdict, in order."""

    verdicts: list[Verdict]


class Hold(Struct, frozen=True):
    """The same group is sent again, later; the lane waits. `after` is what the destination asked for, in seconds."""

    reason: str
    detail: str
    after: float | None = None


class Halve(Struct, frozen=True):
    """The group is sent again in two halves. `at_once` when there is no fault to recover from."""

    reason: str
    detail: str
    at_once: bool


Decision = Settled | Hold | Halve


class Tried(Struct, frozen=True):
    """What is known of a group when it is judged."""

    events: int
    faults: int
    """How often it was answered with a fault, this time included when it was one."""
    hunting: bool
    """It is part of a larger group that was halved because of faults."""
    suspect: bool
    """Another event was set aside for faults, and nothing has been delivered since."""


def is_fault(result: Sequence[Receipt] | Failure) -> bool:
    """Tell whether the destination was reached and failed on all of the group."""
    if isinstance(result, Failure):
        return result.reason in _FAULTS
    return all(isinstance(each, Retry) and each.reason in _FAULTS for each in result)


def is_alive(result: Sequence[Receipt] | Failure) -> bool:
    """Tell whether the destination dealt with at least one event of the group, by taking or refusing it."""
    return not isinstance(result, Failure) and any(isinstance(each, (Delivered, Rejected)) for each in result)


def decide(result: Sequence[Receipt] | Failure, status: int, tried: Tried) -> Decision:
    """Say what happens next to a group, given the receipts of its events (or that there was no answer)."""
    if isinstance(result, Failure):
        first: Receipt = Retry(result.reason, detail=result.detail)
        whole = True
    else:
        first = result[0]
        whole = all(isinstance(each, Retry) for each in result)
    if whole and isinstance(first, Retry):
        return _decide_fault(first, tried) if is_fault(result) else Hold(first.reason, first.detail, first.after)
    receipts: Sequence[Receipt] = [] if isinstance(result, Failure) else result
    refused = all(isinstance(each, Rejected) for each in receipts)
    if refused and tried.events > 1 and status in _WHOLE_REFUSALS and isinstance(first, Rejected):
        return Halve(first.reason, first.detail, at_once=True)
    return Settled([_verdict(each) for each in receipts])


def _decide_fault(fault: Retry, tried: Tried) -> Decision:
    """Halve, set aside, or hold a group that was answered with a fault."""
    if not tried.hunting and tried.faults < PATIENCE:
        return Hold(fault.reason, fault.detail, fault.after)
    if tried.events > 1:
        return Halve(fault.reason, fault.detail, at_once=False)
    if tried.suspect:
        return Hold(fault.reason, fault.detail, fault.after)
    return Settled([Verdict("retry", fault.reason, fault.detail)])


def _verdict(receipt: Receipt) -> Verdict:
    if isinstance(receipt, Delivered):
        return Verdict("delivered", "", receipt.detail)
    if isinstance(receipt, Rejected):
        return Verdict("rejected", receipt.reason, receipt.detail)
    return Verdict("retry", receipt.reason, receipt.detail)

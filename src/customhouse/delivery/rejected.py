"""
What somebody decides about rejected events: send them once more, or end them. Each is a receipt frame like any other.

The books move with the events: `rejected:<lane>` back to `owed:<lane>`, or on to `dropped:discarded`.
"""

from collections.abc import Iterable, Iterator

from msgspec import structs

from customhouse.delivery.settle import Settler
from customhouse.model.frames import HeldEvent, ReceiptFrame, ReceiptRow
from customhouse.model.posting import HOUR, Tally, dropped, owed
from customhouse.model.posting import rejected as rejected_account

_FRAME_EVENTS = 500


def replay_rejected(
    settler: Settler, lane: str, ids: Iterable[bytes] | None, *, now: int, room: int
) -> list[HeldEvent]:
    """
    Owe rejected events to their lane once more, due at once, as if never tried; return them, for the lane to adopt.

    `ids` names them, None means all of the lane. No more than `room` of them, so that the lane can hold them.
    `now` is in microseconds. Raises Unavailable.
    """
    replayed: list[HeldEvent] = []
    for chosen in _chosen(settler, lane, ids, room):
        again = [structs.replace(held, attempts=0, first_tried_at=0, due_at=now, reason="replayed") for held in chosen]
        frame = _frame(settler, chosen, now, "retry", "replayed", owed(lane))
        settler.commit(structs.replace(frame, retrying=again))
        replayed += again
    return replayed


def discard_rejected(settler: Settler, lane: str, ids: Iterable[bytes] | None, *, now: int) -> int:
    """End rejected events of a lane for good; return how many. They stay in the trail and the books."""
    count = 0
    for chosen in _chosen(settler, lane, ids, None):
        settler.commit(_frame(settler, chosen, now, "rejected", "discarded", dropped("discarded")))
        count += len(chosen)
    return count


def _chosen(settler: Settler, lane: str, ids: Iterable[bytes] | None, room: int | None) -> Iterator[list[HeldEvent]]:
    """Return the events in portions of one partition each, at most `room` in all."""
    found = settler.rejected(lane, ids)
    chosen = sorted(found, key=lambda one: (one.partition, one.position))[:room]
    for partition in sorted({one.partition for one in chosen}):
        mine = [one for one in chosen if one.partition == partition]
        for start in range(0, len(mine), _FRAME_EVENTS):
            yield mine[start : start + _FRAME_EVENTS]


def _frame(
    settler: Settler, chosen: list[HeldEvent], now: int, verdict: str, reason: str, account: str
) -> ReceiptFrame:  # fmt: skip
    """Make the frame that takes events out of `rejected` and into an account."""
    lane, partition = chosen[0].lane, chosen[0].partition
    tally = Tally()
    for one in chosen:
        tally.move(one.event.source, one.event.received_at // HOUR, rejected_account(lane), account)
    reached = settler.mark(lane, partition)
    return ReceiptFrame(
        format=1,
        lane=lane,
        partition=partition,
        upto=reached.upto,
        at=now,
        postings=tally.postings(),
        rows=[
            ReceiptRow(lane, partition, one.position, one.position, one.event.id, verdict, reason, "", now, 0)
            for one in chosen
        ],
        retrying=[],
        rejected=[],
        resolved=[],
        seen=reached.seen,
        taken=[one.event.id for one in chosen],
    )

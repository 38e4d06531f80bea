"""
From verdicts to a receipt frame: postings for the books, rows for the trail, events to keep. Pure.

Most batches end in one row: everything between two positions was delivered. Each event that fared otherwise has a row
of its own, which wins.
"""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from customhouse.delivery.retry.verdicts import Item, Verdict
from customhouse.delivery.settle import Mark
from customhouse.model.frames import HeldEvent, ReceiptFrame, ReceiptRow
from customhouse.model.posting import HOUR, Posting, Tally, delivered, expired, owed, rejected

_ACCOUNTS = {"delivered": delivered, "rejected": rejected, "expired": expired}
UNKNOWN_SOURCE = "-"
"""Source of what was lost before anybody could read whose it was."""


class Fate(Struct, frozen=True):
    """One event with its verdict and its history."""

    item: Item
    verdict: Verdict
    attempts: int
    first_tried_at: int = 0
    due_at: int = 0
    """When its next try is due; only for `retry`."""


class Step(Struct, frozen=True):
    """Which lane moved, and how far it has come by that."""

    lane: str
    partition: int
    mark: Mark


def receipt_frame(step: Step, fates: Sequence[Fate], *, held: bool = False) -> ReceiptFrame:
    """Make the frame that settles events. `held` says that they were in retry by themselves until now."""
    lane, at = step.lane, step.mark.at
    tally = Tally()
    kept = []
    for fate in fates:
        event, word = fate.item.event, fate.verdict.word
        if word != "retry":
            tally.move(event.source, event.received_at // HOUR, owed(lane), _ACCOUNTS[word](lane))
        if word in {"retry", "rejected"}:
            kept.append((word, _held(step, fate)))
    return ReceiptFrame(
        format=1,
        lane=lane,
        partition=step.partition,
        upto=step.mark.upto,
        at=at,
        postings=tally.postings(),
        rows=[_row(step, fate) for fate in fates] if held else _rows(step, fates),
        retrying=[each for word, each in kept if word == "retry"],
        rejected=[each for word, each in kept if word == "rejected"],
        resolved=[fate.item.event.id for fate in fates if held and fate.verdict.word != "retry"],
        seen=step.mark.seen,
    )


def loss_frame(step: Step, first: int, lost: int) -> ReceiptFrame:
    """Make the frame that books copies the log's retention removed before the lane could read them."""
    at, lane = step.mark.at, step.lane
    row = ReceiptRow(lane, step.partition, first, step.mark.upto, b"", "expired", "log_retention", "", at, 0)
    posting = Posting(UNKNOWN_SOURCE, at // HOUR, owed(lane), expired(lane), lost)
    return ReceiptFrame(
        format=1, lane=lane, partition=step.partition, upto=step.mark.upto, at=at, postings=[posting], rows=[row],
        retrying=[], rejected=[], resolved=[], seen=step.mark.seen,
    )  # fmt: skip


def _rows(step: Step, fates: Sequence[Fate]) -> list[ReceiptRow]:
    """Return one row for what most events share, and one for each of the others."""
    if not fates:
        return []
    shared, _ = Counter((fate.verdict, fate.attempts) for fate in fates).most_common(1)[0]
    verdict, attempts = shared
    first = min(fate.item.position for fate in fates)
    last = max(fate.item.position for fate in fates)
    common = ReceiptRow(
        step.lane, step.partition, first, last, b"", verdict.word, verdict.reason, verdict.answer, step.mark.at,
        attempts,
    )  # fmt: skip
    return [common, *(_row(step, fate) for fate in fates if (fate.verdict, fate.attempts) != shared)]


def _row(step: Step, fate: Fate) -> ReceiptRow:
    verdict, position = fate.verdict, fate.item.position
    return ReceiptRow(
        step.lane, step.partition, position, position, fate.item.event.id, verdict.word, verdict.reason,
        verdict.answer, step.mark.at, fate.attempts,
    )  # fmt: skip


def _held(step: Step, fate: Fate) -> HeldEvent:
    return HeldEvent(
        step.lane, step.partition, fate.item.position, fate.item.event, fate.attempts, fate.first_tried_at,
        fate.due_at, fate.verdict.reason, fate.verdict.answer,
    )  # fmt: skip

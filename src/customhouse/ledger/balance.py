"""
The trial balance: every account, what is in flight, and whether anything is unaccounted for.

Nothing is taken on trust. What the books say is waiting is held against what the log really holds behind each bookmark,
counted by another process: the door's own count of events against what the pipeline booked, the pipeline's running
totals per destination against what each lane booked. Where two counts differ, the difference is unaccounted.
"""

from collections.abc import Iterable

from msgspec import Struct

from customhouse.ledger.books import balances
from customhouse.model.contracts import Log
from customhouse.model.frames import OWED_TOPIC, RECEIVED_TOPIC, OwedFrame, decode_owed
from customhouse.model.posting import COPIES, LOGGED, RECEIVED, REPLAYED, UNROUTED, Posting

_ONE_FRAME = 1
"""Bytes: the log returns at least one frame, however large."""


class LaneMarks(Struct, frozen=True):
    """How far one lane is: by partition the last position of `owed` it has dealt with, and what it keeps apart."""

    upto: dict[int, int]
    retrying: int


class Waiting(Struct, frozen=True):
    """Events that lie between two stations: in the log behind a bookmark, or set aside for a retry."""

    account: str
    events: int


class Difference(Struct, frozen=True):
    """Two counts of the same thing that do not agree."""

    account: str
    books: int
    counted: int
    meaning: str


class Balance(Struct, frozen=True):
    """The trial balance of one moment."""

    accounts: dict[str, int]
    waiting: list[Waiting]
    differences: list[Difference]
    postings: list[Posting]

    @property
    def unaccounted(self) -> int:
        """Return how many events the counts disagree about; zero is the promise."""
        return sum(abs(difference.books - difference.counted) for difference in self.differences)

    @property
    def in_flight(self) -> int:
        """Return how many events and copies are between two stations."""
        return sum(waiting.events for waiting in self.waiting)

    @property
    def received(self) -> int:
        """Return how many events were acknowledged: judged ones, and those that wait in the log."""
        waiting = sum(each.events for each in self.waiting if each.account == LOGGED)
        return waiting + sum(p.count for p in self.postings if (p.moved_from, p.moved_to) == (RECEIVED, LOGGED))


class Pipeline(Struct, frozen=True):
    """What the pipeline's state says at one moment: its books and its places, (last position, events so far)."""

    postings: list[Posting]
    received: dict[int, tuple[int, int]]
    owed: dict[int, int]


class Delivery(Struct, frozen=True):
    """What the delivery's state says at one moment."""

    postings: list[Posting]
    lanes: dict[str, LaneMarks]


def strike(log: Log, delivery: Delivery, pipeline: Pipeline) -> Balance:
    """
    Strike the balance. `delivery` must have been read before `pipeline`, or a lane could seem ahead of what it is owed.

    Costs two short reads of the log per lane and partition, however much is stored.
    """
    postings = _add_up([*pipeline.postings, *delivery.postings])
    accounts = balances(postings)
    waiting, differences = [], []
    at_door = sum(_total(log, partition) for partition in log.partitions(RECEIVED_TOPIC))
    judged = sum(total for _, total in pipeline.received.values())
    waiting.append(Waiting(LOGGED, at_door - judged))
    booked = sum(p.count for p in postings if (p.moved_from, p.moved_to) == (RECEIVED, LOGGED))
    if booked != judged:
        differences.append(Difference(LOGGED, booked, judged, "what the pipeline booked, and what the door logged"))
    for account, balance in accounts.items():
        if balance and not _may_hold(account):
            differences.append(Difference(account, balance, 0, "a station of the pipeline that should be empty"))
    for account in sorted(name for name in accounts if name.startswith("owed:")):
        name = account.removeprefix("owed:")
        marks = delivery.lanes.get(name, LaneMarks({}, 0))
        counted = marks.retrying + sum(
            owed_behind(log, partition, name, marks.upto.get(partition, -1), upto)
            for partition, upto in pipeline.owed.items()
        )
        waiting.append(Waiting(account, counted))
        if counted != accounts[account]:
            meaning = f"what the books owe {name}, and what its lane finds in the log and its retries"
            differences.append(Difference(account, accounts[account], counted, meaning))
    return Balance(accounts, [each for each in waiting if each.events], differences, postings)


def owed_behind(log: Log, partition: int, name: str, after: int, upto: int) -> int:
    """Return how many copies stand in `owed` for a destination behind position `after`, through `upto`."""
    return max(0, _owed_through(log, partition, name, upto) - _owed_through(log, partition, name, after))


def _owed_through(log: Log, partition: int, name: str, upto: int) -> int:
    """Return the running total of copies for a destination through a position of `owed`."""
    frames = log.read(OWED_TOPIC, partition, after=upto, limit=_ONE_FRAME)
    if not frames:
        last = log.last(OWED_TOPIC, partition)
        return decode_owed(last.body).totals.get(name, 0) if last else 0
    frame = frames[0]
    body = decode_owed(frame.body)
    return body.totals.get(name, 0) - _mine(body, name, frame.base, upto)


def _mine(body: OwedFrame, name: str, base: int, after: int) -> int:
    """Return how many records of a frame behind a position are for a destination."""
    return sum(1 for at, record in enumerate(body.owed) if base + at > after and name in record.routes)


def _total(log: Log, partition: int) -> int:
    last = log.last(RECEIVED_TOPIC, partition)
    return last.total + last.count if last else 0


def _may_hold(account: str) -> bool:
    """Tell whether an account may keep a balance: entrances, exits and what lanes owe. Stations may not."""
    return ":" in account or account in (RECEIVED, COPIES, REPLAYED, UNROUTED)


def _add_up(postings: Iterable[Posting]) -> list[Posting]:
    sums: dict[tuple[str, int, str, str], int] = {}
    for p in postings:
        key = (p.source, p.hour, p.moved_from, p.moved_to)
        sums[key] = sums.get(key, 0) + p.count
    return [Posting(*key, count) for key, count in sorted(sums.items())]

"""
One piece of a lane's work: some events of one partition, cut into the groups they are sent in, until each has its fate.

Groups change when a parcel proves too large or a culprit is hunted; each change is written down before anything is sent,
so that a restart sends the same groups.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from customhouse.delivery.receipts import Fate
from customhouse.delivery.retry.verdicts import Item, Verdict
from customhouse.delivery.settle import Intent, Mark
from customhouse.model.contracts import Parcel

WAITING = Verdict("retry", "", "waits behind an earlier event of its key")


class Group:
    """Events that are sent as one parcel."""

    __slots__ = ("attempts", "faults", "hunting", "items")

    def __init__(self, items: Sequence[Item], *, attempts: int = 0, hunting: bool = False) -> None:
        """Start with events in order; `hunting` when they are suspected of causing faults."""
        self.items = list(items)
        self.attempts = attempts
        self.faults = 0
        self.hunting = hunting


class Work:
    """The events between two marks of a partition."""

    def __init__(self, partition: int, mark: Mark, first_tried_at: int) -> None:
        """Start with nothing to send; settling all of it brings the lane to `mark`."""
        self.partition = partition
        self.mark = mark
        self.first_tried_at = first_tried_at
        self.groups: deque[Group] = deque()
        self.fates: list[Fate] = []
        self.blocked: set[str] = set()
        """Order keys of events that were set aside on the way: what follows them must wait."""
        self.is_written = False
        """Whether the groups stand in the state as they are."""

    def plan(self, items: Iterable[Item], intent: Intent | None) -> None:
        """Cut events into groups: those an intent names again, and one of all others."""
        rest = {item.position: item for item in items}
        for positions in intent.groups if intent else []:
            if group := [rest.pop(position) for position in positions if position in rest]:
                self.groups.append(Group(group))
        if rest:
            self.groups.append(Group(list(rest.values())))

    def intent(self) -> Intent:
        """Return what is about to be sent, to be written down."""
        return Intent(self.first_tried_at, [[item.position for item in group.items] for group in self.groups])

    def settle(self, items: Iterable[Item], verdict: Verdict, attempts: int, due_at: int = 0) -> None:
        """Give events their fate. What is set aside untried has no first try yet."""
        first = self.first_tried_at if attempts else 0
        self.fates += [Fate(item, verdict, attempts, first, due_at) for item in items]

    def sift(self, leaves: Callable[[Item], bool], verdict: Verdict, due_at: int) -> None:
        """Take events that are not sent after all out of every group."""
        for group in self.groups:
            if leaving := [item for item in group.items if leaves(item)]:
                group.items = [item for item in group.items if not leaves(item)]
                self.settle(leaving, verdict, 0, due_at)
                self.is_written = False
        self.groups = deque(group for group in self.groups if group.items)

    def regroup(self, parcels: Sequence[Parcel]) -> bool:
        """Cut the first group as it was packed; return False unless every event was packed exactly once."""
        group = self.groups[0]
        places: dict[bytes, Item] = {item.event.id: item for item in group.items}
        cut = [[places.pop(event.id, None) for event in parcel.events] for parcel in parcels]
        if places or not all(cut) or any(item is None for items in cut for item in items):
            return False
        self.groups.popleft()
        whole = [[item for item in items if item is not None] for items in cut]
        self.groups.extendleft(Group(items, hunting=group.hunting) for items in reversed(whole))
        self.is_written = False
        return True

    def halve(self, *, hunting: bool) -> None:
        """Cut the first group in two."""
        group = self.groups.popleft()
        middle = (len(group.items) + 1) // 2
        for items in (group.items[middle:], group.items[:middle]):
            self.groups.appendleft(Group(items, attempts=group.attempts, hunting=hunting))
        self.is_written = False

    def finished(self) -> tuple[Mark, list[Fate]] | None:
        """Return how far everything is settled, and the fates up to there; None when that is nowhere new."""
        if not self.groups:
            return self.mark, self.fates
        remaining = min(item.position for group in self.groups for item in group.items)
        done = [fate for fate in self.fates if fate.item.position < remaining]
        if not done:
            return None
        last = max((fate.item for fate in done), key=lambda item: item.position)
        return Mark(last.position, last.nth), done
